"""Groups of children, batches, limits and pauses; a level of priority is worth some waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_RUNS = "stepwell_runs"
_NEW: dict[str, Any] = {
    "group_id": _TEXT,
    "group_index": sa.Integer(),
    "gates": _TEXT,
    "held_by": _TEXT,
    "held_rank": sa.BigInteger(),
    "expires_at": sa.BigInteger(),
    "ended_at": sa.BigInteger(),
}


def _partial(
    name: str, table: str, columns: Sequence[str | sa.TextClause], where: str, *, unique: bool = False
) -> None:
    op.create_index(
        name, table, list(columns), unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def _texts(*names: str, null: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, _TEXT, nullable=null) for name in names]


def _moment(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def upgrade() -> None:
    op.add_column(_RUNS, sa.Column("headstart", sa.BigInteger(), nullable=False, server_default="0"))
    for name, type_ in _NEW.items():
        op.add_column(_RUNS, sa.Column(name, type_, nullable=True))
    # What waits now keeps the order that its priority has given it.
    op.execute(
        "UPDATE stepwell_runs SET headstart=CAST(priority AS BIGINT)*60000000"
        " WHERE priority<>0 AND status NOT IN ('completed', 'canceled')"
    )
    op.drop_index("stepwell_runs_ready", table_name=_RUNS)
    _partial(
        "stepwell_runs_ready",
        _RUNS,
        ["app_name", "workflow_name", sa.text("(ready_at - headstart)")],
        "ready_at IS NOT NULL",
    )
    _partial("stepwell_runs_held", _RUNS, ["held_by", "held_rank", "id"], "held_by IS NOT NULL")
    _partial("stepwell_runs_expire", _RUNS, ["expires_at"], "expires_at IS NOT NULL")
    _partial("stepwell_runs_member", _RUNS, ["group_id", "group_index"], "group_id IS NOT NULL")
    _partial("stepwell_runs_counted", _RUNS, ["group_id", "status", "ended_at"], "group_id IS NOT NULL")
    _groups()
    op.create_table(
        "stepwell_slots",
        *_texts("gate", "run_id", "kind"),
        sa.Column("taken", sa.SmallInteger(), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        _moment("at"),
        sa.PrimaryKeyConstraint("gate", "run_id"),
        sqlite_with_rowid=False,
    )
    # A rate may have many rows in its window: they are found by their moments. Other limits have no row in these.
    _partial("stepwell_slots_rate", "stepwell_slots", ["gate", "at"], "kind='rate' AND taken=1")
    _partial("stepwell_slots_window", "stepwell_slots", ["claim", "at"], "kind='rate' AND taken=1")
    _partial("stepwell_slots_promised", "stepwell_slots", ["gate"], "kind='rate' AND taken=0")
    op.create_table(
        "stepwell_gates", *_texts("gate"), _moment("due_at"), sa.PrimaryKeyConstraint("gate"), sqlite_with_rowid=False
    )
    op.create_index("stepwell_gates_due", "stepwell_gates", ["due_at"])
    op.create_table(
        "stepwell_pauses",
        *_texts("app_name", "workflow_name"),
        *_texts("reason", "user_id", null=True),
        _moment("paused_at"),
        sa.PrimaryKeyConstraint("app_name", "workflow_name"),
        sqlite_with_rowid=False,
    )


def _groups() -> None:
    table = "stepwell_groups"
    op.create_table(
        table,
        *_texts("id", "kind", "app_name", "user_id"),
        *_texts("parent_id", "callback", "callback_meta", null=True),
        *_texts("until"),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("max_in_flight", sa.Integer(), nullable=True),
        sa.Column("stop_after", sa.Integer(), nullable=True),
        *_texts("label", "workflow_name", "idempotency_key", "fingerprint", null=True),
        _moment("created_at"),
        *_texts("status"),
        *_texts("outcome", "decided_by", null=True),
        _moment("decided_at", null=True),
        _moment("finished_at", null=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_groups_of", table, ["kind", "user_id", "id"])
    _partial("stepwell_groups_parent", table, ["parent_id", "id"], "parent_id IS NOT NULL")
    _partial("stepwell_groups_open", table, ["id"], "finished_at IS NULL")
    key = ["app_name", "user_id", "idempotency_key"]
    _partial("stepwell_groups_key", table, key, "idempotency_key IS NOT NULL", unique=True)


def downgrade() -> None:
    for table in ("stepwell_pauses", "stepwell_gates", "stepwell_slots", "stepwell_groups"):
        op.drop_table(table)
    for index in ("ready", "held", "expire", "member", "counted"):
        op.drop_index(f"stepwell_runs_{index}", table_name=_RUNS)
    for name in ("headstart", *_NEW):
        op.drop_column(_RUNS, name)
    _partial(
        "stepwell_runs_ready",
        _RUNS,
        ["app_name", "workflow_name", sa.text("priority DESC"), "ready_at"],
        "ready_at IS NOT NULL",
    )
