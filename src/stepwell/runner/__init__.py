"""The verbs of Stepwell: start, signal, cancel, retry, read.

May import `execution` and what `execution` may import, never `worker`.
Rules are cited by their numbers in docs/rules.md.
"""
