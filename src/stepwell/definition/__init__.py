"""Workflow classes as authors write them, and their compiled definitions.

Decorators only mark (`authoring/`); `compile/` turns a class into one frozen `Definition` (`model.py`) and reports all
its faults at once. `values/` decides what JSON brings back equal; `forms/` reads widgets and JSON schemas;
`schedules/` says when schedules tick.
This room knows no I/O, clock, loop or environment. It may import `errors` and `nearest` and nothing else of Stepwell.
Rules are cited by their numbers in docs/rules.md.
"""
