"""The truth: SQLAlchemy Core, one module per aggregate.

All SQL of Stepwell is in this room. Operations are synchronous functions of a `Tx`. The writers call them, and
`AsyncConnection.run_sync` calls them in the caller's transaction. A process has a writer for its runs and one for its
heartbeats: on SQLite both are one thread, on PostgreSQL a task on the loop and a thread. What differs between databases
is in a `Dialect`, which overrides whole operations.

May import `errors`, `nearest`, `settings`, `definition` and `engine`.
Rules are cited by their numbers in docs/rules.md.
"""
