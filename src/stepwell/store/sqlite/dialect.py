"""SQLite's own operations. Under the write lock a fence that was read can't change before the commit.

What nearly all rows have in common stands in the statement, and is no parameter: binding a value costs SQLite about as
much as storing it, and an index is written whenever a statement sets one of its columns, also to what it was. A row that
is unlike most is written by the statement that sets everything.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, Integer, LargeBinary, Table, case, cast, func, select
from sqlalchemy.exc import DBAPIError

from stepwell.definition.authoring.marks import START
from stepwell.engine.commit import Commit
from stepwell.engine.pauses import PauseRow, covering
from stepwell.engine.run import CREATED_FIELDS, HistoryRow, Moment, RunRow, unless_signalled
from stepwell.store import tables
from stepwell.store.tables import history, runs, workspaces
from stepwell.store.tx import Driver, HeldClaims, Lane, Through, is_heard

_UNION: Final = 400
"""Walks joined by one UNION: SQLite's limit is 500."""


_PAIRS: Final = "(SELECT json_extract(value, '$[0]') AS a, json_extract(value, '$[1]') AS b FROM json_each(?))"
_LOCKING: Final = re.compile(" FOR (?:NO KEY UPDATE(?: SKIP LOCKED)?|KEY SHARE)")
_SIZE: Final = re.compile(r"octet_length\(([\w.]+)\)")
_HAS_SIZE: Final = sqlite3.sqlite_version_info >= (3, 43)
"""From then on SQLite has the function itself, and doesn't load a value for its size."""


@lru_cache(maxsize=1024)
def _words(sql: str) -> str:
    own = sql.replace("IN list(?)", "IN (SELECT value FROM json_each(?))").replace("pairs(?)", _PAIRS)
    if not _HAS_SIZE:
        own = _SIZE.sub(r"length(CAST(\1 AS BLOB))", own)
    return _LOCKING.sub("", own)


LEFT: Final = _words(
    # SQLite never turns a CROSS JOIN round.
    "SELECT id FROM pairs(?) l CROSS JOIN stepwell_signals"
    " WHERE run_id=l.a AND visit=CAST(l.b AS INTEGER) AND state='open'"
)


