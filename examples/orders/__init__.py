"""A shop's backend: one FastAPI application whose work is done by durable workflows.

Read it in this order: `app.py` (what a request starts), `triggers.py` (what the clock and other systems start),
`workflows/process_order.py` (the work). `tables.py` and `gateway.py` are what every backend has: its own tables, and a
service that sometimes fails. `python -m examples.orders` starts it and drives all of it (`demo.py`).
"""
