"""Hints after a commit: "run X has changed, look again". They may be lost without harm.

May import `store` and what `store` may import.
"""
