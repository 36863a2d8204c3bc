"""What the report shows of one process on SQLite, beside what, and what we want to see. One row per line of the table."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goal import Name, Row, at_least, at_most, ratio_at_least, ratio_at_most
from benchmarks.many import goals as many_goals
from benchmarks.task import Scale

RATES = {"starts_per_second": "starts/s", "runs_per_second": "runs/s", "transitions_per_second": "transitions/s"}
DBOS = "DBOS"


def rows(scale: Scale) -> Iterator[Row]:
    yield from durable_rows()
    yield from pickup_rows()
    yield from starts_rows(scale)
    yield from stateless_rows()
    yield from waiting_rows(scale)
    yield from many_goals.rows(scale)
    yield from proof_rows()


def durable_rows() -> Iterator[Row]:
    rate = "transitions_per_second"
    for figure, unit in RATES.items():
        goal = ratio_at_least(30) if figure == rate else None
        yield Row(f"durable, {unit}", Name("durable", figure), DBOS, Name("dbos", figure), goal)
    floor = at_least(6_000)
    yield Row("durable, transitions/s", Name("durable", rate), "plain sqlite3", Name("ceiling", rate), floor)
    cpu = "cpu_us_per_transition"
    yield Row("durable, CPU of the process, µs a transition", Name("durable", cpu), DBOS, Name("dbos", cpu))
    memory = Name("durable", "peak_rss_mb")
    yield Row("durable, peak RSS, MB", memory, DBOS, Name("dbos", "peak_rss_mb"), at_most(200))


def pickup_rows() -> Iterator[Row]:
    for figure, limit in (("pickup_p50_ms", 3.0), ("pickup_p99_ms", 12.0)):
        title = f"idle call to first line, {figure[7:10]}, ms"
        yield Row(title, Name("pickup", figure), "DBOS, direct", Name("dbos.pickup", figure), at_most(limit))
        yield Row(title, Name("pickup", figure), "DBOS, queue", Name("dbos.pickup_queue", figure))


def starts_rows(scale: Scale) -> Iterator[Row]:
    share = scale.starts / 10_000
    for title, task, limit in (("no worker", "starts.alone", 1.0), ("worker at work", "starts.worker", 2.5)):
        yield Row(f"{scale.starts:,} starts, {title}, s", Name(task, "seconds"), goal=at_most(limit * share))


def stateless_rows() -> Iterator[Row]:
    once, each = Name("bare_loop", "runs_per_second"), Name("bare_loop", "validated_each_per_second")
    alone = Name("stateless", "one_by_one_per_second")
    yield Row("stateless, one by one, runs/s", alone, "bare loop", once, at_least(10_000))
    quarter = ratio_at_least(0.25)
    yield Row("stateless, one by one, runs/s", alone, "bare loop, validating thrice", each, quarter)
    yield Row("stateless, gathered, runs/s", Name("stateless", "gather_per_second"), "bare loop", once)


def waiting_rows(scale: Scale) -> Iterator[Row]:
    goals = {
        "transitions_per_second": ratio_at_least(0.75),
        "claim_ms": ratio_at_most(1.5),
        "peak_rss_mb": ratio_at_most(1.15),
    }
    units = {"transitions_per_second": "transitions/s", "claim_ms": "claim of 100, ms", "peak_rss_mb": "peak RSS, MB"}
    for waiting in scale.waiting:
        for figure, unit in units.items():
            name, none = Name(f"waiting.{waiting}", figure), Name("waiting.0", figure)
            yield Row(f"{waiting:,} waiting, {unit}", name, "none waiting", none, goals[figure])
        yield Row(
            f"{waiting:,} waiting, table scans by the claim", Name(f"waiting.{waiting}", "claim_scans"), goal=at_most(0)
        )


def proof_rows() -> Iterator[Row]:
    yield Row("kill -9, broken promises in each", Name("crash", "violations"), goal=at_most(0))
    yield Row("writing connections without WAL and FULL", Name("durable", "weak_writers"), goal=at_most(0))
    pydantic = Name("import", "pydantic_milliseconds")
    yield Row("import stepwell, ms", Name("import", "milliseconds"), "pydantic", pydantic, at_most(150))
    yield Row("import of App and Stepwell, ms", Name("import", "names_milliseconds"), "pydantic", pydantic)
    yield Row("import stepwell, heavy packages", Name("import", "unwanted_modules"), goal=at_most(0))