class Sqlite:
    """The dialect. Parameters are driver-level tuples: rewriting them would cost more than SQLite needs for the row."""

    options: Mapping[str, Any] = {}
    alone = True
    notes_ends = False
    borrowed = False

    def __init__(self) -> None:
        self.words: Callable[[str], str] = _words

    def driver(self, connection: Connection) -> Driver:
        return driver_of(connection)

    def listed(self, values: Iterable[str]) -> str:
        return to_json(list(values)).decode()

    def insert(
        self, driver: Driver, table: Table, given: Sequence[tuple[Any, ...]], unless: Sequence[str] | None
    ) -> None:
        # The stream is in the order of commits: no other transaction writes now.
        numbered: Iterable[tuple[Any, ...]] = given
        if table is history:
            numbered = _numbered(given, _last(driver))
        for sql, rows_ in _inserts(table, numbered, tuple(unless or ())):
            driver.each(sql, rows_)

    def create(self, driver: Driver, commits: Sequence[Commit], wanted: Sequence[tuple[Any, ...]]) -> None:
        if wanted:
            self.insert(driver, workspaces, wanted, ("id",))
        self.insert(driver, runs, [commit.run for commit in commits], ("id",))
        self._told(driver, commits, ("run_id", "version"))

    def _told(self, driver: Driver, commits: Iterable[Commit], unless: Sequence[str] | None = None) -> None:
        told = [commit.history for commit in commits if commit.history is not None]
        if told:
            self.insert(driver, history, told, unless)

    def advance(self, driver: Driver, commits: Sequence[Commit]) -> tuple[Mapping[HeldClaims, int], bool]:
        found = driver.rows(
            _words("SELECT id, version, claim, inbox FROM stepwell_runs WHERE id IN list(?)"),
            (self.listed(commit.run.id for commit in commits),),
        )
        held = {(row[0], row[1], row[2]): row[3] for row in found}
        changes = [
            (unless_signalled(run, held[run.id, version, claim]), (version, claim))
            for version, claim, run, *_ in commits
            if (run.id, version, claim) in held
        ]
        _update(changes, driver.each)
        self._told(driver, (commit for commit in commits if (commit.run.id, commit.version, commit.claim) in held))
        return held, bool(driver.rows("SELECT 1 FROM stepwell_pauses LIMIT 1"))

    def claim(self, driver: Driver, lanes: Sequence[Lane], worker: str, limit: int, now: Moment) -> Sequence[Any]:
        if paused := [PauseRow._make(row) for row in driver.rows(_PAUSES)]:
            lanes = [lane for lane in lanes if not covering(paused, *lane)]
        walks: list[Any] = [value for app, workflow in lanes for value in (app, workflow, limit)]
        return driver.rows(claim_sql(len(lanes)), (worker, now, *walks, limit)) if lanes else []

    def stop_claims(self, driver: Driver) -> None:
        return  # there is one write at a time

    def lock_gates(self, driver: Driver, gate_ids: Iterable[str]) -> Set[str]:
        return set(gate_ids)

    def held(self, driver: Driver, wanted: Sequence[tuple[str, int]]) -> Sequence[Any]:
        sql = f"SELECT {tables.HELD} FROM stepwell_runs WHERE held_by=? ORDER BY held_rank, id LIMIT ?"
        return [row for each in wanted for row in driver.rows(sql, each)]

    def lock_keys(self, driver: Driver, keys: Sequence[str]) -> None:
        return  # no other transaction writes now

    def keyed(self, driver: Driver, keys: Sequence[tuple[str, str, str]]) -> Sequence[Any]:
        return driver.rows(
            f"SELECT {tables.columns(runs, 'r.')} FROM json_each(?) k JOIN stepwell_runs r"
            " ON r.app_name = json_extract(k.value, '$[0]') AND r.user_id = json_extract(k.value, '$[1]')"
            " AND r.idempotency_key = json_extract(k.value, '$[2]')",
            (to_json([list(key) for key in keys]).decode(),),
        )

    def left(self, driver: Driver, visits: str) -> Sequence[Any]:
        return driver.rows(LEFT, (visits,))

    def horizon(self, driver: Driver) -> str:
        last = _last(driver)
        return f"{last + 1}:{last + 1}:"

    def labelled(self, column: ColumnElement[str], label: str) -> ColumnElement[bool]:
        # A row whose labels were spoilt by hand has none: it must not fail the page.
        each = func.json_each(case((func.json_valid(column), column), else_="[]")).table_valued("value")
        return select(each.c.value).where(each.c.value == label).exists()

    def size(self, column: ColumnElement[str]) -> ColumnElement[int]:
        if _HAS_SIZE:
            return func.octet_length(column, type_=Integer)
        return func.length(cast(column, LargeBinary), type_=Integer)


@lru_cache(maxsize=64)
def claim_sql(lanes: int) -> str:
    """Return the statement of a claim for so many lanes: one walk along the ready index per lane, the best of all of them."""
    walk = (
        "SELECT * FROM (SELECT id, ready_at - headstart AS rank FROM stepwell_runs INDEXED BY stepwell_runs_ready"
        " WHERE app_name=? AND workflow_name=? AND ready_at IS NOT NULL ORDER BY ready_at - headstart LIMIT ?)"
    )
    best = _best_of([walk] * lanes)
    return (
        f"UPDATE stepwell_runs SET {tables.CLAIMED}"
        f" WHERE id IN (SELECT id FROM ({best}) ORDER BY rank LIMIT ?) RETURNING {tables.columns(runs)}"
    )


def _best_of(walks: Sequence[str]) -> str:
    while len(walks) > _UNION:
        groups = [walks[start : start + _UNION] for start in range(0, len(walks), _UNION)]
        walks = [f"SELECT * FROM ({' UNION ALL '.join(group)})" for group in groups]
    return " UNION ALL ".join(walks)


