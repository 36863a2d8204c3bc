"""Suspicion: runs that a dead worker executed are marked, and found without looking at all others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_SUSPECTED = sa.text("suspicion IS NOT NULL")


def upgrade() -> None:
    op.add_column("stepwell_runs", sa.Column("suspicion", _TEXT, nullable=True))
    op.create_index(
        "stepwell_runs_suspected",
        "stepwell_runs",
        ["suspicion"],
        sqlite_where=_SUSPECTED,
        postgresql_where=_SUSPECTED,
    )


def downgrade() -> None:
    op.drop_index("stepwell_runs_suspected", "stepwell_runs")
    op.drop_column("stepwell_runs", "suspicion")
