"""The tables of the first version, written out: later changes of `tables.py` are in later revisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Ids and names are compared byte by byte, whatever language the database speaks.
_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

_TABLES = (
    "deliveries",
    "documents",
    "endings",
    "history",
    "listeners",
    "runs",
    "schedules",
    "signals",
    "steps",
    "ticks",
    "workers",
    "workspaces",
)


def upgrade() -> None:
    op.create_table(
        "stepwell_deliveries",
        sa.Column("app_name", _TEXT, nullable=False),
        sa.Column("route", _TEXT, nullable=False),
        sa.Column("delivery_id", _TEXT, nullable=False),
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app_name", "route", "delivery_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_deliveries_received", "stepwell_deliveries", ["received_at"], unique=False)
    op.create_table(
        "stepwell_documents",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("key", _TEXT, nullable=True),
        sa.Column("content", _TEXT, nullable=False),
        sa.Column("tags", _TEXT, nullable=False),
        sa.Column("meta", _TEXT, nullable=True),
        sa.Column("errors", _TEXT, nullable=True),
        sa.Column("internal", sa.SmallInteger(), nullable=False),
        sa.Column("transition", _TEXT, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("replaced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "stepwell_documents_key",
        "stepwell_documents",
        ["run_id", "key"],
        unique=True,
        sqlite_where=sa.text("key IS NOT NULL AND replaced_at IS NULL"),
        postgresql_where=sa.text("key IS NOT NULL AND replaced_at IS NULL"),
    )
    op.create_index("stepwell_documents_run", "stepwell_documents", ["run_id", "position"], unique=False)
    op.create_table(
        "stepwell_endings",
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("marked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stepwell_history",
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("transition", _TEXT, nullable=True),
        sa.Column("source", _TEXT, nullable=True),
        sa.Column("target", _TEXT, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("error", _TEXT, nullable=True),
        sa.Column("trace", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=True),
        sa.Column("signal_id", _TEXT, nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "version"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "stepwell_history_states",
        "stepwell_history",
        ["run_id", "version"],
        unique=False,
        sqlite_where=sa.text("state IS NOT NULL"),
        postgresql_where=sa.text("state IS NOT NULL"),
    )
    op.create_table(
        "stepwell_listeners",
        sa.Column("event", _TEXT, nullable=False),
        sa.Column("app_name", _TEXT, nullable=False),
        sa.Column("workflow_name", _TEXT, nullable=False),
        sa.Column("transition", _TEXT, nullable=False),
        sa.Column("matched", _TEXT, nullable=False),
        sa.Column("run_id", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "event", "transition", "matched"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "stepwell_listeners_event",
        "stepwell_listeners",
        ["event", "app_name", "workflow_name", "transition", "matched"],
        unique=False,
    )
    op.create_table(
        "stepwell_runs",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("app_name", _TEXT, nullable=False),
        sa.Column("workflow_name", _TEXT, nullable=False),
        sa.Column("workflow_version", sa.Integer(), nullable=False),
        sa.Column("workspace_id", _TEXT, nullable=False),
        sa.Column("user_id", _TEXT, nullable=False),
        sa.Column("parent_id", _TEXT, nullable=True),
        sa.Column("callback", _TEXT, nullable=True),
        sa.Column("callback_meta", _TEXT, nullable=True),
        sa.Column("on_parent_end", _TEXT, nullable=True),
        sa.Column("internal", sa.SmallInteger(), nullable=False),
        sa.Column("labels", _TEXT, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", _TEXT, nullable=True),
        sa.Column("args", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("inbox", sa.Integer(), nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("place", _TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("owner", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("result", _TEXT, nullable=True),
        sa.Column("error", _TEXT, nullable=True),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failing", _TEXT, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("bound", _TEXT, nullable=True),
        sa.Column("bound_signal", _TEXT, nullable=True),
        sa.Column("moves_to", _TEXT, nullable=True),
        sa.Column("detours", _TEXT, nullable=True),
        sa.Column("automatic", sa.Integer(), nullable=False),
        sa.Column("takeovers", sa.Integer(), nullable=False),
        sa.Column("ready_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("deadline", sa.BigInteger(), nullable=True),
        sa.Column("children", sa.Integer(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "stepwell_runs_children",
        "stepwell_runs",
        ["parent_id"],
        unique=False,
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        "stepwell_runs_due",
        "stepwell_runs",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "stepwell_runs_finished",
        "stepwell_runs",
        ["finished_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "stepwell_runs_key",
        "stepwell_runs",
        ["app_name", "user_id", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "stepwell_runs_owned",
        "stepwell_runs",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_index(
        "stepwell_runs_ready",
        "stepwell_runs",
        ["app_name", "workflow_name", sa.literal_column("priority DESC"), "ready_at"],
        unique=False,
        sqlite_where=sa.text("ready_at IS NOT NULL"),
        postgresql_where=sa.text("ready_at IS NOT NULL"),
    )
    op.create_index("stepwell_runs_workspace", "stepwell_runs", ["workspace_id", "id"], unique=False)
    op.create_table(
        "stepwell_schedules",
        sa.Column("app_name", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("rule", _TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("paused", sa.SmallInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app_name", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stepwell_signals",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("data", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("error", _TEXT, nullable=True),
        sa.Column("sender", _TEXT, nullable=False),
        sa.Column("user_id", _TEXT, nullable=True),
        sa.Column("meta", _TEXT, nullable=True),
        sa.Column("idempotency_key", _TEXT, nullable=True),
        sa.Column("visit", sa.Integer(), nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "stepwell_signals_key",
        "stepwell_signals",
        ["run_id", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "stepwell_signals_open",
        "stepwell_signals",
        ["run_id", "accepted_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("stepwell_signals_run", "stepwell_signals", ["run_id", "accepted_at", "id"], unique=False)
    op.create_table(
        "stepwell_steps",
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("transition", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("value", _TEXT, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "visit", "transition", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stepwell_ticks",
        sa.Column("app_name", _TEXT, nullable=False),
        sa.Column("schedule", _TEXT, nullable=False),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", _TEXT, nullable=False),
        sa.Column("run_id", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("app_name", "schedule", "scheduled_at"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_ticks_fired", "stepwell_ticks", ["fired_at"], unique=False)
    op.create_table(
        "stepwell_workers",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("counter", sa.Integer(), nullable=False),
        sa.Column("host", _TEXT, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("takes", _TEXT, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stepwell_workspaces",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("app_name", _TEXT, nullable=False),
        sa.Column("user_id", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_workspaces_of", "stepwell_workspaces", ["app_name", "user_id"], unique=True)
    if op.get_context().dialect.name == "postgresql":
        _leave_room()


def _leave_room() -> None:
    # A checkpoint changes no index: with room on its page it writes nothing but the row (a HOT update).
    op.execute(
        "ALTER TABLE stepwell_runs SET (fillfactor=50, autovacuum_vacuum_scale_factor=0.05,"
        " autovacuum_analyze_scale_factor=0.05)"
    )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(f"stepwell_{table}")
