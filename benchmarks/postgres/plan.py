"""What runs on PostgreSQL, with which numbers, in which order: measurements that are compared take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.many import plan as many_plan
from benchmarks.task import Database, Interpreter, Scale, Task

DBOS_WAYS = ("gather", "bounded", "threads", "queue", "queue_10ms")
LANGGRAPH_WAYS = ("sync", "async")
PROCRASTINATE_WAYS = ("one_by_one", "at_once")
PGQUEUER_WAYS = ("batch_10", "batch_100")
AT_ONCE = 500
"""The `worker_concurrency` of what isn't measured at several."""


def ways(scale: Scale) -> dict[str, tuple[str, ...]]:
    """What stands for the best of several tasks."""
    found = {
        "durable": tuple(str(number) for number in scale.at_once),
        "dbos": DBOS_WAYS,
        "langgraph": LANGGRAPH_WAYS,
        "procrastinate": PROCRASTINATE_WAYS,
        "pgqueuer": PGQUEUER_WAYS,
    }
    return {name: tuple(f"{name}.{way}" for way in all_ways) for name, all_ways in found.items()}


def tasks(scale: Scale, shared: str) -> Iterator[Task]:
    """All of it in order."""
    for _ in range(scale.rounds):
        yield from steps(scale)
        yield from jobs(scale)
        yield from starts(scale)
        yield from pickups(scale)
        for processes in (1, 2):
            arguments = {"runs": scale.drained, "processes": processes, "at_once": AT_ONCE}
            yield on_postgres(f"drain.{processes}", "postgres.drain", arguments, seconds=240)
    yield from many_plan.tasks(scale, Database())
    yield from waiting_runs(scale)
    yield from listed_runs(scale)
    yield Task("idle", "postgres.idle", {"seconds": scale.idle_seconds}, database=Database(logged=True))


def steps(scale: Scale) -> Iterator[Task]:
    yield on_postgres("ceiling", "postgres.ceiling", {"runs": scale.durable_runs})
    for at_once in scale.at_once:
        yield on_postgres(f"durable.{at_once}", "postgres.durable", {"runs": scale.durable_runs, "at_once": at_once})
    arguments = {"runs": scale.durable_runs, "at_once": AT_ONCE}
    yield on_postgres("through_bullmq", "postgres.durable", arguments, queue=True)
    for way in DBOS_WAYS:
        yield peer(f"dbos.{way}", "dbos_steps", {"what": "durable", "way": way, "runs": scale.dbos_runs})
    for way in LANGGRAPH_WAYS:
        yield peer(f"langgraph.{way}", "langgraph_steps", {"way": way, "runs": scale.dbos_runs})


def jobs(scale: Scale) -> Iterator[Task]:
    yield on_postgres("job", "postgres.durable", {"runs": scale.jobs, "at_once": AT_ONCE, "steps": 1})
    for way in PROCRASTINATE_WAYS:
        arguments = {"what": "jobs", "way": way, "runs": scale.slow_jobs}
        yield peer(f"procrastinate.{way}", "procrastinate_jobs", arguments)
    for way in PGQUEUER_WAYS:
        yield peer(f"pgqueuer.{way}", "pgqueuer_jobs", {"what": "jobs", "way": way, "runs": scale.jobs})
    yield bullmq("bullmq", {"what": "jobs", "runs": scale.slow_jobs})


def starts(scale: Scale) -> Iterator[Task]:
    for key, worker in (("starts.alone", False), ("starts.worker", True)):
        yield on_postgres(key, "postgres.starts", {"runs": scale.starts, "worker": worker})


def pickups(scale: Scale) -> Iterator[Task]:
    yield on_postgres("pickup.inside", "postgres.pickup", {"runs": scale.samples, "way": "inside"})
    yield peer("dbos.pickup", "dbos_steps", {"what": "pickup", "way": "gather", "runs": scale.samples})
    apart = {"runs": scale.samples, "way": "apart"}
    yield on_postgres("pickup.apart", "postgres.pickup", apart)
    yield on_postgres("pickup.bullmq", "postgres.pickup", apart, queue=True)
    samples = {"runs": scale.peer_samples}
    yield peer("dbos.pickup_apart", "dbos_steps", samples | {"what": "pickup_apart", "way": "queue_10ms"})
    yield peer("procrastinate.pickup", "procrastinate_jobs", samples | {"what": "pickup"})
    yield peer("pgqueuer.pickup", "pgqueuer_jobs", samples | {"what": "pickup"})
    yield bullmq("bullmq.pickup", samples | {"what": "pickup"})


def waiting_runs(scale: Scale) -> Iterator[Task]:
    """Fill a database, then load it and one without waiting runs in turns, every other time in the opposite order."""
    waiting = max(scale.waiting)
    for count in (0, waiting):
        yield _waiting(f"waiting.fill.{count}", count, do="fill", count=count)
    for pair in range(scale.pairs):
        for count in (0, waiting) if pair % 2 == 0 else (waiting, 0):
            yield _waiting(f"waiting.{count}", count, do="load", count=scale.durable_runs, at_once=AT_ONCE)


def listed_runs(scale: Scale) -> Iterator[Task]:
    """Fill a database, then ask the API for pages of it."""
    count, runs = max(scale.waiting), Database("listed")
    for key, do in (("listing.fill", "fill"), ("listing", "look")):
        yield Task(key, "postgres.listing", {"do": do, "count": count}, seconds=600, database=runs)


def _waiting(key: str, waiting: int, **arguments: Any) -> Task:
    return Task(key, "postgres.waiting", arguments, seconds=600, database=Database(f"waiting{waiting}"))


def on_postgres(
    key: str,
    module: str,
    arguments: dict[str, Any],
    *,
    seconds: float = 120,
    interpreter: Interpreter = "own",
    queue: bool = False,
) -> Task:
    return Task(key, module, arguments, seconds, interpreter, Database(), queue)


def peer(key: str, module: str, arguments: dict[str, Any]) -> Task:
    return on_postgres(key, f"peers.{module}", arguments, interpreter="peers")


def bullmq(key: str, arguments: dict[str, Any]) -> Task:
    return Task(key, "peers.bullmq_jobs", arguments, queue=True)
