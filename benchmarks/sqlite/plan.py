"""What runs, with which numbers, in which order: measurements that are compared take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.many import plan as many_plan
from benchmarks.task import Scale, Task

DBOS_WAYS = ("gather", "bounded", "queue")


def ways(scale: Scale) -> dict[str, tuple[str, ...]]:
    """What stands for the best of several tasks."""
    return {"dbos": tuple(f"dbos.{way}" for way in DBOS_WAYS)}


def tasks(scale: Scale, shared: str) -> Iterator[Task]:
    """All of it in order. `shared` is a directory for the files that several children use in turn."""
    for _ in range(scale.imports):
        yield Task("import", "sqlite.import_time", {})
    for _ in range(scale.rounds):
        yield from one_round(scale)
    yield from many_plan.tasks(scale)
    yield from waiting_runs(scale, shared)
    for _ in range(scale.crashes):
        yield Task("crash", "sqlite.crash", {"runs": 100_000})


def one_round(scale: Scale) -> Iterator[Task]:
    yield Task("ceiling", "sqlite.ceiling", {"runs": scale.durable_runs})
    yield Task("durable", "sqlite.durable", {"runs": scale.durable_runs})
    for way in DBOS_WAYS:
        yield _dbos(f"dbos.{way}", what="durable", way=way, runs=scale.dbos_runs)
    yield Task("pickup", "sqlite.pickup", {"runs": scale.samples})
    yield _dbos("dbos.pickup", what="pickup", way="gather", runs=scale.samples)
    yield _dbos("dbos.pickup_queue", what="pickup", way="queue", runs=scale.queue_samples)
    yield Task("starts.alone", "sqlite.starts", {"runs": scale.starts, "worker": False})
    yield Task("starts.worker", "sqlite.starts", {"runs": scale.starts, "worker": True})
    yield Task("bare_loop", "sqlite.bare_loop", {"runs": scale.stateless_runs * 4})
    yield Task("stateless", "sqlite.stateless", {"runs": scale.stateless_runs})


def _dbos(key: str, **arguments: Any) -> Task:
    return Task(key, "peers.dbos_steps", arguments, interpreter="peers")


def waiting_runs(scale: Scale, shared: str) -> Iterator[Task]:
    """Fill a file for each number of waiting runs, then load them in turns, every other time in the opposite order."""
    levels = (0, *scale.waiting)
    for waiting in levels:
        yield _waiting(f"waiting.fill.{waiting}", shared, waiting, do="fill", count=waiting)
    for pair in range(scale.pairs):
        for waiting in (0, *scale.waiting) if pair % 2 == 0 else (*reversed(scale.waiting), 0):
            yield _waiting(f"waiting.{waiting}", shared, waiting, do="load", count=scale.durable_runs)


def _waiting(key: str, shared: str, waiting: int, *, do: str, count: int) -> Task:
    arguments = {"database": f"{shared}/waiting-{waiting}.db", "do": do, "count": count}
    return Task(key, "sqlite.waiting", arguments, seconds=300.0)
