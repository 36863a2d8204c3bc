"""An open transaction as all SQL of the store sees it: a connection, and what is particular about its database.

Statements are written once, in the words that SQLite and PostgreSQL share: `?` for a parameter, `stepwell_...` for a
table. Where the two differ in more than words, the dialect has the whole operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, Executable, Result, Table

from stepwell.engine.commit import Commit
from stepwell.engine.run import Moment, Run

R = TypeVar("R")

Lane = tuple[str, str]
"""An (app, workflow) that a worker takes."""


class Bell(NamedTuple):
    """A run that is ready since a moment, or becomes due at one; with all that a queue needs to know of it."""

    run_id: str
    app_name: str
    workflow_name: str
    priority: int
    at: Moment


Held = tuple[str, int, int]
"""A run with the version and the claim that it still had."""


class Fence(NamedTuple):
    """What a worker must still hold to write."""

    id: str
    version: int
    claim: int
    inbox: int


@dataclass(slots=True)
class Hints:
    """What a transaction made true that others look at once it is committed. Losing it does no harm."""

    ready: list[Bell] = field(default_factory=list)
    due: list[Bell] = field(default_factory=list)
    resting: list[Run] = field(default_factory=list)
    """Runs as they parked or ended."""
    lost: dict[str, int] = field(default_factory=dict)
    """Runs that somebody may be executing, and has no right to any more; with the claim that they have now."""
    children: bool = False
    """Children are marked to end with their parents."""

    def __bool__(self) -> bool:
        return bool(self.ready or self.due or self.resting or self.lost or self.children)

    def add(self, other: Hints) -> None:
        """The hints of both."""
        self.ready += other.ready
        self.due += other.due
        self.resting += other.resting
        self.lost.update(other.lost)
        self.children = self.children or other.children

    def placed(self, run: Run) -> None:
        """The run is as this row says: that it is ready or becomes due is announced."""
        if run.ready_at is not None:
            self.ready.append(Bell(run.id, run.app_name, run.workflow_name, run.priority, run.ready_at))
        elif run.due_at is not None and run.owner is None:
            self.due.append(Bell(run.id, run.app_name, run.workflow_name, run.priority, run.due_at))


class Dialect(Protocol):
    """What is particular about a database: its words, and the operations that it does in its own way."""

    among: str
    """What follows a column that is one of a list; the list is one parameter, made by `listed`."""
    locking: str
    """What ends a SELECT whose rows nobody else may change before this transaction ends."""
    skipping: str
    """The same, leaving out the rows that somebody else holds."""
    pairs: str
    """A FROM item `l(app, workflow)`: lanes, as one parameter made by `paired`."""

    options: Mapping[str, Any]
    """Execution options of SQLAlchemy's own statements."""

    def words(self, sql: str) -> str:
        """The statement in the database's own words."""
        ...

    def listed(self, values: Iterable[str]) -> Any:
        """A list as one parameter."""
        ...

    def by(self, index: str) -> str:
        """What follows a table that must be walked along this index."""
        ...

    def insert(
        self, connection: Connection, table: Table, given: Sequence[tuple[Any, ...]], unless: Sequence[str] | None
    ) -> None:
        """All rows are in the table; with `unless`, those for which these columns weren't taken."""
        ...

    def advance(self, connection: Connection, commits: Sequence[Commit]) -> Mapping[Held, int]:
        """The runs that still were as their commits' fences say are as the commits say; with what their inboxes count.

        A run that would park although something came into its inbox is ready instead (`engine.run.unless_signalled`).
        """
        ...

    def claim(
        self, connection: Connection, lanes: Sequence[Lane], worker: str, limit: int, now: Moment
    ) -> Sequence[Any]:
        """Rows of up to `limit` ready runs of these lanes, the best, owned by `worker` from now on."""
        ...

    def keyed(self, connection: Connection, keys: Sequence[tuple[str, str, str]]) -> Sequence[Any]:
        """Rows of the runs of these (app, user, idempotency key)."""
        ...

    def horizon(self, connection: Connection) -> str:
        """What is committed now, as `feed.Horizon` reads it."""
        ...

    def labelled(self, column: ColumnElement[str], label: str) -> ColumnElement[bool]:
        """Whether a JSON list of labels has this one."""
        ...


class Tx:
    """An open transaction. What it makes ready, due, ended or lost is in `hints`, for after its commit."""

    __slots__ = ("connection", "dialect", "hints")

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self.connection = connection
        self.dialect = dialect
        self.hints = Hints()

    def rows(self, sql: str, *parameters: Any) -> Sequence[Any]:
        """The rows that the statement found or returned."""
        return self.connection.exec_driver_sql(self.dialect.words(sql), parameters).fetchall()

    def fetch(self, make: Callable[[Iterable[Any]], R], sql: str, *parameters: Any) -> list[R]:
        """The rows that the statement found or returned, made into named tuples."""
        return [make(row) for row in self.rows(sql, *parameters)]

    def scalar(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row; None without one."""
        return self.connection.exec_driver_sql(self.dialect.words(sql), parameters).scalar()

    def run(self, sql: str, *parameters: Any) -> int:
        """How many rows the statement changed."""
        return self.connection.exec_driver_sql(self.dialect.words(sql), parameters).rowcount

    def each(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """The statement is done for each of the rows."""
        if rows:
            self.connection.exec_driver_sql(self.dialect.words(sql), list(rows))

    def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Result[Any]:
        """What SQLAlchemy makes of a statement of its own."""
        return self.connection.execute(statement, parameters, execution_options=self.dialect.options)

    def insert(self, table: Table, rows: Sequence[tuple[Any, ...]], unless: Sequence[str] | None = None) -> None:
        """All rows, in the order of the table's columns, are there; with `unless`, those whose columns weren't taken."""
        if rows:
            self.dialect.insert(self.connection, table, rows, unless)


def paired(lanes: Iterable[Lane]) -> str:
    """Lanes as one parameter, for `Dialect.pairs`."""
    return to_json([list(lane) for lane in lanes]).decode()
