"""PostgreSQL on the same machine, with one worker process and with several, and BullMQ. Only `store_view.py` looks behind the
public API.
"""
