"""What PostgreSQL does in its own way: sets of rows in one statement, and locks of rows instead of a write lock.

Statements that change many runs take them in the order of their ids, so that two processes don't wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from operator import itemgetter
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, Table, cast, literal
from sqlalchemy.dialects.postgresql import JSONB

from stepwell.engine.commit import Commit
from stepwell.engine.run import CREATED_FIELDS, Moment
from stepwell.store import rows
from stepwell.store.postgres_rows import CHANGE, advance_sql, insert_sql, packed
from stepwell.store.tables import runs
from stepwell.store.tx import Held, Lane, paired

_MARK: Final = re.compile(r"\?")
_TABLE: Final = re.compile(r"\bstepwell_\w+")


class Postgres:
    """The dialect, for tables in `schema` (None: where the connection's search path finds them)."""

    among = "= ANY(?)"
    locking = " FOR NO KEY UPDATE"
    skipping = " FOR NO KEY UPDATE SKIP LOCKED"
    pairs = "(SELECT j->>0 AS app, j->>1 AS workflow FROM json_array_elements(CAST(CAST(? AS text) AS json)) AS e(j)) l"

    def __init__(self, schema: str | None) -> None:
        self.options: Mapping[str, Any] = {} if schema is None else {"schema_translate_map": {None: schema}}
        self._prefix = "" if schema is None else '"' + schema.replace('"', '""') + '".'
        self.words = lru_cache(maxsize=1024)(self._words)

    def _words(self, sql: str) -> str:
        numbers = count(1)
        sql = _MARK.sub(lambda _: f"${next(numbers)}", sql)
        return _TABLE.sub(lambda found: self._prefix + found[0], sql) if self._prefix else sql

    def listed(self, values: Iterable[str]) -> list[str]:
        return list(values)

    def by(self, index: str) -> str:
        return ""  # the planner finds it: the index is partial, and small

    def insert(
        self, connection: Connection, table: Table, given: Sequence[tuple[Any, ...]], unless: Sequence[str] | None
    ) -> None:
        sent, alike, parameters = packed(rows.names(table), table, given)
        connection.exec_driver_sql(self.words(insert_sql(table, sent, alike, tuple(unless or ()))), parameters)

    def advance(self, connection: Connection, commits: Sequence[Commit]) -> Mapping[Held, int]:
        changes = sorted(
            ((run.id, version, claim, run.inbox, *run[CREATED_FIELDS:]) for version, claim, run, *_ in commits),
            key=itemgetter(0),
        )
        sent, alike, parameters = packed(CHANGE, runs, changes)
        found = connection.exec_driver_sql(self.words(advance_sql(sent, alike)), parameters)
        return {(row[0], row[1], row[2]): row[3] for row in found.fetchall()}

    def claim(
        self, connection: Connection, lanes: Sequence[Lane], worker: str, limit: int, now: Moment
    ) -> Sequence[Any]:
        return connection.exec_driver_sql(self.words(CLAIM), (paired(lanes), limit, limit, worker, now)).fetchall()

    def keyed(self, connection: Connection, keys: Sequence[tuple[str, str, str]]) -> Sequence[Any]:
        return connection.exec_driver_sql(
            self.words(
                f"SELECT {rows.columns(runs, 'r.')} FROM json_array_elements(CAST(CAST(? AS text) AS json)) AS k(j)"
                " JOIN stepwell_runs r ON r.app_name=j->>0 AND r.user_id=j->>1 AND r.idempotency_key=j->>2"
            ),
            (to_json([list(key) for key in keys]).decode(),),
        ).fetchall()

    def horizon(self, connection: Connection) -> str:
        return str(connection.exec_driver_sql("SELECT CAST(pg_current_snapshot() AS text)").scalar())

    def labelled(self, column: ColumnElement[str], label: str) -> ColumnElement[bool]:
        return cast(column, JSONB).contains(cast(literal(to_json([label]).decode()), JSONB))


# First how many of the best each lane has, by reading; then exactly so many are locked, past those that others hold.
_WALK: Final = (
    "FROM stepwell_runs WHERE app_name={0}.app AND workflow_name={0}.workflow AND ready_at IS NOT NULL"
    " ORDER BY priority DESC, ready_at"
)
CLAIM: Final = (
    f"WITH best AS (SELECT l.app, l.workflow FROM {Postgres.pairs},"
    f" LATERAL (SELECT priority, ready_at {_WALK.format('l')} LIMIT ?) c ORDER BY c.priority DESC, c.ready_at LIMIT ?),"
    " wanted AS (SELECT app, workflow, count(*) AS n FROM best GROUP BY app, workflow),"
    f" picked AS MATERIALIZED (SELECT c.id FROM wanted w, LATERAL (SELECT id {_WALK.format('w')}"
    " LIMIT w.n FOR NO KEY UPDATE SKIP LOCKED) c)"
    " UPDATE stepwell_runs r SET owner=?, claim=claim+1, status='running', ready_at=NULL, due_at=NULL, updated_at=?"
    f" FROM picked WHERE r.id=picked.id RETURNING {rows.columns(runs, 'r.')}"
)
