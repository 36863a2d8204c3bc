"""What runs, with which numbers, in which order: measurements that are compared take turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    rounds: int = 3
    durable_runs: int = 6_000
    dbos_runs: int = 300
    starts: int = 10_000
    samples: int = 300
    queue_samples: int = 15
    stateless_runs: int = 5_000
    waiting: tuple[int, ...] = (10_000, 1_000_000)
    pairs: int = 7
    crashes: int = 5
    imports: int = 9


QUICK = Scale(
    rounds=1,
    durable_runs=1_500,
    dbos_runs=60,
    starts=2_000,
    samples=50,
    queue_samples=3,
    stateless_runs=1_000,
    waiting=(10_000, 100_000),
    pairs=3,
    crashes=2,
    imports=3,
)


@dataclass(frozen=True, slots=True)
class Task:
    """One child process. Answers of the same key are samples of the same figures."""

    key: str
    module: str
    arguments: dict[str, Any]
    seconds: float = 120.0


def tasks(scale: Scale, shared: str) -> Iterator[Task]:
    """All of it in order. `shared` is a directory for the files that several children use in turn."""
    for _ in range(scale.imports):
        yield Task("import", "import_time", {})
    for _ in range(scale.rounds):
        yield from one_round(scale)
    yield from waiting_runs(scale, shared)
    for _ in range(scale.crashes):
        yield Task("crash", "crash", {"runs": 100_000})


def one_round(scale: Scale) -> Iterator[Task]:
    yield Task("ceiling", "ceiling", {"runs": scale.durable_runs})
    yield Task("durable", "durable", {"runs": scale.durable_runs})
    for way in ("gather", "bounded", "queue"):
        yield Task(f"dbos.{way}", "peers_dbos", {"what": "durable", "way": way, "runs": scale.dbos_runs})
    yield Task("pickup", "pickup", {"runs": scale.samples})
    yield Task("dbos.pickup", "peers_dbos", {"what": "pickup", "way": "gather", "runs": scale.samples})
    yield Task("dbos.pickup_queue", "peers_dbos", {"what": "pickup", "way": "queue", "runs": scale.queue_samples})
    yield Task("starts.alone", "starts", {"runs": scale.starts, "worker": False})
    yield Task("starts.worker", "starts", {"runs": scale.starts, "worker": True})
    yield Task("bare_loop", "bare_loop", {"runs": scale.stateless_runs * 4})
    yield Task("stateless", "stateless", {"runs": scale.stateless_runs})


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
    return Task(key, "waiting", arguments, seconds=300.0)
