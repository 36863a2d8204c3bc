"""The table of schedules that are made at run time."""

from __future__ import annotations

from sqlalchemy import Column, Index, SmallInteger, Table

from stepwell.store.columns import TEXT, ints, metadata, moments, texts
from stepwell.store.columns import partial_index as _partial

# Schedules made at run time, with what is settled of them; their ticks have the id as `schedule`. The args, which may be
# large, come last: SQLite reads a row from its beginning.
made_schedules = Table(
    "stepwell_made_schedules",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("app_name", "user_id", "name", "workflow_name"),
    *texts("cron", null=True),
    *moments("every", "anchor", "once", null=True),
    *texts("timezone", "overlap", "misfire"),
    *moments("catch_up", "jitter"),
    Column("paused", SmallInteger, nullable=False),
    *moments("since"),
    *moments("next_at", null=True),
    *ints("queued"),
    *texts("made_by", null=True),
    *moments("created_at", "updated_at"),
    *texts("args"),
    Index("stepwell_made_schedules_name", "app_name", "user_id", "name", unique=True),
    Index("stepwell_made_schedules_user", "user_id", "id"),
    sqlite_with_rowid=False,
)
_partial("stepwell_made_schedules_due", made_schedules.c.next_at, where="next_at IS NOT NULL AND paused = 0")
_partial("stepwell_made_schedules_queued", made_schedules.c.id, where="queued <> 0 AND paused = 0")
