"""Schedules that are made at run time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TABLE = "stepwell_made_schedules"


def upgrade() -> None:
    op.create_table(
        _TABLE,
        sa.Column("id", _TEXT, primary_key=True),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("app_name", "user_id", "name", "workflow_name")),
        sa.Column("cron", _TEXT, nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("every", "anchor", "once")),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("timezone", "overlap", "misfire")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("catch_up", "jitter")),
        sa.Column("paused", sa.SmallInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("made_by", _TEXT, nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("created_at", "updated_at")),
        sa.Column("args", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{_TABLE}_name", _TABLE, ["app_name", "user_id", "name"], unique=True)
    op.create_index(f"{_TABLE}_user", _TABLE, ["user_id", "id"])
    _partial_index(f"{_TABLE}_due", ["next_at"], "next_at IS NOT NULL AND paused = 0")
    _partial_index(f"{_TABLE}_queued", ["id"], "queued <> 0 AND paused = 0")


def _partial_index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, _TABLE, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_table(_TABLE)
