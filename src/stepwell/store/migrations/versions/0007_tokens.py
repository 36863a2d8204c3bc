"""Tokens know what they were made with, and the rights of users who make them are kept."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_OWN = "('system', 'cli', 'local')"
"""The users that are Stepwell's own from now on."""
_CHILDREN = sa.text("created_with IS NOT NULL")


def upgrade() -> None:
    op.add_column("stepwell_tokens", sa.Column("created_with", _TEXT, nullable=True))
    op.add_column("stepwell_tokens", sa.Column("created_via", _TEXT, nullable=True))
    # Whether the operator made a token of one of these users, or a user of the application who had the name, isn't known.
    op.execute(
        f"UPDATE stepwell_tokens SET revoked_at={time.time_ns() // 1000} WHERE user_id IN {_OWN} AND revoked_at IS NULL"
    )
    # The others are taken for those of the command line and of `stepwell dev`. A user who had that name and made them has
    # no part in them any more: that login is refused.
    op.execute(
        f"UPDATE stepwell_tokens SET created_via='local' WHERE created_by IN ('cli', 'local') AND user_id NOT IN {_OWN}"
    )
    op.create_index(
        "stepwell_tokens_created_with",
        "stepwell_tokens",
        ["created_with", "id"],
        sqlite_where=_CHILDREN,
        postgresql_where=_CHILDREN,
    )
    op.create_table(
        "stepwell_token_users",
        sa.Column("user_id", _TEXT, primary_key=True),
        sa.Column("role", _TEXT, nullable=True),
        sa.Column("everybody", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("apps", _TEXT, nullable=True),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("stepwell_token_users")
    op.drop_index("stepwell_tokens_created_with", "stepwell_tokens")
    op.drop_column("stepwell_tokens", "created_via")
    op.drop_column("stepwell_tokens", "created_with")
