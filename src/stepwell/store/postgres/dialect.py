"""PostgreSQL's own operations: sets of rows in one statement, and locks of rows instead of a write lock.

Statements that change many runs take them in the order of their ids, so that two processes don't wait for each other.

Sets of rows are parameters: one list per column, and one value for columns that are alike in all rows. A list costs as
much to send as to use, and most columns of most rows say nothing: no error, no parent, first attempt. They are sent in
groups, as each combination is a statement of its own to plan. A list is one text, which the server splits: the driver asks
each element of an array whether it is an array too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import count
from operator import itemgetter
from typing import Any, Final, NamedTuple
from zlib import crc32

from pydantic_core import to_json
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    SmallInteger,
    Table,
    Text,
    case,
    cast,
    func,
    literal,
)
from sqlalchemy.dialects.postgresql import JSONB

from stepwell.engine.commit import Commit
from stepwell.engine.run import CREATED_FIELDS, HistoryRow, Moment, RunRow
from stepwell.store import tables
from stepwell.store.pauses import OPEN, paused_sql
from stepwell.store.tables import history, runs, workspaces
from stepwell.store.tx import Driver, Formatted, HeldClaims, Lane, Through, paired

_MARK: Final = re.compile(r"\?")
_TABLE: Final = re.compile(r"\bstepwell_\w+")
_INDEX: Final = re.compile(r" INDEXED BY \w+")
_PAIRS: Final = "(SELECT j->>0 AS a, j->>1 AS b FROM json_array_elements(CAST(CAST(? AS text) AS json)) AS e(j))"


class Postgres:
    """The dialect, for tables in `schema` (None: where the connection's search path finds them)."""

    alone = False
    notes_ends = True
    borrowed = False

    def __init__(self, schema: str | None) -> None:
        self.options: Mapping[str, Any] = {} if schema is None else {"schema_translate_map": {None: schema}}
        self._prefix = "" if schema is None else '"' + schema.replace('"', '""') + '".'
        self.words: Callable[[str], str] = lru_cache(maxsize=1024)(self._words)

    def _words(self, sql: str) -> str:
        numbers = count(1)
        sql = _INDEX.sub("", sql.replace("IN list(?)", "= ANY(?)").replace("pairs(?)", _PAIRS))
        sql = _MARK.sub(lambda _: f"${next(numbers)}", sql)
        return _TABLE.sub(lambda found: self._prefix + found[0], sql) if self._prefix else sql

    def driver(self, connection: Connection) -> Driver:
        # Stepwell's own are asyncpg's; a caller's may be any driver's.
        return Through(connection) if connection.dialect.paramstyle == "numeric_dollar" else Formatted(connection)

    def listed(self, values: Iterable[str]) -> list[str]:
        return list(values)

    def insert(
        self, driver: Driver, table: Table, given: Sequence[tuple[Any, ...]], unless: Sequence[str] | None
    ) -> None:
        shape, parameters = packed(tables.names(table), table, given)
        driver.change(self.words(insert_sql(table, shape, tuple(unless or ()))), parameters)

    def create(self, driver: Driver, commits: Sequence[Commit], wanted: Sequence[tuple[Any, ...]]) -> None:
        shape, parameters = packed(tables.names(runs), runs, [commit.run for commit in commits])
        plain = all(commit.history == first_row(commit.run) for commit in commits)
        # In one statement: another one would cost each start as much as the run itself.
        beside = tuple(map(list, zip(*wanted, strict=True)))
        driver.change(self.words(create_sql(shape, bool(wanted), plain)), (*beside, *parameters))
        if not plain:
            self._told(driver, commits, ("run_id", "version"))

    def advance(self, driver: Driver, commits: Sequence[Commit]) -> tuple[Mapping[HeldClaims, int], bool]:
        together = all(commit.history is not None and commit.history.run_id == commit.run.id for commit in commits)
        changes = sorted(
            (
                (run.id, version, claim, run.inbox, *run[CREATED_FIELDS:], *(told[1:] if together and told else ()))
                for version, claim, run, told, *_ in commits
            ),
            key=itemgetter(0),
        )
        shape, parameters = packed(CHANGE_TOLD if together else CHANGE, runs, changes)
        found = driver.rows(self.words(advance_sql(shape)), parameters)
        held = {(row[0], row[1], row[2]): row[3] for row in found}
        if not together:
            self._told(driver, (commit for commit in commits if (commit.run.id, commit.version, commit.claim) in held))
        return held, bool(found and found[0][4])

    def _told(self, driver: Driver, commits: Iterable[Commit], unless: Sequence[str] | None = None) -> None:
        told = [commit.history for commit in commits if commit.history is not None]
        if told:
            self.insert(driver, history, told, unless)

    def claim(self, driver: Driver, lanes: Sequence[Lane], worker: str, limit: int, now: Moment) -> Sequence[Any]:
        return driver.rows(self.words(CLAIM), (paired(lanes), limit, limit, worker, now))

    def stop_claims(self, driver: Driver) -> None:
        driver.change(self.words("LOCK TABLE stepwell_pauses IN EXCLUSIVE MODE"))

    def lock_gates(self, driver: Driver, gate_ids: Iterable[str]) -> Set[str]:
        buckets: dict[int, list[str]] = {}
        for gate_id in gate_ids:
            buckets.setdefault(_bucket(gate_id), []).append(gate_id)
        wanted = sorted(buckets)[:_LOCKS]
        if not wanted:
            return set()
        found = driver.rows(
            "SELECT b FROM unnest(CAST(string_to_array(CAST($1 AS text), ',') AS integer[])) AS u(b)"
            f" WHERE pg_try_advisory_xact_lock({_GATES}, b)",
            (",".join(map(str, wanted)),),
        )
        return {gate_id for row in found for gate_id in buckets[row[0]]}

    def held(self, driver: Driver, wanted: Sequence[tuple[str, int]]) -> Sequence[Any]:
        given = paired((gate_id, str(count)) for gate_id, count in wanted)
        return driver.rows(self.words(HELD), (given,))

    def lock_keys(self, driver: Driver, keys: Sequence[str]) -> None:
        wanted = sorted({_bucket(key) for key in keys})
        driver.rows(LOCK_BUCKETS, (",".join(map(str, wanted)),))

    def keyed(self, driver: Driver, keys: Sequence[tuple[str, str, str]]) -> Sequence[Any]:
        return driver.rows(
            self.words(
                f"SELECT {tables.columns(runs, 'r.')} FROM json_array_elements(CAST(CAST(? AS text) AS json)) AS k(j)"
                " JOIN stepwell_runs r ON r.app_name=j->>0 AND r.user_id=j->>1 AND r.idempotency_key=j->>2"
            ),
            (to_json([list(key) for key in keys]).decode(),),
        )

    def left(self, driver: Driver, visits: str) -> Sequence[Any]:
        return driver.rows(self.words(LEFT), (visits,))

    def horizon(self, driver: Driver) -> str:
        return str(driver.rows("SELECT CAST(pg_current_snapshot() AS text)")[0][0])

    def labelled(self, column: ColumnElement[str], label: str) -> ColumnElement[bool]:
        # A row whose labels were spoilt by hand has none: it must not fail the page.
        readable = case((column.regexp_match(_TEXTS), column), else_="[]")
        return cast(readable, JSONB).contains(cast(literal(to_json([label]).decode()), JSONB))

    def size(self, column: ColumnElement[str]) -> ColumnElement[int]:
        return func.octet_length(column, type_=Integer)


class InCallers(Postgres):
    """The same in a caller's transaction, or a large one, before which the workspaces were made (rule 36).

    Above READ COMMITTED it doesn't see those that were made since it began, and would fail where it met one.
    """

    borrowed = True

    def __init__(self, own: Postgres) -> None:
        vars(self).update(vars(own))

    def create(self, driver: Driver, commits: Sequence[Commit], wanted: Sequence[tuple[Any, ...]]) -> None:
        super().create(driver, commits, ())


_PART: Final = r'([^"\\\x01-\x1f]|\\["\\/bfnrt]|\\u00(0[1-9a-f]|[1-9a-f][0-9a-f]))*'
_TEXTS: Final = rf'^\[("{_PART}"(, ?"{_PART}")*)?\]$'
"""A list of texts as Stepwell writes it: whatever matches is JSON."""


# First how many of the best each lane has, by reading; then exactly so many are locked, past those that others hold.
_WALK: Final = (
    "FROM stepwell_runs WHERE app_name={0} AND workflow_name={1} AND ready_at IS NOT NULL"
    " ORDER BY (ready_at - headstart)"
)
CLAIM: Final = (
    f"WITH best AS (SELECT l.a AS app, l.b AS workflow FROM pairs(?) l,"
    f" LATERAL (SELECT ready_at - headstart AS rank {_WALK.format('l.a', 'l.b')} LIMIT ?) c"
    f" WHERE NOT {paused_sql('l.a', 'l.b')} AND {OPEN} ORDER BY c.rank LIMIT ?),"
    " wanted AS (SELECT app, workflow, count(*) AS n FROM best GROUP BY app, workflow),"
    f" picked AS MATERIALIZED (SELECT c.id FROM wanted w, LATERAL (SELECT id {_WALK.format('w.app', 'w.workflow')}"
    " LIMIT w.n FOR NO KEY UPDATE SKIP LOCKED) c)"
    f" UPDATE stepwell_runs r SET {tables.CLAIMED} FROM picked WHERE r.id=picked.id RETURNING {tables.columns(runs, 'r.')}"
)
LEFT: Final = (
    # OFFSET 0 keeps the planner from turning it round: without statistics it walks over the table, pair after pair.
    "SELECT found.id FROM pairs(?) l CROSS JOIN LATERAL (SELECT id FROM stepwell_signals"
    " WHERE run_id=l.a AND visit=CAST(l.b AS INTEGER) AND state='open' OFFSET 0) found"
)


HELD: Final = (
    f"SELECT h.* FROM pairs(?) l CROSS JOIN LATERAL (SELECT {tables.HELD} FROM stepwell_runs WHERE held_by=l.a"
    " ORDER BY held_rank, id LIMIT CAST(l.b AS INTEGER) FOR NO KEY UPDATE SKIP LOCKED) h"
)
_GATES: Final = 0x57A7E5
"""The class of the advisory locks of gates, among those of other programs."""
_BUCKETS: Final = 1024
"""Gates share so many locks; two processes seldom want the same one."""
_LOCKS: Final = 128
"""Gates whose locks one transaction takes, at most: the server keeps all locks in memory."""
_KEYS: Final = 0x57A7E6
"""The class of the advisory locks of keys, which share as many locks: two starts that meet at one wait, and no more."""
LOCK_BUCKETS: Final = (
    # Of one list, in its order: two transactions that want the same ones never wait for each other.
    f"SELECT pg_advisory_xact_lock({_KEYS}, b)"
    " FROM unnest(CAST(string_to_array(CAST($1 AS text), ',') AS integer[])) AS u(b)"
)


def _bucket(key: str) -> int:
    return crc32(key.encode("utf-8", "replace")) % _BUCKETS


# -- rows as parameters ------------------------------------------------------------------------------------------------

Names = tuple[str, ...]

_TYPES: Final = {Text: "text", BigInteger: "bigint", SmallInteger: "smallint", Integer: "integer"}
_GROUPS: Final[Mapping[str, Sequence[Names]]] = {
    "stepwell_runs": (
        (
            "parent_id",
            "callback",
            "callback_meta",
            "on_parent_end",
            "internal",
            "deadline",
            "children",
            "takeovers",
            "suspicion",
        ),
        ("attempt", "error", "failing", "failures", "bound", "bound_signal", "moves_to", "detours"),
        ("timers", "canceling"),
        ("result", "told_at", "finished_at", "callbacks", "stay"),
        ("ready_at", "due_at"),
        ("group_id", "gates", "held_by", "held_rank", "expires_at", "ended_at", "on_cancel"),
        ("forked_from", "forked_at", "forked_with", "former", "subject"),
        ("told_attempt", "told_status", "told_error", "told_trace", "told_signal_id"),
    ),
    "stepwell_history": (("attempt", "status", "error", "trace", "signal_id"),),
    "stepwell_steps": (("attempts", "status", "error", "undo", "ordinal", "undone_at"),),
}
"""Columns that mostly have one value each in all rows of a flush."""

_FENCE: Final = {"at_id": "text", "at_version": "integer", "at_claim": "integer", "at_inbox": "integer"}
_MOVING: Final = RunRow._fields[CREATED_FIELDS:]
CHANGE: Final = (*_FENCE, *_MOVING)
"""The columns of a checkpoint's row: those that the run must still have, and its new ones."""
_TOLD: Final = {f"told_{name}": name for name in HistoryRow._fields[1:]}
CHANGE_TOLD: Final = (*CHANGE, *_TOLD)
"""The same, with its row of the history."""


def first_row(run: RunRow) -> HistoryRow:
    """Return the history row of a run's creation, as `create_sql` writes it."""
    return HistoryRow(
        run.id, 0, None, None, None, 0, "committed", None, None, run.state, None, run.created_at, run.created_at
    )


class Shape(NamedTuple):
    """The shape of rows as parameters: each shape is a statement of its own."""

    sent: Names
    """The columns that are sent as lists."""
    alike: Names
    """Those that are alike in all rows: their parameters follow those of the lists."""
    arrays: frozenset[str]
    """Those whose lists are arrays, because no text could hold them."""


def packed(columns: Names, table: Table, rows: Sequence[tuple[Any, ...]]) -> tuple[Shape, tuple[Any, ...]]:
    """Return the rows, in the order of these columns, as parameters, and their shape."""
    lists = dict(zip(columns, zip(*rows, strict=True), strict=True))
    alike: list[str] = []
    for group in _GROUPS.get(table.name, ()):
        given = [name for name in group if name in lists]
        if all(lists[name].count(lists[name][0]) == len(rows) for name in given):
            alike += given
    sent = tuple(name for name in columns if name not in alike)
    texts = {name: _joined(lists[name]) for name in sent}
    arrays = frozenset(name for name, text in texts.items() if text is None)
    values = (list(lists[name]) if (text := texts[name]) is None else text for name in sent)
    return Shape(sent, tuple(alike), arrays), (*values, *(lists[name][0] for name in alike))


_BETWEEN: Final = "\x1f"
_NOTHING: Final = "\x1e"
"""Between two elements, and for NULL: JSON never holds them as they are."""


def _joined(values: Sequence[Any]) -> str | None:
    """Return the list as one text; None where an element could be taken for something else."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return _BETWEEN.join(map(str, values))
    if _NOTHING in values:
        return None
    if kinds != {str}:
        values = [_NOTHING if value is None else value if type(value) is str else str(value) for value in values]
    text = _BETWEEN.join(values)
    return None if not text or text.count(_BETWEEN) >= len(values) else text


def _list(type_: str, name: str, arrays: frozenset[str]) -> str:
    if name in arrays:
        return f"CAST(? AS {type_}[])"
    return f"CAST(string_to_array(CAST(? AS text), E'\\x1f', E'\\x1e') AS {type_}[])"


@lru_cache(maxsize=256)
def insert_sql(table: Table, shape: Shape, unless: Names) -> str:
    """Return the statement that inserts such rows; with `unless`, those for which these columns aren't taken."""
    sent, alike, arrays = shape
    lists = ", ".join(_list(_type(table.c[name]), name, arrays) for name in sent)
    values = "".join(f", CAST(? AS {_type(table.c[name])})" for name in alike)
    sql = (
        f"WITH v AS (SELECT * FROM unnest({lists}) AS u({', '.join(sent)}))"
        f" INSERT INTO {table.name} ({', '.join((*sent, *alike))}) SELECT v.*{values} FROM v"
    )
    return f"{sql} ON CONFLICT ({', '.join(unless)}) {tables.IF_TAKEN.get(table.name, 'DO NOTHING')}" if unless else sql


_FIRST_ROWS: Final = (
    "told AS (INSERT INTO stepwell_history (run_id, version, attempt, status, state, started_at, finished_at)"
    " SELECT id, 0, 0, 'committed', state, created_at, created_at FROM v ON CONFLICT (run_id, version) DO NOTHING)"
)


@lru_cache(maxsize=256)
def create_sql(shape: Shape, beside: bool, plain: bool) -> str:
    """Return the statement that inserts runs; with `beside`, first the workspaces that aren't there.

    With `plain` it inserts what `first_row` says of each as well.
    """
    sql = insert_sql(runs, shape, ("id",))
    if plain:
        sql = sql.replace(") INSERT INTO stepwell_runs ", f"), {_FIRST_ROWS} INSERT INTO stepwell_runs ", 1)
    if not beside:
        return sql
    lists = ", ".join(f"CAST(? AS {_type(column)}[])" for column in workspaces.columns)
    names = ", ".join(column.name for column in workspaces.columns)
    return (
        f"WITH w AS (INSERT INTO {workspaces.name} ({names}) SELECT * FROM unnest({lists}) ON CONFLICT (id) DO NOTHING), "
        + sql.removeprefix("WITH ")
    )


@lru_cache(maxsize=256)
def advance_sql(shape: Shape) -> str:
    """Return the statement that makes such checkpoints, where the fence holds, and returns for which it did."""
    sent, alike, arrays = shape
    types = _FENCE | {name: _type(runs.c[name]) for name in _MOVING}
    types |= {name: _type(history.c[column]) for name, column in _TOLD.items()}
    lists = ", ".join(_list(types[name], name, arrays) for name in sent)
    new = {name: f"v.{name}" for name in sent} | {name: f"CAST(? AS {types[name]})" for name in alike}
    # Rule 3a, as `engine.run.unless_signalled` says it.
    unread = "v.status='waiting' AND r.inbox<>v.at_inbox"
    new["ready_at"] = f"CASE WHEN {unread} THEN v.updated_at ELSE {new['ready_at']} END"
    new["due_at"] = f"CASE WHEN {unread} THEN NULL ELSE {new['due_at']} END"
    moving = [name for name in (*sent, *alike) if name not in _FENCE and name not in _TOLD]
    told = [name for name in (*sent, *alike) if name in _TOLD]
    # `store.deciding.store_ends` does it elsewhere: a second statement would write every index of the row again.
    ended = "r.group_id IS NOT NULL AND v.status IN ('completed', 'failed', 'canceled')"
    noted = f"ended_at=CASE WHEN {ended} THEN coalesce(r.ended_at, v.updated_at) END"
    changes = ", ".join([*(f"{name}={new[name]}" for name in moving), noted])
    rows = f"WITH v AS (SELECT * FROM unnest({lists}) AS u({', '.join(sent)}))"
    update = (
        f"UPDATE stepwell_runs r SET {changes} FROM v"
        " WHERE r.id=v.at_id AND r.version=v.at_version AND r.claim=v.at_claim"
        " RETURNING r.id, v.at_version, v.at_claim, r.inbox, EXISTS (SELECT 1 FROM stepwell_pauses) AS paused"
    )
    if not told:
        return f"{rows} {update}"
    # One trip to the server instead of two, and the loop has a turn in each.
    returned = "".join(f", v.{name}" for name in told if name in sent)
    values = "".join(f", {name}" if name in sent else f", {new[name]}" for name in told)
    return (
        f"{rows}, moved AS ({update}{returned}), told AS (INSERT INTO stepwell_history"
        f" (run_id, {', '.join(_TOLD[name] for name in told)}) SELECT id{values} FROM moved)"
        " SELECT id, at_version, at_claim, inbox, paused FROM moved"
    )


def _type(column: Column[Any]) -> str:
    return _TYPES[type(column.type)]
