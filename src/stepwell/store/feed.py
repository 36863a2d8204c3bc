"""The stream of all rows of the history, in which nobody who comes back misses one or sees one twice.

Numbers alone can't do that: a transaction that took a lower number may commit after one with a higher. So a row tells
which transaction wrote it (`xact`) and the order of writing (`seq`), and where a reader stands is a `Horizon`: which
transactions it has seen. PostgreSQL calls that a snapshot. SQLite has one writer, and each row's number is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stepwell.engine.run import HistoryRow, Run
from stepwell.store import rows
from stepwell.store.base import DocumentRow
from stepwell.store.tables import documents, history, runs
from stepwell.store.tx import Tx

HEAVY = ("args", "state", "result")
"""Columns of a run that may be large, and are left out where many runs are shown."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """The transactions that a reader has seen: all below `xmax` but those listed, as `pg_current_snapshot()` has it."""

    xmin: int
    xmax: int
    unseen: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.unseen))}"

    @classmethod
    def parse(cls, text: str) -> Horizon:
        """Raises ValueError for anything else."""
        xmin, xmax, unseen = text.split(":")
        return cls(number(xmin), number(xmax), tuple(number(one) for one in unseen.split(",") if one))


def number(text: str) -> int:
    """A number as columns hold it. Raises ValueError for anything else."""
    found = int(text)
    if not 0 <= found < 2**63:
        raise ValueError(f"{found} is out of range")
    return found


class Entry(NamedTuple):
    """A row of the history with the run as it was when it was read, without what is heavy."""

    seq: int
    answered_by: str | None
    """Who sent the signal that the row took."""
    row: HistoryRow
    run: Run


_RUN = ", ".join(f"'null' AS {name}" if name in HEAVY else f"r.{name}" for name in rows.names(runs))
_ROW = ", ".join(
    f"NULL AS h_{name}" if name in ("state", "trace") else f"h.{name} AS h_{name}" for name in rows.names(history)
)
_FROM = "FROM stepwell_history h JOIN stepwell_runs r ON r.id=h.run_id LEFT JOIN stepwell_signals s ON s.id=h.signal_id"
_WIDTH = len(rows.names(history))


def horizon(tx: Tx) -> Horizon:
    """What is committed now."""
    return Horizon.parse(tx.dialect.horizon(tx.connection))


def between(tx: Tx, seen: Horizon, until: Horizon, after: int = 0, limit: int = 1000) -> list[Entry]:
    """The rows that are seen from `until` and weren't from `seen`, in the order of writing, from after `seq` on.

    What belongs to the handlers of ticks and deliveries is left out.
    """
    conditions, parameters = _newly(seen, until)
    found = tx.rows(
        f"SELECT h.seq, s.user_id AS answered_by, {_ROW}, {_RUN} {_FROM}"
        f" WHERE {conditions} AND h.seq>? AND r.internal=0 ORDER BY h.seq LIMIT ?",
        *parameters,
        after,
        limit,
    )
    return [_entry(row) for row in found]


def halt(tx: Tx, seen: Horizon, until: Horizon, most: int = 5_000) -> Horizon:
    """Where a reader may halt on the way from `seen` to `until`: about `most` rows further, and `until` if that is nearer.

    Rows of a way in one piece are sorted by their numbers as often as it has pages; an hour's rows are too many for that.
    It is halted between two transactions, and not where the earlier one has a row whose predecessor the later one wrote:
    who waits for a lock has its number before who holds it.
    """
    at = _after_rows(tx, seen, until, most)
    while at is not None:
        stop = _up_to(until, max(at, seen.xmax) + 1)
        at = _predecessor(tx, seen, stop, until)
        if at is None:
            return stop
    return until


def _after_rows(tx: Tx, seen: Horizon, until: Horizon, most: int) -> int | None:
    sql = "SELECT xact FROM stepwell_history WHERE xact>=? AND xact<? ORDER BY xact LIMIT 1 OFFSET ?"
    found = tx.scalar(sql, seen.xmin, until.xmax, most)
    return None if found is None else int(found)


def _up_to(until: Horizon, xmax: int) -> Horizon:
    """What `until` sees of the transactions below `xmax`."""
    if xmax >= until.xmax:
        return until
    unseen = tuple(one for one in until.unseen if one < xmax)
    return Horizon(min((xmax, *unseen)), xmax, unseen)


def _predecessor(tx: Tx, seen: Horizon, stop: Horizon, until: Horizon) -> int | None:
    """The last transaction beyond `stop` that wrote the predecessor of a row before it."""
    if stop == until:
        return None
    conditions, parameters = _newly(seen, stop)
    found = tx.scalar(
        "SELECT max(p.xact) FROM stepwell_history h"
        " JOIN stepwell_history p ON p.run_id=h.run_id AND p.version=h.version-1"
        f" WHERE {conditions} AND p.xact>=? AND p.xact<?",
        *parameters,
        stop.xmax,
        until.xmax,
    )
    return None if found is None else int(found)


def of_run(tx: Tx, run_id: str, after: int, limit: int) -> list[Entry]:
    """The rows of one run after version `after`, in order."""
    found = tx.rows(
        f"SELECT coalesce(h.seq, 0), s.user_id AS answered_by, {_ROW}, {_RUN} {_FROM}"
        " WHERE h.run_id=? AND h.version>? ORDER BY h.version LIMIT ?",
        run_id,
        after,
        limit,
    )
    return [_entry(row) for row in found]


def documents_of(tx: Tx, spans: Mapping[str, tuple[int, int]]) -> list[DocumentRow]:
    """What these runs saved between two versions each (both included), in order; nothing internal."""
    if not spans:
        return []
    found = tx.fetch(
        DocumentRow._make,
        f"SELECT {rows.columns(documents)} FROM stepwell_documents WHERE run_id {tx.dialect.among}"
        " AND version>=? AND version<=? AND internal=0 ORDER BY version, position, id",
        tx.dialect.listed(spans),
        min(first for first, _ in spans.values()),
        max(last for _, last in spans.values()),
    )
    return [row for row in found if spans[row.run_id][0] <= row.version <= spans[row.run_id][1]]


def _newly(seen: Horizon, until: Horizon) -> tuple[str, list[Any]]:
    conditions = ["h.xact>=?", "h.xact<?"]
    parameters: list[Any] = [seen.xmin, until.xmax]
    for one in until.unseen:
        conditions.append("h.xact<>?")
        parameters.append(one)
    late = "".join(" OR h.xact=?" for _ in seen.unseen)
    conditions.append(f"(h.xact>=?{late})")
    return " AND ".join(conditions), [*parameters, seen.xmax, *seen.unseen]


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], HistoryRow._make(row[2 : _WIDTH + 2]), Run._make(row[_WIDTH + 2 :]))
