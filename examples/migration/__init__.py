"""Two versions of one module, `before.py` and `after.py`, on one database, while runs of both are in flight."""
