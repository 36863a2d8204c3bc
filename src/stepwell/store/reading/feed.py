"""The stream of all rows of the history, in which a reader that comes back misses no row and sees none twice.

Numbers alone can't do that: a transaction that took a lower number may commit after one with a higher. So a row tells
which transaction wrote it (`xact`) and the order of writing (`seq`), and where a reader stands is a `Horizon`: which
transactions it has seen. PostgreSQL calls that a snapshot. SQLite has one writer, and each row's number is its own.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from stepwell.engine.run import HistoryRow, RunRow
from stepwell.store import tables
from stepwell.store.documents import DocumentRow, inherited
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
        """Raise ValueError for anything else."""
        xmin, xmax, unseen = text.split(":")
        return cls(number(xmin), number(xmax), tuple(number(one) for one in unseen.split(",") if one))


def number(text: str) -> int:
    """Return a number as columns hold it. Raises ValueError for anything else."""
    found = int(text)
    if not 0 <= found < 2**63:
        raise ValueError(f"{found} is out of range")
    return found


class FeedEntry(NamedTuple):
    """A row of the history with the run as it was when it was read, without what is heavy."""

    seq: int
    answered_by: str | None
    """The user who sent the signal that the row took."""
    row: HistoryRow
    run: RunRow


@dataclass(frozen=True, slots=True)
class Visible:
    """The runs whose rows a reader gets: those for which all of these hold; None: any."""

    user_id: str | None = None
    apps: frozenset[str] | None = None
    app_name: str | None = None
    workspace_id: str | None = None

    def shows(self, run: RunRow) -> bool:
        """Return whether this run is one of them."""
        return (
            self.user_id in (None, run.user_id)
            and (self.apps is None or run.app_name in self.apps)
            and self.app_name in (None, run.app_name)
            and self.workspace_id in (None, run.workspace_id)
        )


_EVERYTHING: Final = Visible()
DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Bytes of the documents that are read with a page of rows, unless one row has more."""

_RUN = ", ".join(f"'null' AS {name}" if name in HEAVY else f"r.{name}" for name in tables.names(runs))
_ROW = ", ".join(
    f"NULL AS h_{name}" if name in ("state", "trace") else f"h.{name} AS h_{name}" for name in tables.names(history)
)
_FROM = "FROM stepwell_history h JOIN stepwell_runs r ON r.id=h.run_id LEFT JOIN stepwell_signals s ON s.id=h.signal_id"
_WIDTH = len(tables.names(history))


def horizon(tx: Tx) -> Horizon:
    """Return the horizon of now."""
    return Horizon.parse(tx.dialect.horizon(tx.driver))


def between(
    tx: Tx, seen: Horizon, until: Horizon, after: int = 0, limit: int = 1000, visible: Visible = _EVERYTHING
) -> list[FeedEntry]:
    """Return the visible rows that are seen from `until` and weren't from `seen`, in the order of writing, after `seq`.

    What belongs to the handlers of ticks and deliveries is left out.
    """
    conditions, parameters = _newly(seen, until)
    shown, given = _shown(tx, visible)
    # Which rows they are is decided along the index of the stream, before anything else of them is read.
    walked = (
        "SELECT h.run_id, h.version FROM stepwell_history h INDEXED BY stepwell_history_feed"
        f" CROSS JOIN stepwell_runs r WHERE r.id=h.run_id AND {conditions} AND h.seq>? AND r.internal=0{shown}"
        " ORDER BY h.seq LIMIT ?"
    )
    found = tx.rows(
        f"SELECT h.seq, s.user_id AS answered_by, {_ROW}, {_RUN} FROM ({walked}) AS w"
        " JOIN stepwell_history h ON h.run_id=w.run_id AND h.version=w.version JOIN stepwell_runs r ON r.id=h.run_id"
        " LEFT JOIN stepwell_signals s ON s.id=h.signal_id ORDER BY h.seq",
        *parameters,
        after,
        *given,
        limit,
    )
    return [_entry(row) for row in found]


def _shown(tx: Tx, visible: Visible) -> tuple[str, list[Any]]:
    """Return the conditions on a row of the history and its run."""
    found, given = "", []
    if visible.user_id is not None:
        # Whose run it is, the index of users tells without the run's row, which may be large.
        found = " AND EXISTS (SELECT 1 FROM stepwell_runs u INDEXED BY stepwell_runs_user WHERE u.user_id=? AND u.id=h.run_id)"
        given.append(visible.user_id)
    for column, value in (("app_name", visible.app_name), ("workspace_id", visible.workspace_id)):
        if value is not None:
            found += f" AND r.{column}=?"
            given.append(value)
    if visible.apps is not None:
        found += " AND r.app_name IN list(?)"
        given.append(tx.listed(sorted(visible.apps)))
    return found, given


def any_visible(tx: Tx, visible: Visible) -> bool:
    """Return False if no run can be visible: of a user, or in a workspace, without runs."""
    for column, value in (("user_id", visible.user_id), ("workspace_id", visible.workspace_id)):
        if value is not None and tx.scalar(f"SELECT 1 FROM stepwell_runs WHERE {column}=? LIMIT 1", value) is None:
            return False
    return visible.apps is None or bool(visible.apps)


