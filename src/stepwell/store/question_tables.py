"""The table of questions, in the order of `engine.questions.QuestionRow`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Table

from stepwell.store.columns import ints, metadata, moments, texts
from stepwell.store.columns import partial_index as _partial

questions = Table(
    "stepwell_questions",
    metadata,
    *texts("run_id"),
    *ints("visit"),
    *texts("transition", "app_name", "workflow_name", "user_id", "title"),
    *texts("text", "assignee", "team", null=True),
    *moments("due_at", null=True),
    Column("urgency", BigInteger, nullable=False),
    *moments("asked_at"),
    *texts("documents"),
    Column("assigned", Integer, nullable=False, server_default="0"),
    *texts("answered_by", null=True),
    *moments("answered_at", "closed_at", null=True),
    PrimaryKeyConstraint("run_id", "visit", "transition"),
    sqlite_with_rowid=False,
)
_OPEN = "closed_at IS NULL"
_ORDER = (questions.c.urgency, questions.c.asked_at, questions.c.run_id, questions.c.transition)
_partial("stepwell_questions_open", *_ORDER, where=_OPEN)
_partial("stepwell_questions_assignee", questions.c.assignee, *_ORDER, where=f"{_OPEN} AND assignee IS NOT NULL")
_partial("stepwell_questions_team", questions.c.team, *_ORDER, where=f"{_OPEN} AND team IS NOT NULL")
_partial(
    "stepwell_questions_user",
    questions.c.user_id,
    *_ORDER,
    where=f"{_OPEN} AND assignee IS NULL AND team IS NULL",
)
