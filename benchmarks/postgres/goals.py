"""What the report shows of PostgreSQL, beside what, and what we want to see. One row per line of the table."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goal import Name, Row, at_least, at_most, ratio_at_least
from benchmarks.many import goals as many_goals
from benchmarks.task import Scale

RATES = {"starts_per_second": "starts/s", "runs_per_second": "runs/s", "transitions_per_second": "transitions/s"}
RATE = "transitions_per_second"
JOBS = {"procrastinate": "Procrastinate", "pgqueuer": "PgQueuer", "bullmq": "BullMQ for Python"}


def rows(scale: Scale) -> Iterator[Row]:
    yield from durable_rows(scale)
    yield from job_rows()
    yield from starts_rows(scale)
    yield from pickup_rows()
    yield from scale_rows(scale)
    yield from many_goals.rows(scale)


def durable_rows(scale: Scale) -> Iterator[Row]:
    for figure, unit in RATES.items():
        goal = ratio_at_least(25) if figure == RATE else None
        yield Row(f"durable, {unit}", Name("durable", figure), "DBOS", Name("dbos", figure), goal)
    best = Name("durable", RATE)
    yield Row("durable, transitions/s", best, "LangGraph", Name("langgraph", RATE))
    yield Row("durable, transitions/s", best, "plain asyncpg", Name("ceiling", RATE), at_least(5_500))
    for at_once in scale.at_once:
        yield Row(f"durable, {at_once} at once, transitions/s", Name(f"durable.{at_once}", RATE))
    yield Row("durable through BullMQ, transitions/s", Name("through_bullmq", RATE), "database as the queue", best)
    yield Row("durable, transitions per fsync", Name("durable", "transitions_per_fsync"))
    cpu = "cpu_us_per_transition"
    yield Row("durable, CPU of the process, µs a transition", Name("durable", cpu), "DBOS", Name("dbos", cpu))
    memory = "peak_rss_mb"
    yield Row("durable, peak RSS, MB", Name("durable", memory), "DBOS", Name("dbos", memory), at_most(200))


def job_rows() -> Iterator[Row]:
    for key, name in JOBS.items():
        figure = "runs_per_second"
        yield Row("runs of one transition, runs/s", Name("job", figure), f"{name}, jobs/s", Name(key, figure))
    for key, name in JOBS.items():
        figure = "starts_per_second"
        yield Row("starts/s", Name("starts.alone", figure), f"{name}, enqueued 100 at a time", Name(key, figure))


def starts_rows(scale: Scale) -> Iterator[Row]:
    goal = at_most(1.5 * scale.starts / 10_000)
    yield Row(f"{scale.starts:,} starts, no worker, s", Name("starts.alone", "seconds"), goal=goal)
    yield Row(f"{scale.starts:,} starts, worker at work, s", Name("starts.worker", "seconds"))


def pickup_rows() -> Iterator[Row]:
    p50, p99 = "pickup_p50_ms", "pickup_p99_ms"
    for figure, title in ((p50, "p50"), (p99, "p99")):
        words = f"idle call to first line, {title}, ms"
        yield Row(words, Name("pickup.inside", figure), "DBOS, direct", Name("dbos.pickup", figure))
    peers = (("procrastinate.pickup", "Procrastinate"), ("pgqueuer.pickup", "PgQueuer"), ("dbos.pickup_apart", "DBOS"))
    for figure, title, limit in ((p50, "p50", 10), (p99, "p99", 40)):
        words = f"to a worker in another process, {title}, ms"
        for task, name in peers:
            yield Row(words, Name("pickup.apart", figure), name, Name(task, figure), at_most(limit))
    bullmq = Name("pickup.bullmq", p50), "BullMQ alone", Name("bullmq.pickup", p50)
    yield Row("to a worker through BullMQ, p50, ms", *bullmq, at_most(15))
    yield Row(
        "to a worker through BullMQ, p99, ms", Name("pickup.bullmq", p99), "BullMQ alone", Name("bullmq.pickup", p99)
    )


def scale_rows(scale: Scale) -> Iterator[Row]:
    one, two = Name("drain.1", RATE), Name("drain.2", RATE)
    yield Row("two worker processes, transitions/s", two, "one worker process", one)
    waiting = max(scale.waiting)
    with_them, without = Name(f"waiting.{waiting}", RATE), Name("waiting.0", RATE)
    yield Row(f"{waiting:,} waiting, transitions/s", with_them, "none waiting", without, ratio_at_least(0.75))
    listed = f"a page of {waiting:,} runs"
    yield Row(f"{listed}, ms", Name("listing", "none_ms"), goal=at_most(200))
    yield Row(f"{listed}, the slowest filter, ms", Name("listing", "slowest_ms"), goal=at_most(200))
    yield Row("idle process, queries/s", Name("idle", "queries_per_second"), goal=at_most(1))
    yield Row("idle process, BEGIN and COMMIT too, statements/s", Name("idle", "statements_per_second"))
