"""One firing of a schedule, as its handler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment of a schedule that came due. It is the same for a handler that runs again after a crash."""

    schedule: str
    """The schedule's name."""
    scheduled_at: datetime
    """When it was due by the schedule, aware, in the schedule's timezone, without jitter."""
    fired_at: datetime
    """When it fired the first time, aware, UTC."""

    def __post_init__(self) -> None:
        for name in ("scheduled_at", "fired_at"):
            moment: datetime = getattr(self, name)
            if moment.tzinfo is None:
                raise ValueError(f"Tick({name}={moment.isoformat()!r}) has no timezone: give an aware datetime.")
        object.__setattr__(self, "fired_at", self.fired_at.astimezone(UTC))

    def to_json(self) -> dict[str, str]:
        """The tick as JSON data; `from_json` gives an equal one back, timezone included."""
        return {
            "schedule": self.schedule,
            "scheduled_at": self.scheduled_at.astimezone(UTC).isoformat(),
            "timezone": getattr(self.scheduled_at.tzinfo, "key", "UTC"),
            "fired_at": self.fired_at.isoformat(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Tick:
        """The tick that `to_json` wrote."""
        scheduled_at = datetime.fromisoformat(data["scheduled_at"]).astimezone(ZoneInfo(data["timezone"]))
        return cls(data["schedule"], scheduled_at, datetime.fromisoformat(data["fired_at"]))
