"""Documents know the title that their type had when they were saved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("stepwell_documents", sa.Column("title", _TEXT, nullable=True))


def downgrade() -> None:
    op.drop_column("stepwell_documents", "title")
