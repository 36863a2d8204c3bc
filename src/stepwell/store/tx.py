"""An open transaction as all SQL of the store sees it: a connection, and what is particular about its database.

Statements are written once, in the words that SQLite and PostgreSQL share, and a few that each has in its own way:

    ?                                   a parameter
    stepwell_...                        a table
    column IN list(?)                   one of the texts in a parameter made by `Tx.listed`
    FROM pairs(?) l                     rows l(a, b), of texts, of a parameter made by `paired`
    FOR NO KEY UPDATE [SKIP LOCKED]     rows stay locked until the transaction ends; SQLite has locked everything
    INDEXED BY ...                      SQLite walks along this index; PostgreSQL's planner finds it
    octet_length(column)                the bytes of a text; SQLite before 3.43 reads the text for them

Where the two differ in more than words, the dialect has the whole operation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, Executable, Result, Table

from stepwell.definition.model import Transition
from stepwell.engine.commit import Commit, Resume
from stepwell.engine.gates import Applicant
from stepwell.engine.pauses import PauseRow
from stepwell.engine.run import Moment, RunRow
from stepwell.errors import IdempotencyConflict
from stepwell.store.journal import Record

R = TypeVar("R")
T = TypeVar("T")

Lane = tuple[str, str]
"""An (app, workflow) that a worker takes."""


class WakeUp(NamedTuple):
    """A run that is ready since a moment, or becomes due at one; with all that a queue needs to know of it."""

    run_id: str
    app_name: str
    workflow_name: str
    priority: int
    at: Moment


HeldClaims = tuple[str, int, int]
"""A run with the version and the claim that it still had."""


class Fence(NamedTuple):
    """A run's version and claim in the database, which must be those that its worker holds, and its inbox counter."""

    id: str
    version: int
    claim: int
    inbox: int


KINDS: Final = "rdelcps"
"""Ready, due, ended, lost, children, pauses, schedules."""


@dataclass(slots=True)
class Hints:
    """The effects of a transaction that others look at once it is committed. Losing them does no harm."""

    ready: list[WakeUp] = field(default_factory=list)
    due: list[WakeUp] = field(default_factory=list)
    resting: list[RunRow] = field(default_factory=list)
    """Runs as they parked or ended."""
    lost: dict[str, int] = field(default_factory=dict)
    """Runs that a worker may be executing without a right to them any more; with their present claim."""
    children: bool = False
    """Children are marked to end with their parents."""
    pauses: dict[Lane, PauseRow | None] = field(default_factory=dict)
    """Pauses that were put, or lifted (None)."""
    schedules: bool = False
    """Schedules were made or changed at run time."""
    paused: Sequence[PauseRow] = ()
    """The pauses, where there were any when runs came to a checkpoint. For this process only."""
    applied: list[Applicant] = field(default_factory=list)
    """Runs with gates that became ready: whether they may be is decided at the end of the transaction."""
    freed: set[str] = field(default_factory=set)
    """Gates at which slots became free: others are let through at the end of the transaction."""
    gates: set[str] = field(default_factory=set)
    """Gates at which more may be to do than the transaction has seen."""
    groups: set[str] = field(default_factory=set)
    """Groups of which runs have ended, or begun again."""

    def __bool__(self) -> bool:
        found = self.ready or self.due or self.resting or self.lost or self.children or self.pauses
        return bool(found or self.schedules or self.freed or self.gates or self.groups)

    def add(self, other: Hints) -> None:
        """Add the other's hints."""
        self.ready += other.ready
        self.due += other.due
        self.resting += other.resting
        self.lost.update(other.lost)
        self.children = self.children or other.children
        self.pauses.update(other.pauses)
        self.schedules = self.schedules or other.schedules
        self.paused = other.paused or self.paused
        self.applied += other.applied
        self.freed |= other.freed
        self.gates |= other.gates
        self.groups |= other.groups

    def kinds(self) -> str:
        """Return what there is, a letter each, of `KINDS`."""
        given = (self.ready, self.due, self.resting, self.lost, self.children, self.pauses, self.schedules)
        return "".join(letter for letter, some in zip(KINDS, given, strict=True) if some)

    def woken(self, rows: Iterable[Any]) -> None:
        """Note rows that became ready: the columns of a wake-up, and `tables.GATED`."""
        for run_id, app, workflow, priority, ready_at, gates, claim, version, headstart in rows:
            self.ready.append(WakeUp(run_id, app, workflow, priority, ready_at))
            if gates is not None:
                ranked = int(headstart) if isinstance(headstart, int) else 0
                self.applied.append(Applicant(run_id, app, workflow, priority, gates, claim, version, ready_at, ranked))

    def placed(self, run: RunRow) -> None:
        """Note a run's row: if it is ready or becomes due, that is announced."""
        if run.ready_at is not None:
            self.ready.append(WakeUp(run.id, run.app_name, run.workflow_name, run.priority, run.ready_at))
        elif run.due_at is not None and run.owner is None:
            self.due.append(WakeUp(run.id, run.app_name, run.workflow_name, run.priority, run.due_at))


