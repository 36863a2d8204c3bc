"""What runs on either database, with which numbers, in which order: measurements that are compared take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.task import Database, Scale, Task

MODULES = ("many.children", "many.start_many", "many.batch", "many.limited", "many.behind", "many.fair")


def tasks(scale: Scale, database: Database | None = None) -> Iterator[Task]:
    """All of it in order, on a new SQLite file each or on a PostgreSQL database each."""

    def task(key: str, module: str, **arguments: Any) -> Task:
        return Task(key, f"many.{module}", arguments, seconds=600, database=database)

    for turn in range(scale.rounds):
        for way in in_turn(("together", "apart"), turn):
            yield task(f"children.{way}", "children", way=way, children=scale.children)
        yield task("start_many", "start_many", children=scale.many_children)
        yield task("batch", "batch", runs=scale.batch)
        for key, keys in in_turn((("limited.keys", scale.keys), ("limited.none", 0)), turn):
            yield task(key, "limited", runs=scale.durable_runs, keys=keys)
        for key, waiting in in_turn((("behind.many", scale.behind), ("behind.none", 0)), turn):
            yield task(key, "behind", waiting=waiting, claims=scale.samples)
        for key, fair in in_turn((("fair.by_user", True), ("fair.none", False)), turn):
            yield task(key, "fair", fair=fair, burst=scale.fair_burst)


def in_turn(ways: tuple[Any, ...], turn: int) -> tuple[Any, ...]:
    """Every other time in the opposite order."""
    return ways if turn % 2 == 0 else ways[::-1]
