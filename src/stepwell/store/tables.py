"""The tables, one per aggregate. The order of columns is that of the rows in `engine.run`; a test holds it.

What changes at every checkpoint (state, place, version, attempts) is in no index. Moments are microseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.dialects import postgresql

metadata = MetaData()

BY_THE_DATABASE: Final = {"by": "the database"}
"""Marks columns that no row of ours holds: the database says what is in them."""

_TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Ids and names are compared byte by byte, whatever language the database speaks."""


def _text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, _TEXT, nullable=null)


def _int(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Integer, nullable=null)


def _moment(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


workspaces = Table(
    "stepwell_workspaces",
    metadata,
    Column("id", _TEXT, primary_key=True),
    _text("app_name"),
    _text("user_id"),
    _moment("created_at"),
    Index("stepwell_workspaces_of", "app_name", "user_id", unique=True),
    sqlite_with_rowid=False,
)

runs = Table(
    "stepwell_runs",
    metadata,
    Column("id", _TEXT, primary_key=True),
    _text("app_name"),
    _text("workflow_name"),
    _int("workflow_version"),
    _text("workspace_id"),
    _text("user_id"),
    _text("parent_id", null=True),
    _text("callback", null=True),
    _text("callback_meta", null=True),
    _text("on_parent_end", null=True),
    Column("internal", SmallInteger, nullable=False),
    _text("labels"),
    _int("priority"),
    _text("idempotency_key", null=True),
    _text("args"),
    _moment("created_at"),
    _int("inbox"),
    _text("status"),
    _text("place"),
    _int("version"),
    _int("claim"),
    _text("owner", null=True),
    _text("state"),
    _text("result", null=True),
    _text("error", null=True),
    _int("visit"),
    _moment("entered_at"),
    _int("attempt"),
    _text("failing", null=True),
    _int("failures"),
    _text("bound", null=True),
    _text("bound_signal", null=True),
    _text("moves_to", null=True),
    _text("detours", null=True),
    _int("automatic"),
    _int("takeovers"),
    _moment("ready_at", null=True),
    _moment("due_at", null=True),
    _moment("deadline", null=True),
    _int("children"),
    _moment("told_at", null=True),
    _moment("updated_at"),
    _moment("finished_at", null=True),
    sqlite_with_rowid=False,
)

# A checkpoint changes no index: with room on its page it writes nothing but the row (a HOT update).
event.listen(
    runs,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "ALTER TABLE %(fullname)s SET (fillfactor=50, autovacuum_vacuum_scale_factor=0.05,"
        " autovacuum_analyze_scale_factor=0.05)"
    ).execute_if(dialect="postgresql"),
)

# The queue: what is ready, by workflow, priority and age; and what becomes due later, by time.
Index(
    "stepwell_runs_ready",
    runs.c.app_name,
    runs.c.workflow_name,
    runs.c.priority.desc(),
    runs.c.ready_at,
    sqlite_where=text("ready_at IS NOT NULL"),
    postgresql_where=text("ready_at IS NOT NULL"),
)
Index(
    "stepwell_runs_due",
    runs.c.due_at,
    sqlite_where=text("due_at IS NOT NULL"),
    postgresql_where=text("due_at IS NOT NULL"),
)
Index(
    "stepwell_runs_owned",
    runs.c.owner,
    sqlite_where=text("owner IS NOT NULL"),
    postgresql_where=text("owner IS NOT NULL"),
)
Index(
    "stepwell_runs_key",
    runs.c.app_name,
    runs.c.user_id,
    runs.c.idempotency_key,
    unique=True,
    sqlite_where=text("idempotency_key IS NOT NULL"),
    postgresql_where=text("idempotency_key IS NOT NULL"),
)
Index(
    "stepwell_runs_children",
    runs.c.parent_id,
    runs.c.id,
    sqlite_where=text("parent_id IS NOT NULL"),
    postgresql_where=text("parent_id IS NOT NULL"),
)
Index("stepwell_runs_workspace", runs.c.workspace_id, runs.c.id)
# For people: a workflow's newest runs, a user's, and those that need somebody. Most runs are completed: they are walked past.
Index("stepwell_runs_workflow", runs.c.app_name, runs.c.workflow_name, runs.c.id)
Index("stepwell_runs_user", runs.c.user_id, runs.c.id)
Index(
    "stepwell_runs_status",
    runs.c.status,
    runs.c.id,
    sqlite_where=text("status <> 'completed'"),
    postgresql_where=text("status <> 'completed'"),
)
Index(
    "stepwell_runs_finished",
    runs.c.finished_at,
    sqlite_where=text("finished_at IS NOT NULL"),
    postgresql_where=text("finished_at IS NOT NULL"),
)

# Children to cancel because their parent ended; each is cancelled by a commit of its own, then unmarked.
endings = Table(
    "stepwell_endings",
    metadata,
    Column("run_id", _TEXT, primary_key=True),
    _text("reason"),
    _moment("marked_at"),
    sqlite_with_rowid=False,
)

history = Table(
    "stepwell_history",
    metadata,
    _text("run_id"),
    _int("version"),
    _text("transition", null=True),
    _text("source", null=True),
    _text("target", null=True),
    _int("attempt"),
    _text("status"),
    _text("error", null=True),
    _text("trace", null=True),
    _text("state", null=True),
    _text("signal_id", null=True),
    _moment("started_at"),
    _moment("finished_at"),
    # Where the row stands in the stream of all rows: see feed.py.
    Column("seq", BigInteger, info=BY_THE_DATABASE),
    Column("xact", BigInteger, info=BY_THE_DATABASE),
    PrimaryKeyConstraint("run_id", "version"),
    Index("stepwell_history_feed", "xact", "seq"),
    sqlite_with_rowid=False,
)
for _statement in (
    "ALTER TABLE %(fullname)s ALTER seq SET NOT NULL,"
    " ALTER xact SET DEFAULT CAST(CAST(pg_current_xact_id() AS text) AS bigint)",
    "ALTER TABLE %(fullname)s ALTER seq ADD GENERATED BY DEFAULT AS IDENTITY",
):
    event.listen(history, "after_create", DDL(_statement).execute_if(dialect="postgresql"))  # type: ignore[no-untyped-call]
