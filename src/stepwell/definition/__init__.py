"""What authors write, and what it is compiled into.

Decorators only mark; `compile.py` turns a class into one frozen `Definition` and reports all its faults at once.
This room knows no I/O, clock, loop or environment. It may import `errors` and nothing else of Stepwell.
"""