_LAST: Final = "SELECT max(xact) FROM stepwell_history"
_PAUSES: Final = f"SELECT {tables.columns(tables.pauses)} FROM stepwell_pauses"


def _last(driver: Driver) -> int:
    return driver.rows(_LAST)[0][0] or 0


class Direct:
    """By sqlite3 itself, in the writer's thread, where SQLAlchemy would cost more than SQLite."""

    __slots__ = ("_given",)

    def __init__(self, given: sqlite3.Connection) -> None:
        self._given = given

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Sequence[Any]:
        try:
            return self._given.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise _told(sql, parameters, error) from error

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        try:
            return self._given.execute(sql, parameters).rowcount
        except sqlite3.Error as error:
            raise _told(sql, parameters, error) from error

    def each(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        try:
            return self._given.executemany(sql, rows).rowcount
        except sqlite3.Error as error:
            raise _told(sql, rows, error) from error


def _told(sql: str, parameters: Any, error: sqlite3.Error) -> BaseException:
    return DBAPIError.instance(sql, parameters, error, sqlite3.Error)


def driver_of(connection: Connection) -> Driver:
    """Return the quickest way to execute statements on this connection."""
    given: Any = connection.connection.dbapi_connection
    return Direct(given) if isinstance(given, sqlite3.Connection) and not is_heard(connection) else Through(connection)


Row = tuple[Any, ...]
Written = tuple[str, list[Row]]
"""A statement, and its parameters once for each row."""

_QUIET: Final[Mapping[str, Any]] = {
    "error": None,
    "attempt": 0,
    "failing": None,
    "failures": 0,
    "bound": None,
    "bound_signal": None,
    "moves_to": None,
    "detours": None,
    "takeovers": 0,
    "suspicion": None,
}
"""The columns of a run in which nothing has failed."""
_COMMON: Final[Mapping[str, Mapping[str, Any]]] = {
    runs.name: {
        **_QUIET,
        **dict.fromkeys(("parent_id", "callback", "callback_meta", "on_parent_end", "result", "told_at"), None),
        **dict.fromkeys(("finished_at", "callbacks", "stay"), None),
        **dict.fromkeys(("group_id", "group_index", "gates", "held_by", "held_rank", "expires_at", "ended_at"), None),
        **dict.fromkeys(("on_cancel", "timers", "canceling"), None),
        **dict.fromkeys(("forked_from", "forked_at", "forked_with", "former"), None),
        **dict.fromkeys(("internal", "inbox", "version", "visit", "automatic", "children"), 0),
        "place": START,
    },
    history.name: {"status": "committed", "error": None, "trace": None, "signal_id": None},
}
"""The columns that most inserted rows have in common."""


def _literal(value: Any) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


def _taker(fields: Sequence[str], names: Iterable[str]) -> Callable[[Row], Row]:
    return itemgetter(*map(fields.index, names))


# -- rows that are inserted -------------------------------------------------------------------------------------------


def _inserts(table: Table, given: Iterable[Row], unless: tuple[str, ...]) -> Iterator[Written]:
    """Yield the statements that insert these rows; with `unless`, those for which these columns aren't taken."""
    if table.name not in _COMMON:
        yield _insert_any(table, unless), list(given)
        return
    sql, common, wanted, values = _insert_common(table, unless)
    usual, others = [], []
    for row in given:
        if common(row) == wanted:
            usual.append(values(row))
        else:
            others.append(row)
    if usual:
        yield sql, usual
    if others:
        yield _insert_any(table, unless), others


@lru_cache(maxsize=64)
def _insert_any(table: Table, unless: tuple[str, ...]) -> str:
    names = [column.name for column in table.columns]
    return _inserted(table.name, names, "?" * len(names), unless)


@lru_cache(maxsize=8)
def _insert_common(
    table: Table, unless: tuple[str, ...]
) -> tuple[str, Callable[[Row], Row], Row, Callable[[Row], Row]]:
    """Return the statement for usual rows; what makes a row usual, and its value; and the parameters of a row."""
    common = _COMMON[table.name]
    names = [column.name for column in table.columns]
    given = [name for name in names if name not in common]
    values = [*"?" * len(given), *map(_literal, common.values())]
    sql = _inserted(table.name, [*given, *common], values, unless)
    return sql, _taker(names, common), tuple(common.values()), _taker(names, given)


def _inserted(table: str, names: Sequence[str], values: Iterable[str], unless: tuple[str, ...]) -> str:
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(values)})"
    return f"{sql} ON CONFLICT ({', '.join(unless)}) {tables.IF_TAKEN.get(table, 'DO NOTHING')}" if unless else sql


