"""What the report shows of many runs at once, beside what, and what we want to see."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.goal import Name, Row, at_most, ratio_at_least, ratio_at_most
from benchmarks.task import Scale

RATE = "transitions_per_second"


def rows(scale: Scale) -> Iterator[Row]:
    yield from group_rows(scale)
    yield from batch_rows(scale)
    yield from limit_rows(scale)


def group_rows(scale: Scale) -> Iterator[Row]:
    together, apart = Name("children.together", "seconds"), Name("children.apart", "seconds")
    yield Row(f"a group of {scale.children:,}, s", together, "independent runs", apart, ratio_at_most(1.5))
    many, share = f"start_many of {scale.many_children:,}", scale.many_children / 10_000
    yield Row(f"{many}, durable, s", Name("start_many", "durable_seconds"), goal=at_most(2 * share))
    yield Row(f"{many}, all ended, s", Name("start_many", "ended_seconds"))
    yield Row(f"{many}, rows of the parent's history", Name("start_many", "parents_checkpoints"), goal=at_most(3))


def batch_rows(scale: Scale) -> Iterator[Row]:
    batch, share = f"a batch of {scale.batch:,}", scale.batch / 100_000
    yield Row(f"{batch}, durable, s", Name("batch", "durable_seconds"), goal=at_most(10 * share))
    yield Row(f"{batch}, peak RSS, MB", Name("batch", "peak_rss_mb"), goal=at_most(400))
    yield Row(f"{batch}, progress(), ms", Name("batch", "progress_ms"), goal=at_most(20))


def limit_rows(scale: Scale) -> Iterator[Row]:
    limited, free = Name("limited.keys", RATE), Name("limited.none", RATE)
    title = f"Concurrency(10, key) over {scale.keys:,} keys, transitions/s"
    yield Row(title, limited, "no limit", free, ratio_at_least(0.6))
    for figure, words, goal in (("claim_p50_ms", "p50", None), ("claim_p99_ms", "p99", at_most(10))):
        title = f"{scale.behind:,} behind one key, claims of other keys, {words}, ms"
        yield Row(title, Name("behind.many", figure), "none waiting", Name("behind.none", figure), goal)
    settling = Name("behind.many", "settling_seconds")
    yield Row(f"{scale.behind:,} behind one key, until all are held, s", settling)
    burst = f"behind a burst of {scale.fair_burst:,}, fair_by"
    units = {
        "begun_before": "runs of the burst that began before",
        "last_begun_ms": "ms to the last of 20",
        "runs_per_second": "runs/s",
    }
    for figure, unit in units.items():
        goal = at_most(200) if figure == "begun_before" else None
        yield Row(f"{burst}: {unit}", Name("fair.by_user", figure), "without", Name("fair.none", figure), goal)
