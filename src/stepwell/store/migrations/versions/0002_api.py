"""What the API asks: the stream of all checkpoints, people's lists of runs, widgets of documents, tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_UNFINISHED = sa.text("status <> 'completed'")


def upgrade() -> None:
    op.add_column("stepwell_history", sa.Column("seq", sa.BigInteger(), nullable=True))
    op.add_column("stepwell_history", sa.Column("xact", sa.BigInteger(), nullable=True))
    if op.get_context().dialect.name == "postgresql":
        _number_rows()
    op.create_index("stepwell_history_feed", "stepwell_history", ["xact", "seq"])
    op.create_index("stepwell_runs_workflow", "stepwell_runs", ["app_name", "workflow_name", "id"])
    op.create_index("stepwell_runs_user", "stepwell_runs", ["user_id", "id"])
    op.create_index(
        "stepwell_runs_status",
        "stepwell_runs",
        ["status", "id"],
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )
    op.add_column("stepwell_documents", sa.Column("ui", _TEXT, nullable=True))
    op.create_table(
        "stepwell_tokens",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("user_id", _TEXT, nullable=False),
        sa.Column("role", _TEXT, nullable=False),
        sa.Column("everybody", sa.SmallInteger(), nullable=False),
        sa.Column("apps", _TEXT, nullable=True),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("prefix", _TEXT, nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("stepwell_tokens_digest", "stepwell_tokens", ["digest"], unique=True)
    op.create_index("stepwell_tokens_user", "stepwell_tokens", ["user_id", "id"])


def _number_rows() -> None:
    # Rows that are there already stay without a number: nobody streams what was before.
    op.execute("CREATE SEQUENCE stepwell_history_seq")
    op.execute(
        "ALTER TABLE stepwell_history ALTER seq SET DEFAULT nextval('stepwell_history_seq'),"
        " ALTER xact SET DEFAULT CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
    )


def downgrade() -> None:
    op.drop_table("stepwell_tokens")
    op.drop_column("stepwell_documents", "ui")
    for index in ("status", "user", "workflow"):
        op.drop_index(f"stepwell_runs_{index}", "stepwell_runs")
    op.drop_index("stepwell_history_feed", "stepwell_history")
    op.drop_column("stepwell_history", "xact")
    op.drop_column("stepwell_history", "seq")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE stepwell_history_seq")
