"""Deliveries whose sender doesn't sign their ids are known by their contents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TABLE = "stepwell_delivery_contents"


def upgrade() -> None:
    op.create_table(
        _TABLE,
        *(sa.Column(name, _TEXT, nullable=False) for name in ("app_name", "route", "digest", "stamp", "delivery_id")),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("app_name", "route", "digest", "stamp"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_delivery_contents_of", _TABLE, ["app_name", "route", "delivery_id"])
    op.create_index("stepwell_delivery_contents_received", _TABLE, ["received_at"])


def downgrade() -> None:
    op.drop_table(_TABLE)
