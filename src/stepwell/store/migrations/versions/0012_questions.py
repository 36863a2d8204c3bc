"""Questions: who is asked for a signal, what, until when, and who has answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_TABLE = "stepwell_questions"
_ORDER = ["urgency", "asked_at", "run_id", "transition"]
_OPEN = "closed_at IS NULL"
_INDEXES = {
    "stepwell_questions_open": (_ORDER, _OPEN),
    "stepwell_questions_assignee": (["assignee", *_ORDER], f"{_OPEN} AND assignee IS NOT NULL"),
    "stepwell_questions_team": (["team", *_ORDER], f"{_OPEN} AND team IS NOT NULL"),
    "stepwell_questions_user": (["user_id", *_ORDER], f"{_OPEN} AND assignee IS NULL AND team IS NULL"),
}


def upgrade() -> None:
    # A table of its own: a process of the version before goes on, and asks no questions.
    op.create_table(
        _TABLE,
        sa.Column("run_id", _TEXT, nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        *(
            sa.Column(name, _TEXT, nullable=False)
            for name in ("transition", "app_name", "workflow_name", "user_id", "title")
        ),
        *(sa.Column(name, _TEXT, nullable=True) for name in ("text", "assignee", "team")),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("urgency", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("documents", _TEXT, nullable=False),
        sa.Column("assigned", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("answered_by", _TEXT, nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "visit", "transition"),
        sqlite_with_rowid=False,
    )
    for name, (columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, _TABLE, columns, sqlite_where=where, postgresql_where=where)
    waits = sa.text("status = 'waiting'")
    of_runs = ["user_id", "id"]
    op.create_index("stepwell_runs_waiting", "stepwell_runs", of_runs, sqlite_where=waits, postgresql_where=waits)


def downgrade() -> None:
    op.drop_index("stepwell_runs_waiting", table_name="stepwell_runs")
    op.drop_table(_TABLE)
