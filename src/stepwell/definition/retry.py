"""When a failed attempt is tried again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from stepwell.errors import NonRetryable, RetryAfter

_LONGEST = timedelta(days=36_525)


@dataclass(frozen=True, slots=True)
class Retry:
    """Up to `retries` automatic retries after the first try, `delay * 2**(n-1)` apart and at most `max_delay`.

    `on` names the exceptions worth a retry, `give_up_on` those that aren't although `on` covers them. `jitter` is the
    share of a delay that is left to chance: 0.2 waits between 80% and 100% of it.
    """

    retries: int
    delay: timedelta = timedelta(seconds=1)
    backoff: Literal["exponential", "fixed"] = "exponential"
    max_delay: timedelta = timedelta(seconds=30)
    jitter: float = 0.0
    on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        for name in ("on", "give_up_on"):
            given = getattr(self, name)
            if isinstance(given, type):
                object.__setattr__(self, name, (given,))
        if self.retries < 0:
            raise ValueError(f"Retry(retries={self.retries}): a number of retries is 0 or more.")
        if self.delay < timedelta(0) or self.max_delay < timedelta(0):
            raise ValueError("Retry(delay=..., max_delay=...): a delay is zero or more.")
        if not 0.0 <= self.jitter <= 1.0:
            raise ValueError(f"Retry(jitter={self.jitter}): a jitter is from 0.0 to 1.0.")
        if self.backoff not in ("exponential", "fixed"):
            raise ValueError(f"Retry(backoff={self.backoff!r}): it is 'exponential' or 'fixed'.")

    def allows(self, error: BaseException) -> bool:
        """Whether `error` is worth a retry at all, whatever the budget says."""
        if isinstance(error, NonRetryable):
            return False
        if isinstance(error, RetryAfter):
            return True
        return isinstance(error, self.on) and not isinstance(error, self.give_up_on)

    def wait(self, failures: int, error: BaseException | None = None, draw: float = 0.0) -> timedelta:
        """The delay before the next try after `failures` failed ones; `draw` (0.0 to 1.0) is the jitter's chance."""
        if isinstance(error, RetryAfter):
            return min(error.delay, _LONGEST)
        doublings = failures - 1 if self.backoff == "exponential" else 0
        # In floats, where doubling for ever ends at infinity: a timedelta would overflow long before the cap.
        most = min(self.max_delay, _LONGEST).total_seconds()
        seconds = min(self.delay.total_seconds() * 2.0 ** min(doublings, 1000), most)
        return timedelta(seconds=seconds) * (1.0 - self.jitter * draw)