class Driver(Protocol):
    """Executes statements. Raises the DBAPIErrors of SQLAlchemy."""

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Sequence[Any]:
        """Return the rows that the statement found or returned."""
        ...

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        """Return how many rows the statement changed."""
        ...

    def each(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        """Execute the statement once for each of the rows, and return how many rows were changed."""
        ...


class Through:
    """By SQLAlchemy, which costs about fifty function calls for each statement."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Sequence[Any]:
        return self._connection.exec_driver_sql(sql, parameters).fetchall()

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        return self._connection.exec_driver_sql(sql, parameters).rowcount

    def each(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        return self._connection.exec_driver_sql(sql, rows).rowcount


_MARK: Final = re.compile(r"\$\d+|\?")


@lru_cache(maxsize=1024)
def formatted(sql: str) -> str:
    """Return the statement for drivers whose parameters are written %s: psycopg, and Django's cursors."""
    return _MARK.sub("%s", sql.replace("%", "%%"))


class Formatted(Through):
    """By SQLAlchemy, on a connection of such a driver."""

    __slots__ = ()

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Sequence[Any]:
        return super().rows(formatted(sql), parameters)

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        return super().change(formatted(sql), parameters)

    def each(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        return super().each(formatted(sql), rows)


def is_heard(connection: Connection) -> bool:
    """Return whether a listener is called for each statement: then SQLAlchemy has to execute them."""
    heard = connection.dispatch
    return bool(heard.before_cursor_execute or heard.after_cursor_execute)


class Dialect(Protocol):
    """The specifics of a database: its words, and the operations that it does in its own way."""

    options: Mapping[str, Any]
    """Execution options of SQLAlchemy's own statements."""

    words: Callable[[str], str]
    """A function that returns a statement in the database's own words."""

    notes_ends: bool
    """True if `advance` writes `ended_at`, too."""
    alone: bool
    """True if no other transaction can change anything while this one writes."""
    borrowed: bool
    """True in a caller's transaction, or a large one: others see nothing of it for long, and mustn't wait for its locks."""

    def driver(self, connection: Connection) -> Driver:
        """Return what executes statements on this connection."""
        ...

    def listed(self, values: Iterable[str]) -> Any:
        """Return texts as one parameter, for `list(?)`."""
        ...

    def insert(
        self, driver: Driver, table: Table, given: Sequence[tuple[Any, ...]], unless: Sequence[str] | None
    ) -> None:
        """Insert all rows; with `unless`, only those for which these columns weren't taken."""
        ...

    def create(self, driver: Driver, commits: Sequence[Commit], wanted: Sequence[tuple[Any, ...]]) -> None:
        """Insert the runs of these commits with the first rows of their histories, unless their ids were taken; and
        the workspaces, whatever was known of them."""
        ...

    def advance(self, driver: Driver, commits: Sequence[Commit]) -> tuple[Mapping[HeldClaims, int], bool]:
        """Write those commits whose run still has the commit's version and claim, with their rows of history.

        Return the inbox counter of each run that was written, by (run, version, claim); and whether anything is paused.

        A run that would park although something came into its inbox is ready instead (`engine.run.unless_signalled`).
        """
        ...

    def claim(self, driver: Driver, lanes: Sequence[Lane], worker: str, limit: int, now: Moment) -> Sequence[Any]:
        """Claim up to `limit` ready runs of these lanes, the best, for `worker`, and return their rows."""
        ...

    def stop_claims(self, driver: Driver) -> None:
        """Wait for claims that are under way, and hold back others until this transaction ends."""
        ...

    def lock_gates(self, driver: Driver, gate_ids: Iterable[str]) -> Set[str]:
        """Lock these gates until the transaction ends, and return them without those that another transaction has."""
        ...

    def held(self, driver: Driver, wanted: Sequence[tuple[str, int]]) -> Sequence[Any]:
        """Return the first runs, so many of each, that are held behind these gates, as rows of `gates.HELD`; locked."""
        ...

    def lock_keys(self, driver: Driver, keys: Sequence[str]) -> None:
        """Lock these keys until the transaction ends: others that lock one of them wait for it, now and then others too."""
        ...

    def keyed(self, driver: Driver, keys: Sequence[tuple[str, str, str]]) -> Sequence[Any]:
        """Return the rows of the runs of these (app, user, idempotency key)."""
        ...

    def left(self, driver: Driver, visits: str) -> Sequence[Any]:
        """Return the ids of the open signals of these visits: pairs of a run's id and the visit's number as text."""
        ...

    def horizon(self, driver: Driver) -> str:
        """Return what is committed now, as `feed.Horizon` reads it."""
        ...

    def labelled(self, column: ColumnElement[str], label: str) -> ColumnElement[bool]:
        """Return whether a JSON list of labels has this one."""
        ...

    def size(self, column: ColumnElement[str]) -> ColumnElement[int]:
        """Return the bytes of a text."""
        ...


class Tx:
    """An open transaction. What it makes ready, due, ended or lost is in `hints`, for after its commit."""

    __slots__ = ("connection", "dialect", "driver", "hints")

    def __init__(self, connection: Connection | None, dialect: Dialect, driver: Driver | None = None) -> None:
        self.connection = connection
        """None where another library has it, and only the `driver` reaches it."""
        self.dialect = dialect
        if driver is None:
            assert connection is not None
            driver = dialect.driver(connection)
        self.driver = driver
        self.hints = Hints()

    def rows(self, sql: str, *parameters: Any) -> Sequence[Any]:
        """Return the rows that the statement found or returned."""
        return self.driver.rows(self.dialect.words(sql), parameters)

    def fetch(self, make: Callable[[Iterable[Any]], R], sql: str, *parameters: Any) -> list[R]:
        """Return the rows that the statement found or returned, made into named tuples."""
        return [make(row) for row in self.rows(sql, *parameters)]

    def one(self, make: Callable[[Iterable[Any]], R], sql: str, *parameters: Any) -> R | None:
        """Return the first row that the statement found, made into a named tuple; None without one."""
        found = self.rows(sql, *parameters)
        return make(found[0]) if found else None

    def scalar(self, sql: str, *parameters: Any) -> Any:
        """Return the first column of the first row; None without one."""
        found = self.rows(sql, *parameters)
        return found[0][0] if found else None

    def run(self, sql: str, *parameters: Any) -> int:
        """Return how many rows the statement changed."""
        return self.driver.change(self.dialect.words(sql), parameters)

    def each(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute the statement for each of the rows."""
        if rows:
            self.driver.each(self.dialect.words(sql), list(rows))

    def listed(self, values: Iterable[str]) -> Any:
        """Return texts as one parameter, for `list(?)`."""
        return self.dialect.listed(values)

    def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Result[Any]:
        """Return what SQLAlchemy makes of a statement of its own."""
        assert self.connection is not None  # only readers have such statements
        return self.connection.execute(statement, parameters, execution_options=self.dialect.options)

    def insert(self, table: Table, rows: Sequence[tuple[Any, ...]], unless: Sequence[str] | None = None) -> None:
        """Insert all rows, in the order of the table's columns; with `unless`, only those whose columns weren't taken."""
        if rows:
            self.dialect.insert(self.driver, table, rows, unless)


def paired(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs of texts as one parameter, for `pairs(?)`."""
    return to_json([list(pair) for pair in pairs]).decode()


# -- what the writer writes -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A start as it stands now: the run, and whether this call made it."""

    run: RunRow
    created: bool


class OtherText(IdempotencyConflict):
    """A key comes again with another text. The caller, who knows its type, decides whether the texts mean the same."""

    def __init__(self, message: str, subject: str | Transition | Resume, earlier: str) -> None:
        super().__init__(message)
        self.subject = subject
        """The subject of the data: the new run by its id, a signal's transition, or those that an event resumes."""
        self.earlier = earlier
        """The JSON text that the key stands for."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Starts that are all stored or none; answered by a list of `StartedRun`."""

    commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """A checkpoint; answered by the run as stored, or `LeaseLost`."""

    commit: Commit


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Any other operation, in a savepoint if it isn't the only item; answered by what it returns, or by its error."""

    operation: Callable[[Tx], T]


Item = Begin | Advance | Record | Call[Any]
Answer = Any
"""The answer to an item: a value, or the error that it raises."""
