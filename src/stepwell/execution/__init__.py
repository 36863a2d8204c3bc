"""One run's pass: decide, call the user's method, settle, commit, until the run parks or ends.

The worker and `run_sync` use it alike. No database transaction is open while user code runs, except inside
`self.transaction()`. May import `store`, `queue` and `hints`, and what these may import.
Rules are cited by their numbers in docs/rules.md.
"""
