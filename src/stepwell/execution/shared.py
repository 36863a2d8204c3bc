"""The values that executing a run needs, passed down from the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import SecretStr
from uuid_utils import uuid7

from stepwell.definition.registry import Registry
from stepwell.engine.choose import Rules
from stepwell.execution.clock import Clock
from stepwell.execution.scope import TimeLimits
from stepwell.execution.threads import Threads
from stepwell.faults import Faults


class Body(NamedTuple):
    """The function of a step, with what it is called with."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def as_written(_name: str, body: Body) -> Body:
    """Return the body of a step as its author wrote it."""
    return body


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes and times in seconds, from the settings."""

    args: int
    state: int
    payload: int
    document: int
    transition_timeout: float
    transaction_seconds: float
    cleanup_seconds: float


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The signature of links to questions, and the address of the application that serves them."""

    secret: SecretStr | None = None
    former: tuple[SecretStr, ...] = ()
    """Keys of earlier times, the oldest first: links that they have signed stay valid."""
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """Shared by all runs of a process."""

    registry: Registry
    rules: Rules
    limits: Limits
    clock: Clock
    threads: Threads
    random: Callable[[], float]
    """0.0 to 1.0, for jitter."""
    time_limits: TimeLimits = field(default_factory=TimeLimits)
    faults: Faults = field(default_factory=Faults)
    """The faults of this process."""
    links: LinkKeys = LinkKeys()
    body_of: Callable[[str, Body], Body] = as_written
    """Return the body that a step of this name calls; tests replace it."""


def new_id() -> str:
    """Return a UUIDv7: unique, and sorted by time."""
    return str(uuid7())
