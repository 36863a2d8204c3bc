"""Stepwell measured beside other systems and beside the limits of the machine: `python -m benchmarks`.

Each measurement is one small file that runs in a child process of its own (`measure.py`), in a fresh directory, so
that memory, imports and files of one can't colour another. There are two parts, `sqlite/` and `postgres/`: in each `plan.py`
says what runs in which order, `goals.py` what we want to see, and only `store_view.py` looks behind the public API.
`peers/` are the others, `ground.py` brings the servers, `report.py` prints it all.
"""
