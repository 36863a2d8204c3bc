"""Stepwell measured beside DBOS Transact and beside the limits of the machine: `python -m benchmarks`.

Each measurement is one small file that runs in a child process of its own (`measure.py`), in a fresh directory, so
that memory, imports and files of one can't colour another. `plan.py` says what runs in which order, `goals.py` what
we want to see, `report.py` prints both. Only `store_view.py` looks behind the public API.
"""
