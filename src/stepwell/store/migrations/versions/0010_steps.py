"""Steps with options, timers that a method works out, and runs that clear up before they are cancelled."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_RUNS = "stepwell_runs"
_STEPS = "stepwell_steps"
_OF_RUNS = ("on_cancel", "timers", "canceling")
_OF_STEPS: dict[str, Any] = {
    "attempts": sa.Integer(),
    "status": _TEXT,
    "error": _TEXT,
    "undo": _TEXT,
    "ordinal": sa.Integer(),
    "started_at": sa.BigInteger(),
    "undone_at": sa.BigInteger(),
}


def upgrade() -> None:
    # All may be NULL: a process of the version before goes on with such tables, and writes none of these columns.
    for name in _OF_RUNS:
        op.add_column(_RUNS, sa.Column(name, _TEXT, nullable=True))
    for name, type_ in _OF_STEPS.items():
        op.add_column(_STEPS, sa.Column(name, type_, nullable=True))
    where = sa.text("undo IS NOT NULL")
    op.create_index("stepwell_steps_undo", _STEPS, ["run_id", "ordinal"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("stepwell_steps_undo", table_name=_STEPS)
    for name in _OF_STEPS:
        op.drop_column(_STEPS, name)
    for name in _OF_RUNS:
        op.drop_column(_RUNS, name)
