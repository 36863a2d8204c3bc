"""The process's share of the work: its lease, its loop of claims, and the sweep that finds what lost hints left behind.

May import `execution` and what `execution` may import, never `runner`.
Rules are cited by their numbers in docs/rules.md.
"""
