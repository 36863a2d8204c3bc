"""Where truth lives: SQLAlchemy Core, one module per aggregate, one writer per process.

All SQL of Stepwell is in this room. Operations are synchronous functions of a `Connection`: the writer's thread calls
them directly, and `AsyncConnection.run_sync` calls them in the caller's transaction. What differs between databases is
in a `Dialect`, which overrides whole operations. May import `errors`, `settings`, `definition` and `engine`.
"""
