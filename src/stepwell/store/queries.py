"""Reading runs for people: filters, keyset pages.

No filter may make the database walk over all runs. One condition leads along an index, newest first; what the index
doesn't know is tried on a bounded number of rows, and the page says where the next one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final, NamedTuple

from pydantic_core import to_json
from sqlalchemy import ColumnElement, Select, Subquery, and_, func, literal_column, or_, select, union_all

from stepwell.engine.run import Moment, Run
from stepwell.store import runs as runs_store
from stepwell.store.feed import HEAVY
from stepwell.store.rows import fitting
from stepwell.store.tables import runs
from stepwell.store.tx import Tx

TRIED: Final = 20_000
"""Rows on which what no index knows is tried, for one page."""
TEXTS_TRIED: Final = 5_000
"""The same for a text, which is looked for in the args too."""
_TOGETHER: Final = 25
"""Whole runs that are read at once."""
_COMPLETED: Final[ColumnElement[str]] = literal_column("'completed'")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs to list; None: any."""

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

    runs: list[Run]
    before: str | None


def list_runs(tx: Tx, wanted: Filter, limit: int, before: str | None, *, brief: bool = False) -> Listed:
    """The newest runs that are wanted; fewer than `limit` also where the next ones are further away than is looked.

    Internal ones are left out. With `brief` without what is heavy: args, state and result are null.
    """
    lead = _lead(wanted)
    rest = _conditions(tx, wanted, lead)
    tried = limit + 1 if not rest else max(TEXTS_TRIED if wanted.text else TRIED, limit + 1)
    walked = _walk(wanted, lead, before, tried)
    query = select(*columns(walked, brief)).where(*(one(walked.c) for one in rest))
    found = [Run._make(row) for row in tx.execute(query.order_by(walked.c.id.desc()).limit(limit + 1))]
    if len(found) > limit:
        return Listed(found[:limit], found[limit - 1].id)
    if not rest:
        return Listed(found, None)
    last = select(walked.c.id).order_by(walked.c.id.desc()).offset(tried - 1).limit(1)
    return Listed(found, tx.execute(last).scalar())


def list_within(tx: Tx, wanted: Filter, limit: int, before: str | None, most_bytes: int) -> Listed:
    """As `list_runs`, with what is heavy, and no larger than `most_bytes` unless by one run."""
    brief, cursor = list_runs(tx, wanted, limit, before, brief=True)
    found: list[Run] = []
    for start in range(0, len(brief), _TOGETHER):
        loaded = runs_store.load(tx, [run.id for run in brief[start : start + _TOGETHER]])
        found += [loaded[run.id] for run in brief[start : start + _TOGETHER] if run.id in loaded]
        kept = fitting((len(run.args) + len(run.state) + len(run.result or "") for run in found), most_bytes)
        if kept < len(found):
            return Listed(found[:kept], found[kept - 1].id)
    return Listed(found, cursor)


def ready(tx: Tx, limit: int = 1000) -> list[Run]:
    """Runs that wait for a worker with a free slot, those that wait longest first; internal ones too."""
    query = select(runs).where(runs.c.ready_at.is_not(None)).order_by(runs.c.ready_at).limit(limit)
    return [Run._make(row) for row in tx.execute(query)]


def columns(source: Any, brief: bool) -> list[Any]:
    """All columns of a run, in order."""
    return [
        literal_column("'null'").label(column.name) if brief and column.name in HEAVY else source.c[column.name]
        for column in runs.columns
    ]


_LEADS: Final = ("parent_id", "workspace_id", "status", "workflow_name", "user_id")


def _lead(wanted: Filter) -> str | None:
    """The condition whose index is walked."""
    for name in _LEADS:
        if getattr(wanted, name) is None:
            continue
        if name == "status" and "completed" in (wanted.status or ()):
            continue  # most are
        if name == "workflow_name" and wanted.app_name is None:
            continue
        return name
    return None


def _walk(wanted: Filter, lead: str | None, before: str | None, size: int) -> Subquery:
    bounds = [runs.c.internal == 0]
    if before is not None:
        bounds.append(runs.c.id < before)
    if wanted.newest_id is not None:
        bounds.append(runs.c.id <= wanted.newest_id)
    if wanted.oldest_id is not None:
        bounds.append(runs.c.id >= wanted.oldest_id)
    if lead != "status":
        return _newest(and_(*bounds, *_led(wanted, lead)), size).subquery()
    # Each status has its own stretch of the index: the newest of all are among the newest of each.
    found = [_newest(and_(*bounds, *_of_status(one)), size) for one in wanted.status or ()]
    if len(found) == 1:
        return found[0].subquery()
    ids = union_all(*(select(one.subquery().c.id) for one in found))
    return select(runs).where(runs.c.id.in_(ids)).order_by(runs.c.id.desc()).limit(size).subquery()


def _newest(where: ColumnElement[bool], size: int) -> Select[Any]:
    return select(runs).where(where).order_by(runs.c.id.desc()).limit(size)


def _led(wanted: Filter, lead: str | None) -> list[ColumnElement[bool]]:
    if lead is None:
        return []
    found = [runs.c[lead] == getattr(wanted, lead)]
    return [runs.c.app_name == wanted.app_name, *found] if lead == "workflow_name" else found


def _of_status(status: str) -> tuple[ColumnElement[bool], ...]:
    # Said twice: only what stands in the statement itself shows that the partial index has them all.
    return runs.c.status == status, runs.c.status != _COMPLETED


_Where = Callable[[Any], ColumnElement[bool]]
"""A condition on the columns of the rows that were walked."""

_EQUAL: Final = ("app_name", "workflow_name", "user_id", "workspace_id", "parent_id", "place")


def _equal(name: str, value: str) -> _Where:
    return lambda c: c[name] == value


def _conditions(tx: Tx, wanted: Filter, lead: str | None) -> list[_Where]:
    led = {lead, "app_name"} if lead == "workflow_name" else {lead}
    found: list[_Where] = [
        _equal(name, getattr(wanted, name)) for name in _EQUAL if name not in led and getattr(wanted, name) is not None
    ]
    if wanted.status is not None and lead != "status":
        found.append(lambda c: c.status.in_(wanted.status))
    if wanted.apps is not None:
        found.append(lambda c: c.app_name.in_(wanted.apps))
    if wanted.label is not None:
        found.append(lambda c: tx.dialect.labelled(c.labels, wanted.label or ""))
    if wanted.created_after is not None:
        found.append(lambda c: c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        found.append(lambda c: c.created_at < wanted.created_before)
    if wanted.text:
        found.append(lambda c: _holds(c, wanted.text or ""))
    return found


_SEARCHED: Final[Sequence[str]] = ("workflow_name", "user_id", "place", "idempotency_key", "error")
_SEARCHED_JSON: Final[Sequence[str]] = ("labels", "args")
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
"""As both databases have it: what isn't ASCII stays as it is."""


def _holds(c: Any, text: str) -> ColumnElement[bool]:
    plain = text.translate(_LOWER)
    # As it stands within a JSON string: quotes and backslashes are escaped there.
    quoted = to_json(text).decode()[1:-1].translate(_LOWER)
    return or_(
        c.id.startswith(plain, autoescape=True),
        *(func.lower(c[name]).contains(plain, autoescape=True) for name in _SEARCHED),
        *(func.lower(c[name]).contains(quoted, autoescape=True) for name in _SEARCHED_JSON),
    )
