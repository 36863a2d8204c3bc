"""Lists of runs for people: filters, keyset pages.

No filter may make the database walk over all runs. One condition leads along an index, newest first; what the index
doesn't know is tried on a bounded number of rows, and the page says where the next one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final, NamedTuple

from pydantic_core import to_json
from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Subquery,
    Text,
    and_,
    case,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)  # fmt: skip

from stepwell.engine.pauses import PauseRow
from stepwell.engine.run import Moment, RunRow
from stepwell.store import pauses, tables
from stepwell.store import runs as runs_store
from stepwell.store.reading.feed import HEAVY
from stepwell.store.tables import fitting, runs
from stepwell.store.tx import Tx

TRIED: Final = 20_000
"""Rows to which conditions without an index are applied, for one page."""
TEXTS_TRIED: Final = 5_000
"""The same for a text, which is looked for in the args too."""
SEARCHED: Final = 16_384
"""Characters of the args and of the error of a run in which a text is looked for, from their beginnings."""
READ_BYTES: Final = 128 * 1024 * 1024
"""Bytes of runs that the database reads for one page of a search: it ends with the stretch in which it has read them."""
_FIRST_STRETCH: Final = 16
"""Runs that are searched at once. Further stretches are longer, as long as the runs are small."""
_LOADED_AT_FIRST: Final = 4
_LOADED_AT_ONCE: Final = 250
"""Whole runs that are read at once."""
_COMPLETED: Final[ColumnElement[str]] = literal_column("'completed'")


@dataclass(frozen=True, slots=True)
class Filter:
    """The wanted runs; None: any."""

    app_name: str | None = None
    workflow_name: str | None = None
    status: tuple[str, ...] | None = None
    label: str | None = None
    user_id: str | None = None
    workspace_id: str | None = None
    parent_id: str | None = None
    apps: tuple[str, ...] | None = None
    place: str | None = None
    text: str | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    newest_id: str | None = None
    """Ids carry the time: none of the wanted is greater than this, where that is known."""
    oldest_id: str | None = None


class Listed(NamedTuple):
    """Some runs, the newest first, and the id before which to go on; None: there are no more."""

    runs: list[RunRow]
    before: str | None


def list_runs(tx: Tx, wanted: Filter, limit: int, before: str | None, *, brief: bool = False) -> Listed:
    """Return the newest wanted runs; fewer than `limit` also where further ones are too far away.

    Internal ones are left out. With `brief` the large columns args, state and result are null.
    """
    lead = _lead(wanted)
    rest = _conditions(tx, wanted, lead)
    if not wanted.text and (brief or not rest):
        return _at_once(tx, wanted, lead, rest, limit, before, brief)
    ids, cursor = _ids(tx, wanted, lead, rest, limit, before)
    if brief:
        query = select(*columns(runs, True)).where(runs.c.id.in_(ids)).order_by(runs.c.id.desc())
        return Listed([RunRow._make(row) for row in tx.execute(query)], cursor)
    return Listed(_whole(tx, wanted, ids), cursor)


def list_within(tx: Tx, wanted: Filter, limit: int, before: str | None, most_bytes: int) -> Listed:
    """Like `list_runs`, with the large columns, and no larger than `most_bytes` unless by one run."""
    lead = _lead(wanted)
    ids, cursor = _ids(tx, wanted, lead, _conditions(tx, wanted, lead), limit, before)
    found: list[RunRow] = []
    start, size = 0, _LOADED_AT_FIRST
    while start < len(ids):
        stretch = ids[start : start + size]
        loaded = _whole(tx, wanted, stretch)
        found += loaded
        kept = fitting(map(_bytes, found), most_bytes)
        if kept < len(found):
            return Listed(found[:kept], found[kept - 1].id)
        start += len(stretch)
        # No more than what still fits, as far as those before tell.
        left, largest = most_bytes - sum(map(_bytes, found)), max(map(_bytes, loaded), default=1)
        size = max(1, min(left // max(largest, 1), _LOADED_AT_ONCE))
    return Listed(found, cursor)


def _bytes(run: RunRow) -> int:
    return len(run.args) + len(run.state) + len(run.result or "")


def _whole(tx: Tx, wanted: Filter, ids: Sequence[str]) -> list[RunRow]:
    """Return these runs, without those that have got another status meanwhile."""
    loaded = runs_store.load(tx, ids)
    found = [loaded[one] for one in ids if one in loaded]
    return [run for run in found if wanted.status is None or run.status in wanted.status]


def _at_once(
    tx: Tx, wanted: Filter, lead: str | None, rest: Mapping[str, _Where], limit: int, before: str | None, brief: bool
) -> Listed:
    tried = max(TRIED if rest else 0, limit + 1)
    walked = _walk(wanted, lead, before, tried, [one for one in _NAMES if not brief or one not in HEAVY])
    query = select(*columns(walked, brief)).where(*(one(walked.c) for one in rest.values()))
    found = [RunRow._make(row) for row in tx.execute(query.order_by(walked.c.id.desc()).limit(limit + 1))]
    if len(found) > limit:
        return Listed(found[:limit], found[limit - 1].id)
    return Listed(found, _last(tx, walked, tried) if rest else None)


def _last(tx: Tx, walked: Subquery, tried: int) -> str | None:
    """Return the last run that was tried, if there may be more."""
    last = select(walked.c.id).order_by(walked.c.id.desc()).offset(tried - 1).limit(1)
    found: str | None = tx.execute(last).scalar()
    return found


def _ids(
    tx: Tx, wanted: Filter, lead: str | None, rest: Mapping[str, _Where], limit: int, before: str | None
) -> tuple[list[str], str | None]:
    """Return what `list_runs` does: only the ids, and where to go on."""
    if wanted.text:
        return _searched(tx, wanted, lead, rest, limit, before)
    tried = max(TRIED if rest else 0, limit + 1)
    walked = _walk(wanted, lead, before, tried, ["id", *rest])
    query = select(walked.c.id).where(*(one(walked.c) for one in rest.values()))
    found = list(tx.execute(query.order_by(walked.c.id.desc()).limit(limit + 1)).scalars())
    if len(found) > limit:
        return found[:limit], found[limit - 1]
    return found, _last(tx, walked, tried) if rest else None


def _searched(
    tx: Tx, wanted: Filter, lead: str | None, rest: Mapping[str, _Where], limit: int, before: str | None
) -> tuple[list[str], str | None]:
    """Return what `_ids` does, for a text: stretch by stretch, until enough runs are found or too much is read."""
    found: list[str] = []
    left, unread, size = max(TEXTS_TRIED, limit + 1), READ_BYTES, _FIRST_STRETCH
    while True:
        size = min(size, left)
        walked = _walk(wanted, lead, before, size, _NAMES)
        read = reduce(add, (func.coalesce(tx.dialect.size(walked.c[name]), 0) for name in HEAVY))
        fits = case((and_(*(one(walked.c) for one in rest.values())), 1), else_=0)
        seen: Sequence[Any] = tx.execute(select(walked.c.id, read, fits).order_by(walked.c.id.desc())).fetchall()
        found += [row[0] for row in seen if row[2]]
        if len(found) > limit:
            return found[:limit], found[limit - 1]
        if len(seen) < size:
            return found, None
        before = seen[-1][0]
        left, unread = left - size, unread - sum(row[1] for row in seen)
        if left <= 0 or unread <= 0:
            return found, before
        largest = max(row[1] for row in seen)
        size = max(1, min(unread // max(largest, 1), 4 * size))


def ready(tx: Tx, limit: int = 1000) -> list[RunRow]:
    """Return runs that wait for a worker with a free slot, those that wait longest first; internal ones too.

    Runs that are paused wait for something else.
    """
    query = select(runs).where(runs.c.ready_at.is_not(None)).order_by(runs.c.ready_at)
    if paused := pauses.all_of(tx):
        query = query.where(*(not_(_covered(pause)) for pause in paused))
    return [RunRow._make(row) for row in tx.execute(query.limit(limit))]


def _covered(pause: PauseRow) -> ColumnElement[bool]:
    """Return the condition that the pause covers a run (`PauseRow.covers`)."""
    named = ((runs.c.app_name, pause.app_name), (runs.c.workflow_name, pause.workflow_name))
    return and_(runs.c.workflow_name.not_like("%:%"), *(column == name for column, name in named if name))


def columns(source: Any, brief: bool) -> list[Any]:
    """Return all columns of a run, in order."""
    return [
        literal_column("'null'").label(column.name) if brief and column.name in HEAVY else source.c[column.name]
        for column in runs.columns
    ]


_NAMES: Final = tables.names(runs)
_LEADS: Final = ("parent_id", "workspace_id", "status", "workflow_name", "user_id")


def _lead(wanted: Filter) -> str | None:
    """Return the condition whose index is walked."""
    for name in _LEADS:
        if getattr(wanted, name) is None:
            continue
        if name == "status" and "completed" in (wanted.status or ()):
            continue  # most are
        if name == "workflow_name" and wanted.app_name is None:
            continue
        return name
    return None


def _walk(wanted: Filter, lead: str | None, before: str | None, size: int, names: Sequence[str]) -> Subquery:
    bounds = [runs.c.internal == 0]
    if before is not None:
        bounds.append(runs.c.id < before)
    if wanted.newest_id is not None:
        bounds.append(runs.c.id <= wanted.newest_id)
    if wanted.oldest_id is not None:
        bounds.append(runs.c.id >= wanted.oldest_id)
    if lead == "workflow_name":
        bounds.append(runs.c.app_name == wanted.app_name)
    if lead is not None and lead != "status":
        bounds.append(runs.c[lead] == getattr(wanted, lead))
    taken = [runs.c[name] for name in names]
    if lead != "status":
        return _newest(taken, bounds, size).subquery()
    # Each status has its own stretch of the index: the newest of all are among the newest of each. It is said twice: only
    # what stands in the statement itself shows that the partial index has them all.
    found = [
        _newest(taken, [*bounds, runs.c.status == one, runs.c.status != _COMPLETED], size)
        for one in wanted.status or ()
    ]
    if len(found) == 1:
        return found[0].subquery()
    ids = union_all(*(select(one.subquery().c.id) for one in found))
    return _newest(taken, [runs.c.id.in_(ids)], size).subquery()


def _newest(taken: Sequence[Column[Any]], where: list[ColumnElement[bool]], size: int) -> Select[Any]:
    # SQLite reads all columns that stand in a subquery, needed or not.
    return select(*taken).where(*where).order_by(runs.c.id.desc()).limit(size)


_Where = Callable[[Any], ColumnElement[bool]]
"""A condition on the columns of the rows that were walked."""

_EQUAL: Final = ("app_name", "workflow_name", "user_id", "workspace_id", "parent_id", "place")


def _equal(name: str, value: str) -> _Where:
    return lambda c: c[name] == value


def _conditions(tx: Tx, wanted: Filter, lead: str | None) -> Mapping[str, _Where]:
    """Return the conditions that the walk doesn't know yet, by the column that they need; a text needs several."""
    led = {lead, "app_name"} if lead == "workflow_name" else {lead}
    found: dict[str, _Where] = {
        name: _equal(name, getattr(wanted, name))
        for name in _EQUAL
        if name not in led and getattr(wanted, name) is not None
    }
    if wanted.status is not None and lead != "status":
        found["status"] = lambda c: c.status.in_(wanted.status)
    if wanted.apps is not None:
        named, apps = found.get("app_name"), wanted.apps
        found["app_name"] = lambda c: and_(c.app_name.in_(apps), *([] if named is None else [named(c)]))
    if wanted.label is not None:
        found["labels"] = lambda c: tx.dialect.labelled(c.labels, wanted.label or "")
    if wanted.created_after is not None or wanted.created_before is not None:
        found["created_at"] = lambda c: and_(
            true() if wanted.created_after is None else c.created_at >= wanted.created_after,
            true() if wanted.created_before is None else c.created_at < wanted.created_before,
        )
    if wanted.text:
        found["args"] = lambda c: _holds(c, wanted.text or "")
    return found


_SEARCHED: Final[Sequence[str]] = ("workflow_name", "user_id", "place", "idempotency_key", "error", "subject")
_SEARCHED_JSON: Final[Sequence[str]] = ("labels", "args")
_MAY_BE_LARGE: Final = ("args", "error")
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
"""Lower case as both databases have it: characters outside ASCII stay as they are."""


def _holds(c: Any, text: str) -> ColumnElement[bool]:
    plain = text.translate(_LOWER)
    # As it stands within a JSON string: quotes and backslashes are escaped there.
    quoted = to_json(text).decode()[1:-1].translate(_LOWER)
    return or_(
        c.id.startswith(plain, autoescape=True),
        *(_lowered(c, name).contains(plain, autoescape=True) for name in _SEARCHED),
        *(_lowered(c, name).contains(quoted, autoescape=True) for name in _SEARCHED_JSON),
    )


def _lowered(c: Any, name: str) -> ColumnElement[str]:
    column = func.substr(c[name], 1, SEARCHED) if name in _MAY_BE_LARGE else c[name]
    return func.lower(column, type_=Text)