# -- checkpoints ------------------------------------------------------------------------------------------------------

Fenced = tuple[int, int]
"""The version and the claim that a run must still have."""


class _Update:
    """Checkpoints that set `moving`, of runs in which `common` and `same` are before as they are afterwards."""

    def __init__(self, moving: Sequence[str], common: Mapping[str, Any], same: Sequence[str]) -> None:
        conditions = [f"{name} IS {_literal(value)}" for name, value in common.items()]
        conditions += [f"{name} IS ?" for name in same]
        self.sql = _updated(moving, conditions)
        self._common = _taker(RunRow._fields, common)
        self._wanted = tuple(common.values())
        self._moving = _taker(RunRow._fields, moving)
        self._same = _taker(RunRow._fields, same)

    def fits(self, run: RunRow) -> bool:
        """Return whether the run is afterwards as the statement says."""
        return self._common(run) == self._wanted

    def row(self, run: RunRow, held: Fenced) -> Row:
        """Return the parameters."""
        return (*self._moving(run), run.id, *held, *self._same(run))


def _updated(moving: Iterable[str], conditions: Iterable[str] = ()) -> str:
    found = ("id=?", "version=?", "claim=?", *conditions)
    return f"UPDATE stepwell_runs SET {', '.join(f'{name}=?' for name in moving)} WHERE {' AND '.join(found)}"


_MOVES: Final = ("place", "version", "state", "visit", "entered_at", "automatic", "updated_at")
_ENDS: Final = ("status", "owner", "result", "told_at", "finished_at")
_KEPT: Final = ("claim", "deadline", "children", "callbacks", "stay")
_UNPLACED: Final = {**_QUIET, **dict.fromkeys(("ready_at", "due_at", "timers", "canceling"), None)}
_UPDATES: Final = (
    _Update(
        _MOVES,
        {**_UNPLACED, "status": "running", "result": None, "told_at": None, "finished_at": None},
        ("owner", *_KEPT),
    ),
    _Update((*_MOVES, *_ENDS), _UNPLACED, _KEPT),
)
"""It goes on where it is executed; it ends, or waits without a timer."""
_UPDATE_ANY: Final = _updated(RunRow._fields[CREATED_FIELDS:])


def _update(changes: Sequence[tuple[RunRow, Fenced]], execute: Callable[[str, list[Row]], int]) -> None:
    """Update the runs. `execute` runs a statement for each row, and returns how many rows it has changed."""
    left: list[tuple[RunRow, Fenced]] = []
    sorted_: list[list[tuple[RunRow, Fenced]]] = [[] for _ in _UPDATES]
    for change in changes:
        for usual, found in zip(_UPDATES, sorted_, strict=True):
            if usual.fits(change[0]):
                found.append(change)
                break
        else:
            left.append(change)
    for usual, found in zip(_UPDATES, sorted_, strict=True):
        # Where a run was unlike most before, the number is short: what was written has another version by now.
        if found and execute(usual.sql, [usual.row(*change) for change in found]) < len(found):
            left += found
    if left:
        execute(_UPDATE_ANY, [(*run[CREATED_FIELDS:], run.id, *held) for run, held in left])


_FINISHED_AT: Final = HistoryRow._fields.index("finished_at")


def _numbered(given: Sequence[Row], last: int) -> Iterator[Row]:
    """Yield the rows of the history with their numbers in the stream; they follow the clock.

    So a number isn't given again where the newest rows were deleted.
    """
    first = max(last + 1, given[0][_FINISHED_AT])
    return ((*row, number, number) for number, row in enumerate(given, first))
