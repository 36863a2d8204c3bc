"""The only reader of the environment: one frozen object, merged once and passed down."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024

Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """What can be set, by keyword, by `STEPWELL_...` variables or in `.env`, in this order. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(env_prefix="STEPWELL_", env_file=".env", extra="ignore", frozen=True)

    database_url: str = "sqlite+aiosqlite:///stepwell.db"
    """Where runs live. Plain `sqlite://` and `postgresql://` are accepted too."""
    database_schema: str | None = None
    """The schema of Stepwell's tables on PostgreSQL."""
    database_connections: Annotated[int, Field(ge=1, le=1_000)] = 12
    """Connections of one process to PostgreSQL, at most."""
    transaction_pooler: bool = False
    """PostgreSQL is behind a pooler in transaction mode (PgBouncer): nothing is prepared or listened for in sessions."""
    auto_migrate: bool | None = None
    """Migrate at start. Default: on SQLite yes, on PostgreSQL no (`stepwell db upgrade` does it)."""
    queue_url: str | None = None
    """None: the database is the queue. `redis://...`: BullMQ."""
    queue_prefix: Annotated[str, Field(min_length=1, max_length=100)] = "bull"
    """What BullMQ's keys in Redis begin with; that of Node's BullMQ, unless it is told otherwise."""

    worker_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Runs that one process executes at once."""
    sync_threads: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Threads for plain `def` methods, private to Stepwell."""
    lease_seconds: Seconds = 30.0
    """A worker whose heartbeat has stood still for this long is dead, and its runs are taken over."""
    drain_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long a stopping worker lets transitions finish before it hands them over."""
    transition_timeout: Annotated[float, Field(ge=0)] = 300.0
    """Default time for one attempt of a transition; 0: no limit."""
    transaction_seconds: Seconds = 5.0
    """How long `self.transaction()` may stay open."""
    busy_seconds: Seconds = 30.0
    """How long a database locked by somebody else is waited for."""
    max_takeovers: Annotated[int, Field(ge=1)] = 10
    """A run whose worker died this often at one checkpoint fails."""
    max_transitions_per_pass: Annotated[int, Field(ge=1)] = 1000
    """Automatic transitions in a row without parking."""
    history_states: Annotated[int, Field(ge=1)] = 100
    """History rows of a run that keep their state."""

    max_args_bytes: Bytes = MIB
    max_state_bytes: Bytes = MIB
    max_payload_bytes: Bytes = MIB
    max_document_bytes: Bytes = MIB
    max_webhook_bytes: Bytes = 5 * MIB
    max_kept_signals: Annotated[int, Field(ge=1)] = 1000
    """Signals of one run that wait to be taken."""

    retention: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    """Finished runs older than this are deleted with all they own. None: never."""
    auth: dict[str, Any] | None = None
    """Reserved for API access; setting it now is refused."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8642
