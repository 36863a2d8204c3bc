"""Owners of signals: callbacks of children, stays at a place; their size, and an index for kept signals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_OPEN = sa.text("state = 'open'")
_CALLBACKS = (
    "UPDATE stepwell_runs SET callbacks=(SELECT {listed} FROM (SELECT DISTINCT callback FROM stepwell_runs c"
    " WHERE c.parent_id=stepwell_runs.id AND c.callback IS NOT NULL) AS n)"
    " WHERE children > 0 AND EXISTS (SELECT 1 FROM stepwell_runs c WHERE c.parent_id=stepwell_runs.id"
    " AND c.callback IS NOT NULL)"
)


def upgrade() -> None:
    postgres = op.get_context().dialect.name == "postgresql"
    op.add_column("stepwell_runs", sa.Column("callbacks", _TEXT, nullable=True))
    op.add_column("stepwell_runs", sa.Column("stay", sa.Integer(), nullable=True))
    op.add_column("stepwell_signals", sa.Column("size", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        _CALLBACKS.format(listed="CAST(json_agg(callback) AS text)" if postgres else "json_group_array(callback)")
    )
    measure = "octet_length({})" if postgres else "length(CAST({} AS BLOB))"
    measured = " + ".join(f"coalesce({measure.format(name)}, 0)" for name in ("data", "error", "meta"))
    op.execute(f"UPDATE stepwell_signals SET size={measured} WHERE state='open'")
    _index("run_id", "visit", "kind", "name", "accepted_at", "id", "size")


def downgrade() -> None:
    _index("run_id", "accepted_at", "id")
    op.drop_column("stepwell_signals", "size")
    op.drop_column("stepwell_runs", "stay")
    op.drop_column("stepwell_runs", "callbacks")


def _index(*columns: str) -> None:
    op.drop_index("stepwell_signals_open", "stepwell_signals")
    op.create_index("stepwell_signals_open", "stepwell_signals", [*columns], sqlite_where=_OPEN, postgresql_where=_OPEN)
