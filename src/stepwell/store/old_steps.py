"""Journal rows that are needed no more: found by walking over the journal in its own order, deleted some at a time (rule 42).

No index of their age is kept, which each step would pay for: the walk reads keys only, and what it finds stays deletable,
however late it is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from stepwell.engine.run import Moment
from stepwell.store.tx import Tx, paired

_KEY: Final = "run_id, visit, transition, name"
_OLD: Final = (
    f"({_KEY})>(?, ?, ?, ?) AND ({_KEY})<=(?, ?, ?, ?) AND recorded_at<? AND (run_id IN list(?)"
    " OR ((undo IS NULL OR undone_at<?) AND NOT (run_id IN list(?))"
    " AND (run_id, visit) NOT IN (SELECT l.a, CAST(l.b AS INTEGER) FROM pairs(?) l)))"
)


class StepKey(NamedTuple):
    """The key of a journal row."""

    run_id: str
    visit: int
    transition: str
    name: str


FIRST: Final = StepKey("", -1, "", "")
"""The key in front of all."""


class Stretch(NamedTuple):
    """Part of the journal, with what keeps rows of it."""

    after: StepKey
    last: StepKey
    finished: Sequence[str]
    """Runs that have finished: nothing of theirs will be undone."""
    on_detours: Sequence[str]
    """Runs on a detour, which come back to an earlier visit."""
    current: Sequence[tuple[str, int]]
    """Runs that go on, with their visits."""


def keys(tx: Tx, after: StepKey, limit: int) -> list[StepKey]:
    """Return the keys of the journal behind this one, in order, at most `limit`."""
    sql = f"SELECT {_KEY} FROM stepwell_steps WHERE ({_KEY})>(?, ?, ?, ?) ORDER BY {_KEY} LIMIT ?"
    return tx.fetch(StepKey._make, sql, *after, limit)


def stretch(tx: Tx, after: StepKey, last: StepKey, run_ids: Iterable[str]) -> Stretch:
    """Return the part of the journal between two keys, in which these runs have rows."""
    sql = "SELECT id, visit, detours, finished_at FROM stepwell_runs WHERE id IN list(?)"
    finished, on_detours, current = [], [], []
    for run_id, visit, detours, finished_at in tx.rows(sql, tx.listed(sorted({*run_ids}))):
        if finished_at is not None:
            finished.append(run_id)
        elif detours is not None:
            on_detours.append(run_id)
        else:
            current.append((run_id, visit))
    return Stretch(after, last, finished, on_detours, current)


def _given(tx: Tx, part: Stretch, before: Moment) -> list[Any]:
    current = paired((run_id, str(visit)) for run_id, visit in part.current)
    runs = [tx.listed(part.finished), before, tx.listed(part.on_detours)]
    return [*part.after, *part.last, before, *runs, current]


def any_before(tx: Tx, part: Stretch, before: Moment) -> bool:
    """Return whether `delete` would delete anything."""
    sql = f"SELECT 1 FROM stepwell_steps WHERE {_OLD} ORDER BY {_KEY} LIMIT 1"
    return tx.scalar(sql, *_given(tx, part, before)) is not None


def delete(tx: Tx, part: Stretch, before: Moment, limit: int) -> int:
    """Delete rows that are older than this and that no retry and no undo needs, at most `limit`; return their number."""
    some = f"SELECT {_KEY} FROM stepwell_steps WHERE {_OLD} ORDER BY {_KEY} LIMIT ? FOR NO KEY UPDATE SKIP LOCKED"
    return tx.run(f"DELETE FROM stepwell_steps WHERE ({_KEY}) IN ({some})", *_given(tx, part, before), limit)
