"""The outlook: the next moments at which a process has work, read by one statement; so an idle one asks for little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from stepwell.engine.run import Moment
from stepwell.store import tables
from stepwell.store.made_schedules import NEXT_TICK, NextTick
from stepwell.store.pauses import paused_sql
from stepwell.store.tx import Lane, Tx, paired

_NEXT_DUE: Final = (
    "(SELECT min(due_at) FROM stepwell_runs WHERE due_at IS NOT NULL AND owner IS NULL),"
    " (SELECT min(expires_at) FROM stepwell_runs WHERE expires_at>=0)"
)


def next_due(tx: Tx) -> Moment | None:
    """Return when the next run becomes due, or expires; None if none will."""
    [(due, expires)] = tx.rows(f"SELECT {_NEXT_DUE}")
    return _first(due, expires)


def _first(*given: object) -> Moment | None:
    return min((found for one in given if (found := tables.moment(one)) is not None), default=None)


class Outlook(NamedTuple):
    """The work that comes by time, or waits."""

    due: Moment | None
    """The moment at which the next run becomes due or expires."""
    opening: Moment | None
    """The moment at which the next gate is to be looked at."""
    ready: bool
    """True if a run waits for a worker."""
    ticks: NextTick
    """Those of schedules made at run time."""


def look(tx: Tx, lanes: Sequence[Lane], scheduled: Sequence[Lane]) -> Outlook:
    """Return what comes next, by one statement: ready runs of `lanes`, ticks of `scheduled`."""
    [(due, expires, opening, ready, tick, queued)] = tx.rows(
        f"SELECT {_NEXT_DUE},"
        " (SELECT min(due_at) FROM stepwell_gates),"
        " (SELECT 1 FROM pairs(?) l WHERE EXISTS (SELECT 1 FROM stepwell_runs INDEXED BY stepwell_runs_ready"
        " WHERE app_name=l.a AND workflow_name=l.b AND ready_at IS NOT NULL)"
        f" AND NOT {paused_sql('l.a', 'l.b')} LIMIT 1), {NEXT_TICK}",
        paired(lanes),
        paired(scheduled),
    )
    ticks = NextTick(tables.moment(tick), queued is not None)
    return Outlook(_first(due, expires), tables.moment(opening), ready is not None, ticks)
