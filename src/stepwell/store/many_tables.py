"""The tables for many runs at once: groups, what runs hold of limits, gates to look at, and pauses."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, SmallInteger, Table

from stepwell.store.columns import TEXT, ints, metadata, moments, texts
from stepwell.store.columns import partial_index as _partial

# A group of children, or a batch: what is to happen when its members end. How far it is, is counted from their rows.
groups = Table(
    "stepwell_groups",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("kind", "app_name", "user_id"),
    *texts("parent_id", "callback", "callback_meta", null=True),
    *texts("until"),
    *ints("total"),
    *ints("max_in_flight", "stop_after", null=True),
    *texts("label", "workflow_name", "idempotency_key", "fingerprint", null=True),
    *moments("created_at"),
    *texts("status"),
    *texts("outcome", "decided_by", null=True),
    *moments("decided_at", "finished_at", null=True),
    Index("stepwell_groups_of", "kind", "user_id", "id"),
    sqlite_with_rowid=False,
)
_partial("stepwell_groups_parent", groups.c.parent_id, groups.c.id, where="parent_id IS NOT NULL")
_partial("stepwell_groups_open", groups.c.id, where="finished_at IS NULL")
_partial(
    "stepwell_groups_key",
    groups.c.app_name,
    groups.c.user_id,
    groups.c.idempotency_key,
    unique=True,
    where="idempotency_key IS NOT NULL",
)

# What a run holds of a limit, or was promised: counted only together with the run's own row, so that nothing leaks.
slots = Table(
    "stepwell_slots",
    metadata,
    *texts("gate", "run_id", "kind"),
    Column("taken", SmallInteger, nullable=False),
    *ints("claim"),
    *moments("at"),
    PrimaryKeyConstraint("gate", "run_id"),
    sqlite_with_rowid=False,
)
_partial("stepwell_slots_rate", slots.c.gate, slots.c.at, where="kind='rate' AND taken=1")
_partial("stepwell_slots_window", slots.c.claim, slots.c.at, where="kind='rate' AND taken=1")
_partial("stepwell_slots_promised", slots.c.gate, where="kind='rate' AND taken=0")

# Gates at which something may be to do at a moment: a window of a rate limit that opens, runs that may be let through.
gates = Table(
    "stepwell_gates",
    metadata,
    Column("gate", TEXT, primary_key=True),
    *moments("due_at"),
    Index("stepwell_gates_due", "due_at"),
    sqlite_with_rowid=False,
)

# What nothing is claimed of. An empty name stands for all.
pauses = Table(
    "stepwell_pauses",
    metadata,
    *texts("app_name", "workflow_name"),
    *texts("reason", "user_id", null=True),
    *moments("paused_at"),
    PrimaryKeyConstraint("app_name", "workflow_name"),
    sqlite_with_rowid=False,
)