def halt(tx: Tx, seen: Horizon, until: Horizon, most: int = 5_000, visible: Visible = _EVERYTHING) -> Horizon:
    """Return where a reader may halt on the way from `seen` to `until`: about `most` rows further, and `until` if that is nearer.

    Rows of a way in one piece are sorted by their numbers as often as it has pages; an hour's rows are too many for that.
    It is halted between two transactions, and not where the earlier one has a row whose predecessor the later one wrote:
    who waits for a lock has its number before who holds it. Rows that aren't visible may be anywhere.
    """
    at = _after_rows(tx, seen, until, most)
    while at is not None:
        stop = _up_to(until, max(at, seen.xmax) + 1)
        at = _predecessor(tx, seen, stop, until, visible)
        if at is None:
            return stop
    return until


def _after_rows(tx: Tx, seen: Horizon, until: Horizon, most: int) -> int | None:
    sql = "SELECT xact FROM stepwell_history WHERE xact>=? AND xact<? ORDER BY xact LIMIT 1 OFFSET ?"
    found = tx.scalar(sql, seen.xmin, until.xmax, most)
    return None if found is None else int(found)


def _up_to(until: Horizon, xmax: int) -> Horizon:
    """Return what `until` sees of the transactions below `xmax`."""
    if xmax >= until.xmax:
        return until
    unseen = tuple(one for one in until.unseen if one < xmax)
    return Horizon(min((xmax, *unseen)), xmax, unseen)


def _predecessor(tx: Tx, seen: Horizon, stop: Horizon, until: Horizon, visible: Visible) -> int | None:
    """Return the last transaction beyond `stop` that wrote the predecessor of a visible row before it."""
    if stop == until:
        return None
    conditions, parameters = _newly(seen, stop)
    shown, given = _shown(tx, visible)
    found = tx.scalar(
        "SELECT max(p.xact) FROM stepwell_history h INDEXED BY stepwell_history_feed CROSS JOIN stepwell_runs r"
        f" CROSS JOIN stepwell_history p WHERE {conditions}{shown} AND r.id=h.run_id"
        " AND p.run_id=h.run_id AND p.version=h.version-1 AND p.xact>=? AND p.xact<?",
        *parameters,
        *given,
        stop.xmax,
        until.xmax,
    )
    return None if found is None else int(found)


def of_run(tx: Tx, run_id: str, after: int, limit: int) -> list[FeedEntry]:
    """Return the rows of one run after version `after`, in order."""
    found = tx.rows(
        f"SELECT coalesce(h.seq, 0), s.user_id AS answered_by, {_ROW}, {_RUN} {_FROM}"
        " WHERE h.run_id=? AND h.version>? ORDER BY h.version LIMIT ?",
        run_id,
        after,
        limit,
    )
    return [_entry(row) for row in found]


def with_documents(
    tx: Tx, found: Sequence[FeedEntry], watched: Container[str], limit: int
) -> tuple[Sequence[FeedEntry], list[DocumentRow], bool]:
    """Return a page of entries, the documents of those of watched runs, in order, and whether it is the last page.

    Of `found`, which are `limit` unless they are the last ones, the first whose documents together are no larger than
    `DOCUMENT_BYTES`, but one at least. Nothing internal.
    """
    rows = {(entry.run.id, entry.row.version): 0 for entry in found if entry.run.id in watched}
    if not rows:
        return found, [], len(found) < limit
    ids: dict[tuple[str, int], list[str]] = {}
    versions = [version for _, version in rows]
    for id_, run_id, version, size in tx.rows(
        "SELECT id, run_id, version, octet_length(content) + coalesce(octet_length(meta), 0) FROM stepwell_documents"
        " WHERE run_id IN list(?) AND version>=? AND version<=? AND internal=0 ORDER BY version, position, id",
        tx.listed({run_id for run_id, _ in rows}),
        min(versions),
        max(versions),
    ):
        if (run_id, version) in rows:
            rows[run_id, version] += size
            ids.setdefault((run_id, version), []).append(id_)
    shared = inherited(tx, [run_id for run_id, version in rows if version == 0]) if min(versions) == 0 else []
    for one in shared:
        rows[one.run_id, 0] += one.size
    sizes = [rows.get((entry.run.id, entry.row.version), 0) for entry in found]
    page = found[: tables.fitting(sizes, DOCUMENT_BYTES)]
    wanted = [one for entry in page for one in ids.get((entry.run.id, entry.row.version), ())]
    begun = {entry.run.id for entry in page if entry.row.version == 0}
    saved = [one for one in shared if one.run_id in begun] + (_documents(tx, wanted) if wanted else [])
    return page, saved, len(page) == len(found) < limit


def _documents(tx: Tx, ids: Sequence[str]) -> list[DocumentRow]:
    return tx.fetch(
        DocumentRow._make,
        f"SELECT {tables.columns(documents)} FROM stepwell_documents WHERE id IN list(?) ORDER BY version, position, id",
        tx.listed(ids),
    )


def _newly(seen: Horizon, until: Horizon) -> tuple[str, list[Any]]:
    conditions = ["h.xact>=?", "h.xact<?"]
    parameters: list[Any] = [seen.xmin, until.xmax]
    for one in until.unseen:
        conditions.append("h.xact<>?")
        parameters.append(one)
    late = "".join(" OR h.xact=?" for _ in seen.unseen)
    conditions.append(f"(h.xact>=?{late})")
    return " AND ".join(conditions), [*parameters, seen.xmax, *seen.unseen]


def _entry(row: Sequence[Any]) -> FeedEntry:
    return FeedEntry(row[0], row[1], HistoryRow._make(row[2 : _WIDTH + 2]), RunRow._make(row[_WIDTH + 2 :]))
