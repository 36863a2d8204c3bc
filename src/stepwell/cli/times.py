"""When a run begins, as people write it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from stepwell.errors import ConfigurationError
from stepwell.runner.start import MAX_DELAY

_UNITS: Final = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)", re.ASCII)


def begins(delay: str | None, at: str | None) -> tuple[timedelta | None, datetime | None]:
    """What `--delay` and `--at` say; at most one of them is given. Raises ConfigurationError."""
    if delay is not None and at is not None:
        raise ConfigurationError("--delay and --at: give one of them.")
    return (None if delay is None else delay_of(delay)), (None if at is None else moment_of(at))


def delay_of(text: str) -> timedelta:
    """A stretch of time: a number of seconds, or one with its unit. Raises ConfigurationError."""
    found = _DELAY.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"--delay {text!r}: give seconds, or a number with s, m, h or d, as in 90, 15m, 2h.")
    delay = timedelta(**{_UNITS[found[2]]: float(found[1])})
    if delay > MAX_DELAY:
        raise ConfigurationError(f"--delay {text!r}: at most {MAX_DELAY.days} days.")
    return delay


def moment_of(text: str) -> datetime:
    """An aware time; of this machine's zone unless it says another. Raises ConfigurationError."""
    try:
        found = datetime.fromisoformat(text.strip())
        return found.astimezone() if found.tzinfo is None else found
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"--at {text!r}: give a time as in 2030-01-31T08:00, or with its zone, 2030-01-31T08:00+01:00."
        ) from error