# A long run has forgotten most of its states: forgetting the next must not walk over those.
Index(
    "stepwell_history_states",
    history.c.run_id,
    history.c.version,
    sqlite_where=text("state IS NOT NULL"),
    postgresql_where=text("state IS NOT NULL"),
)

steps = Table(
    "stepwell_steps",
    metadata,
    _text("run_id"),
    _int("visit"),
    _text("transition"),
    _text("name"),
    _text("value"),
    _moment("recorded_at"),
    PrimaryKeyConstraint("run_id", "visit", "transition", "name"),
    sqlite_with_rowid=False,
)

documents = Table(
    "stepwell_documents",
    metadata,
    Column("id", _TEXT, primary_key=True),
    _text("run_id"),
    Column("position", BigInteger, nullable=False),
    _text("name"),
    _text("key", null=True),
    _text("content"),
    _text("tags"),
    _text("meta", null=True),
    _text("errors", null=True),
    Column("internal", SmallInteger, nullable=False),
    _text("transition", null=True),
    _int("version"),
    _moment("created_at"),
    _moment("replaced_at", null=True),
    _text("ui", null=True),
    Index("stepwell_documents_run", "run_id", "position"),
    sqlite_with_rowid=False,
)
Index(
    "stepwell_documents_key",
    documents.c.run_id,
    documents.c.key,
    unique=True,
    sqlite_where=text("key IS NOT NULL AND replaced_at IS NULL"),
    postgresql_where=text("key IS NOT NULL AND replaced_at IS NULL"),
)

signals = Table(
    "stepwell_signals",
    metadata,
    Column("id", _TEXT, primary_key=True),
    _text("run_id"),
    _text("name"),
    _text("kind"),
    _text("data"),
    _text("status"),
    _text("error", null=True),
    _text("sender"),
    _text("user_id", null=True),
    _text("meta", null=True),
    _text("idempotency_key", null=True),
    _int("visit", null=True),
    _moment("accepted_at"),
    _text("state"),
    _int("version", null=True),
    Index("stepwell_signals_run", "run_id", "accepted_at", "id"),
    sqlite_with_rowid=False,
)
# A long conversation has thousands of taken signals: looking for the open ones must not walk over them.
Index(
    "stepwell_signals_open",
    signals.c.run_id,
    signals.c.accepted_at,
    signals.c.id,
    sqlite_where=text("state = 'open'"),
    postgresql_where=text("state = 'open'"),
)
Index(
    "stepwell_signals_key",
    signals.c.run_id,
    signals.c.idempotency_key,
    unique=True,
    sqlite_where=text("idempotency_key IS NOT NULL"),
    postgresql_where=text("idempotency_key IS NOT NULL"),
)

listeners = Table(
    "stepwell_listeners",
    metadata,
    _text("event"),
    _text("app_name"),
    _text("workflow_name"),
    _text("transition"),
    _text("matched"),
    _text("run_id"),
    PrimaryKeyConstraint("run_id", "event", "transition", "matched"),
    Index("stepwell_listeners_event", "event", "app_name", "workflow_name", "transition", "matched"),
    sqlite_with_rowid=False,
)

schedules = Table(
    "stepwell_schedules",
    metadata,
    _text("app_name"),
    _text("name"),
    _text("rule"),
    _moment("since"),
    _moment("next_at", null=True),
    Column("paused", SmallInteger, nullable=False),
    _moment("updated_at"),
    PrimaryKeyConstraint("app_name", "name"),
    sqlite_with_rowid=False,
)

ticks = Table(
    "stepwell_ticks",
    metadata,
    _text("app_name"),
    _text("schedule"),
    _moment("scheduled_at"),
    _moment("fired_at"),
    _text("outcome"),
    _text("run_id", null=True),
    PrimaryKeyConstraint("app_name", "schedule", "scheduled_at"),
    Index("stepwell_ticks_fired", "fired_at"),
    sqlite_with_rowid=False,
)

deliveries = Table(
    "stepwell_deliveries",
    metadata,
    _text("app_name"),
    _text("route"),
    _text("delivery_id"),
    _text("run_id"),
    _moment("received_at"),
    PrimaryKeyConstraint("app_name", "route", "delivery_id"),
    Index("stepwell_deliveries_received", "received_at"),
    sqlite_with_rowid=False,
)

workers = Table(
    "stepwell_workers",
    metadata,
    Column("id", _TEXT, primary_key=True),
    _int("counter"),
    _text("host"),
    _int("pid"),
    _text("takes"),
    _moment("started_at"),
    _moment("seen_at"),
    sqlite_with_rowid=False,
)

tokens = Table(
    "stepwell_tokens",
    metadata,
    Column("id", _TEXT, primary_key=True),
    _text("name"),
    _text("user_id"),
    _text("role"),
    Column("everybody", SmallInteger, nullable=False),
    _text("apps", null=True),
    _text("digest"),
    _text("prefix"),
    _text("created_by"),
    _moment("created_at"),
    _moment("expires_at", null=True),
    _moment("last_used_at", null=True),
    _moment("revoked_at", null=True),
    Index("stepwell_tokens_digest", "digest", unique=True),
    Index("stepwell_tokens_user", "user_id", "id"),
    sqlite_with_rowid=False,
)
