"""The tables, one per aggregate. The order of columns is that of the rows in `engine.run`; a test holds it.

Rows are tuples in that order, and go to the database and come from it as they are. What changes at every checkpoint
(state, place, version, attempts) is in no index. Moments are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    event,
    text,
)  # fmt: skip

from stepwell.engine.run import BEGUN
from stepwell.store.columns import BY_THE_DATABASE, TEXT, ints, metadata, moments, texts
from stepwell.store.columns import partial_index as _partial
from stepwell.store.fork_tables import made_workspaces as made_workspaces
from stepwell.store.fork_tables import shared_documents as shared_documents
from stepwell.store.made_tables import made_schedules as made_schedules
from stepwell.store.many_tables import gates as gates
from stepwell.store.many_tables import groups as groups
from stepwell.store.many_tables import pauses as pauses
from stepwell.store.many_tables import slots as slots
from stepwell.store.question_tables import questions as questions

workspaces = Table(
    "stepwell_workspaces",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("app_name", "user_id"),
    *moments("created_at"),
    *texts("title", null=True),
    Index("stepwell_workspaces_of", "app_name", "user_id", unique=True),
    sqlite_with_rowid=False,
)

runs = Table(
    "stepwell_runs",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("app_name", "workflow_name"),
    *ints("workflow_version"),
    *texts("workspace_id", "user_id"),
    *texts("parent_id", "callback", "callback_meta", "on_parent_end", null=True),
    Column("internal", SmallInteger, nullable=False),
    *texts("labels"),
    *ints("priority"),
    *texts("idempotency_key", null=True),
    *texts("args"),
    *moments("created_at"),
    *texts("group_id", null=True),
    *ints("group_index", null=True),
    Column("headstart", BigInteger, nullable=False, server_default="0"),
    *texts("gates", "held_by", null=True),
    *moments("held_rank", "expires_at", "ended_at", null=True),
    *texts("on_cancel", null=True),
    *texts("forked_from", null=True),
    *ints("forked_at", null=True),
    *texts("forked_with", "former", "subject", null=True),
    *ints("inbox"),
    *texts("status", "place"),
    *ints("version", "claim"),
    *texts("owner", null=True),
    *texts("state"),
    *texts("result", "error", null=True),
    *ints("visit"),
    *moments("entered_at"),
    *ints("attempt"),
    *texts("failing", null=True),
    *ints("failures"),
    *texts("bound", "bound_signal", "moves_to", "detours", null=True),
    *ints("automatic", "takeovers"),
    *moments("ready_at", "due_at", "deadline", null=True),
    *ints("children"),
    *moments("told_at", null=True),
    *moments("updated_at"),
    *moments("finished_at", null=True),
    *texts("suspicion", "callbacks", null=True),
    *ints("stay", null=True),
    *texts("timers", "canceling", null=True),
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

# The queue: what is ready, by workflow and age, of which priority is a part; and what becomes due later, by time.
_partial(
    "stepwell_runs_ready",
    runs.c.app_name,
    runs.c.workflow_name,
    text("(ready_at - headstart)"),
    where="ready_at IS NOT NULL",
)
# What limits hold back, by gate; what expires unless it begins; and the members of groups, to be listed and counted.
_partial("stepwell_runs_held", runs.c.held_by, runs.c.held_rank, runs.c.id, where="held_by IS NOT NULL")
_partial("stepwell_runs_expire", runs.c.expires_at, where="expires_at IS NOT NULL")
_partial("stepwell_runs_member", runs.c.group_id, runs.c.group_index, where="group_id IS NOT NULL")
_partial("stepwell_runs_counted", runs.c.group_id, runs.c.status, runs.c.ended_at, where="group_id IS NOT NULL")
_partial("stepwell_runs_due", runs.c.due_at, where="due_at IS NOT NULL")
_partial("stepwell_runs_owned", runs.c.owner, where="owner IS NOT NULL")
_partial(
    "stepwell_runs_key",
    runs.c.app_name,
    runs.c.user_id,
    runs.c.idempotency_key,
    unique=True,
    where="idempotency_key IS NOT NULL",
)
_partial("stepwell_runs_children", runs.c.parent_id, runs.c.id, where="parent_id IS NOT NULL")
_partial("stepwell_runs_forks", runs.c.forked_from, runs.c.id, where="forked_from IS NOT NULL")
Index("stepwell_runs_workspace", runs.c.workspace_id, runs.c.id)
# For people: a workflow's newest runs, a user's, and those that aren't completed, as most are.
Index("stepwell_runs_workflow", runs.c.app_name, runs.c.workflow_name, runs.c.id)
Index("stepwell_runs_user", runs.c.user_id, runs.c.id)
_partial("stepwell_runs_status", runs.c.status, runs.c.id, where="status <> 'completed'")
# A user's runs that wait, for their inbox. An index of a column that each checkpoint changes, as `entered_at`, would make
# PostgreSQL write all indexes of a run anew each time, whether the run waits or not.
_partial("stepwell_runs_waiting", runs.c.user_id, runs.c.id, where="status = 'waiting'")
_partial("stepwell_runs_finished", runs.c.finished_at, where="finished_at IS NOT NULL")
_partial("stepwell_runs_suspected", runs.c.suspicion, where="suspicion IS NOT NULL")

# Children to cancel because their parent ended; each is cancelled by a commit of its own, then unmarked.
endings = Table(
    "stepwell_endings",
    metadata,
    Column("run_id", TEXT, primary_key=True),
    *texts("reason"),
    *moments("marked_at"),
    sqlite_with_rowid=False,
)

history = Table(
    "stepwell_history",
    metadata,
    *texts("run_id"),
    *ints("version"),
    *texts("transition", "source", "target", null=True),
    *ints("attempt"),
    *texts("status"),
    *texts("error", "trace", "state", "signal_id", null=True),
    *moments("started_at", "finished_at"),
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
_partial("stepwell_history_states", history.c.run_id, history.c.version, where="state IS NOT NULL")

steps = Table(
    "stepwell_steps",
    metadata,
    *texts("run_id"),
    *ints("visit"),
    *texts("transition", "name", "value"),
    *moments("recorded_at"),
    *ints("attempts", null=True),
    *texts("status", "error", "undo", null=True),
    *ints("ordinal", null=True),
    *moments("started_at", "undone_at", null=True),
    PrimaryKeyConstraint("run_id", "visit", "transition", "name"),
    sqlite_with_rowid=False,
)
# Of thousands of steps of a run, those that can be undone.
_partial("stepwell_steps_undo", steps.c.run_id, steps.c.ordinal, where="undo IS NOT NULL")

documents = Table(
    "stepwell_documents",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("run_id"),
    Column("position", BigInteger, nullable=False),
    *texts("name"),
    *texts("key", null=True),
    *texts("content", "tags"),
    *texts("meta", "errors", null=True),
    Column("internal", SmallInteger, nullable=False),
    *texts("transition", null=True),
    *ints("version"),
    *moments("created_at"),
    *moments("replaced_at", null=True),
    *texts("ui", "title", null=True),
    Index("stepwell_documents_run", "run_id", "position"),
    sqlite_with_rowid=False,
)
_partial(
    "stepwell_documents_key",
    documents.c.run_id,
    documents.c.key,
    unique=True,
    where="key IS NOT NULL AND replaced_at IS NULL",
)

signals = Table(
    "stepwell_signals",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("run_id", "name", "kind", "data", "status"),
    *texts("error", null=True),
    *texts("sender"),
    *texts("user_id", "meta", "idempotency_key", null=True),
    *ints("visit", null=True),
    *moments("accepted_at"),
    *texts("state"),
    *ints("version", null=True),
    Column("size", Integer, nullable=False, server_default="0"),
    Index("stepwell_signals_run", "run_id", "accepted_at", "id"),
    sqlite_with_rowid=False,
)
# A long conversation has thousands of taken signals: looking for the open ones must not walk over them, nor touch the
# rows of those that are kept, whose data may be large.
_partial(
    "stepwell_signals_open",
    signals.c.run_id,
    signals.c.visit,
    signals.c.kind,
    signals.c.name,
    signals.c.accepted_at,
    signals.c.id,
    signals.c.size,
    where="state = 'open'",
)
_partial(
    "stepwell_signals_key",
    signals.c.run_id,
    signals.c.idempotency_key,
    unique=True,
    where="idempotency_key IS NOT NULL",
)

listeners = Table(
    "stepwell_listeners",
    metadata,
    *texts("event", "app_name", "workflow_name", "transition", "matched", "run_id"),
    PrimaryKeyConstraint("run_id", "event", "transition", "matched"),
    Index("stepwell_listeners_event", "event", "app_name", "workflow_name", "transition", "matched"),
    sqlite_with_rowid=False,
)

schedules = Table(
    "stepwell_schedules",
    metadata,
    *texts("app_name", "name", "rule"),
    *moments("since"),
    *moments("next_at", null=True),
    Column("paused", SmallInteger, nullable=False),
    *moments("updated_at"),
    PrimaryKeyConstraint("app_name", "name"),
    sqlite_with_rowid=False,
)

ticks = Table(
    "stepwell_ticks",
    metadata,
    *texts("app_name", "schedule"),
    *moments("scheduled_at", "fired_at"),
    *texts("outcome"),
    *texts("run_id", null=True),
    PrimaryKeyConstraint("app_name", "schedule", "scheduled_at"),
    Index("stepwell_ticks_fired", "fired_at"),
    sqlite_with_rowid=False,
)

deliveries = Table(
    "stepwell_deliveries",
    metadata,
    *texts("app_name", "route", "delivery_id", "run_id"),
    *moments("received_at"),
    PrimaryKeyConstraint("app_name", "route", "delivery_id"),
    Index("stepwell_deliveries_received", "received_at"),
    sqlite_with_rowid=False,
)

delivery_contents = Table(
    "stepwell_delivery_contents",
    metadata,
    *texts("app_name", "route", "digest", "stamp", "delivery_id"),
    *moments("received_at"),
    PrimaryKeyConstraint("app_name", "route", "digest", "stamp"),
    Index("stepwell_delivery_contents_of", "app_name", "route", "delivery_id"),
    Index("stepwell_delivery_contents_received", "received_at"),
    sqlite_with_rowid=False,
)

workers = Table(
    "stepwell_workers",
    metadata,
    Column("id", TEXT, primary_key=True),
    *ints("counter"),
    *texts("host"),
    *ints("pid"),
    *texts("takes"),
    *moments("started_at", "seen_at"),
    sqlite_with_rowid=False,
)

tokens = Table(
    "stepwell_tokens",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("name", "user_id", "role"),
    Column("everybody", SmallInteger, nullable=False),
    *texts("apps", null=True),
    *texts("digest", "prefix", "created_by"),
    *moments("created_at"),
    *moments("expires_at", "last_used_at", "revoked_at", null=True),
    *texts("created_with", "created_via", null=True),
    Index("stepwell_tokens_digest", "digest", unique=True),
    Index("stepwell_tokens_user", "user_id", "id"),
    sqlite_with_rowid=False,
)
_partial("stepwell_tokens_created_with", tokens.c.created_with, tokens.c.id, where="created_with IS NOT NULL")

# One row for each user with tokens: locked while these are counted. It holds the rights that the application last gave.
token_users = Table(
    "stepwell_token_users",
    metadata,
    Column("user_id", TEXT, primary_key=True),
    *texts("role", null=True),
    Column("everybody", SmallInteger, nullable=False, server_default="0"),
    *texts("apps", null=True),
    sqlite_with_rowid=False,
)


IF_TAKEN: Final = {
    steps.name: "DO UPDATE SET "
    + ", ".join(
        f"{name}=excluded.{name}"
        for name in ("value", "recorded_at", "attempts", "status", "error", "undo", "ordinal", "started_at")
    )
    + " WHERE stepwell_steps.status IS NOT NULL"
}
"""The action of an insert on a row that is there, by table, where it isn't left as it is: a step without a value gets one."""
GATED: Final = "gates, claim, version, headstart"
"""The columns that decide, besides those of its wake-up, whether a run with gates may be ready (`tx.Hints.woken`)."""
HELD: Final = "id, app_name, workflow_name, priority, gates, claim, version, held_rank, headstart, held_by"
"""The columns of a run that is held behind a gate, as `store.gates.HeldRun` has them."""
CLAIMED: Final = (
    "owner=?, claim=claim+1, status='running', ready_at=NULL, due_at=NULL, updated_at=?,"
    # Where the gates haven't room, the claim is put back.
    " held_rank=CASE WHEN gates IS NOT NULL THEN COALESCE(ready_at, due_at) END,"
    f" headstart=headstart+CASE WHEN claim=0 THEN {BEGUN} ELSE 0 END"
)
"""SQL for the columns of a run that is claimed by an owner at a moment (`engine.run.claimed`)."""


@lru_cache(maxsize=64)
def names(table: Table) -> tuple[str, ...]:
    """Return the names of the table's columns that rows hold, in order."""
    return tuple(column.name for column in table.columns if column.info is not BY_THE_DATABASE)


def columns(table: Table, prefix: str = "") -> str:
    """Return the table's columns, in order, for a SELECT or RETURNING."""
    return ", ".join(prefix + name for name in names(table))


def moment(value: object) -> int | None:
    """Return the moment in a column; None for any other value, which SQLite takes too."""
    return value if isinstance(value, int) else None


def fitting(sizes: Iterable[int], most: int) -> int:
    """Return how many of the first ones together are no larger than `most`; at least one, if there is one."""
    count = 0
    for size in sizes:
        most -= size
        if most < 0 and count:
            break
        count += 1
    return count
