"""Forks, the subjects of runs, and further workspaces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_RUNS = "stepwell_runs"
_SHARED = "stepwell_shared_documents"
_MADE = "stepwell_made_workspaces"
_OF_RUNS = ("forked_from", "forked_with", "former", "subject")


def upgrade() -> None:
    # All may be NULL: a process of the version before goes on with such tables, and writes none of these columns.
    for name in _OF_RUNS:
        op.add_column(_RUNS, sa.Column(name, _TEXT, nullable=True))
    op.add_column(_RUNS, sa.Column("forked_at", sa.Integer(), nullable=True))
    forked = sa.text("forked_from IS NOT NULL")
    op.create_index("stepwell_runs_forks", _RUNS, ["forked_from", "id"], sqlite_where=forked, postgresql_where=forked)
    op.add_column("stepwell_workspaces", sa.Column("title", _TEXT, nullable=True))
    op.create_table(
        _SHARED,
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("document_id", _TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("replaced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "document_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_shared_documents_of", _SHARED, ["document_id", "run_id"])
    op.create_table(
        _MADE,
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("app_name", _TEXT, nullable=False),
        sa.Column("user_id", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("title", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_made_workspaces_of", _MADE, ["app_name", "user_id", "id"])


def downgrade() -> None:
    op.drop_table(_MADE)
    op.drop_table(_SHARED)
    op.drop_column("stepwell_workspaces", "title")
    op.drop_index("stepwell_runs_forks", table_name=_RUNS)
    op.drop_column(_RUNS, "forked_at")
    for name in _OF_RUNS:
        op.drop_column(_RUNS, name)
