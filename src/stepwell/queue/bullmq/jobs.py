"""Stepwell's words in BullMQ's terms, jobs as this process adds and takes them, and what it knows of queues. Pure.

Values that come from Redis are untrusted: other programs write there too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

from stepwell.store.tx import Lane, WakeUp

INBOX: Final = "stepwell"
"""The queue into which other services put starts."""
RUN_FIELD: Final = "run"
"""The only field of a wake-up's data."""

MIDDLE: Final = 2**20
"""BullMQ's priority of Stepwell's 0. There 1 goes first, 2,097,151 last, and 0 means none, which goes before all."""
FURTHEST: Final = MIDDLE - 1
"""Priorities further from 0 than this are as this one."""
KEPT: Final = 1000
"""Finished starts that are kept for inspection, unless their sender said otherwise."""
_COUNTERS: Final = ("atm", "stc")
_COUNT: Final = re.compile(r"-?[0-9]{1,18}")
_FIRST: Final = 2
"""Jobs asked of a queue at first; four times as many each time it had them all."""
_MOST: Final = 256


@lru_cache(maxsize=4096)
def queue_of(lane: Lane) -> str:
    """Return the name of the lane's queue: no two lanes share one, whatever they are called."""
    app, workflow = lane
    return f"{INBOX}.{_part(app)}.{_part(workflow)}"


def _part(name: str) -> str:
    # BullMQ forbids the colon, and the dot separates.
    return quote(name, safe="").replace(".", "%2E")


def job_priority(priority: int) -> int:
    """Return BullMQ's number for a priority: lower goes first there, higher here."""
    return MIDDLE - max(-FURTHEST, min(priority, FURTHEST))


def job_id(wake_up: WakeUp, again: int = 0) -> str:
    """Return the job's id, the same in every process that wakes for this run at this moment; `again` marks repeats."""
    return f"{wake_up.run_id}-{wake_up.at}" + (f"-{again}" if again else "")


def milliseconds(moment: int) -> int:
    """Return the moment in BullMQ's unit, never before it."""
    return -(-moment // 1000)


class NewJob(NamedTuple):
    """A job to be added."""

    queue: str
    id: str
    name: str
    data: dict[str, Any]
    priority: int = 0
    due: int = 0
    """Milliseconds since 1970; 0: now."""
    kept: bool = False
    """True if it is kept for inspection when it is finished."""


class Marker(NamedTuple):
    """A mark that a queue has a job, or will have one at a moment. Its taker looks there, or gives it back."""

    queue: str
    at: int
    """Milliseconds since 1970; 0: now."""


@dataclass(frozen=True, slots=True)
class TakenJob:
    """A job in this process's hands, to be finished or put back."""

    queue: str
    id: str
    data: Any
    fields: Mapping[str, str]
    """All its fields in Redis."""

    @property
    def added(self) -> int:
        """The time when it was added, in milliseconds."""
        return whole(self.fields.get("timestamp"))


@dataclass(slots=True)
class JobBatch:
    """Changes that are written to Redis together."""

    jobs: list[NewJob] = field(default_factory=list)
    done: list[tuple[TakenJob, Any]] = field(default_factory=list)
    back: list[TakenJob] = field(default_factory=list)
    marks: list[Marker] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.jobs) + len(self.done) + len(self.back) + len(self.marks)

    def join(self, other: JobBatch) -> None:
        """Add the other's changes to these."""
        self.jobs += other.jobs
        self.done += other.done
        self.back += other.back
        self.marks += other.marks

    def split(self, size: int) -> JobBatch:
        """Take out up to `size` of each kind, and return them."""
        part = JobBatch(self.jobs[:size], self.done[:size], self.back[:size], self.marks[:size])
        del self.jobs[:size], self.done[:size], self.back[:size], self.marks[:size]
        return part


def data_of(fields: Mapping[str, str]) -> Any:
    """Return the data of a job; None if it isn't JSON."""
    try:
        return json.loads(fields["data"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return None


def whole(value: object) -> int:
    """Return the number that a value in Redis is, as whole as a column holds it; 0 for anything else."""
    try:
        found = int(float(str(value))) if value is not None else 0
    except (ValueError, OverflowError):
        return 0
    return found if abs(found) < 2**62 else 0


def misleading(fields: Mapping[str, str]) -> list[str]:
    """Return the fields at which BullMQ's scripts would stop half-way, and leave the job in no state at all.

    These are counters that are no whole numbers, and a parent or its key that can't name a job.
    """
    found = [name for name in _COUNTERS if name in fields and not _COUNT.fullmatch(fields[name])]
    if "parent" in fields and not _names_a_job(fields["parent"]):
        found.append("parent")
    if ":" not in fields.get("parentKey", ":"):
        found.append("parentKey")
    return found


def _names_a_job(parent: str) -> bool:
    try:
        named = json.loads(parent)
    except (ValueError, RecursionError):
        return False
    return isinstance(named, dict) and all(type(named.get(one)) in (str, int) for one in ("id", "queueKey"))


def keep(wanted: Any) -> Any:
    """Return how many finished jobs to keep, as the job asks for it, if that is valid."""
    if isinstance(wanted, bool) or (isinstance(wanted, int) and 0 <= wanted < 2**31):
        return wanted
    known = isinstance(wanted, dict) and wanted and wanted.keys() <= {"count", "age"}
    if known and all(type(one) is int and 0 <= one < 2**31 for one in wanted.values()):
        return wanted
    return {"count": KEPT}


def wake_up_job(wake_up: WakeUp, again: int = 0) -> NewJob:
    """Return the job that wakes workers for a run that is ready."""
    lane = (wake_up.app_name, wake_up.workflow_name)
    data = {RUN_FIELD: wake_up.run_id}
    return NewJob(queue_of(lane), job_id(wake_up, again), wake_up.workflow_name, data, job_priority(wake_up.priority))


def delayed_job(wake_up: WakeUp) -> NewJob:
    """Return the job that wakes workers for a run when it becomes due."""
    return wake_up_job(wake_up)._replace(due=milliseconds(wake_up.at))


class Shares:
    """Queues that may have jobs, with how many to ask of each; the first have waited longest."""

    def __init__(self) -> None:
        self._guesses: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._guesses)

    def add(self, queues: Iterable[str]) -> None:
        """Note that these queues may have jobs."""
        self._guesses.update((name, _FIRST) for name in queues if name not in self._guesses)

    def of(self, wanted: int) -> list[tuple[str, int]]:
        """Return how many jobs to ask of each queue: turn by turn, where there are more queues than wanted."""
        names = list(self._guesses)[:wanted]
        return [(name, min(self._guesses[name], max(wanted // len(names), 1))) for name in names]

    def answered(self, asked: Sequence[tuple[str, int]], empty: Mapping[str, int]) -> None:
        """Note that these queues were asked: the empty ones need no further look, the others are asked for more in the end."""
        for name, count in asked:
            guess = self._guesses.pop(name)
            if name not in empty:
                self._guesses[name] = guess if count < guess else min(guess * 4, _MOST)

    def clear(self) -> None:
        """Forget all of them."""
        self._guesses.clear()


class Marks:
    """The moments at which queues will have a job, from marks that this process took. Moments are milliseconds."""

    def __init__(self) -> None:
        self._later: dict[str, int] = {}

    def add(self, mark: Marker) -> None:
        """Note a mark that this process took: no other process knows of it any more."""
        self._later[mark.queue] = min(mark.at, self._later.get(mark.queue, mark.at))

    def take_ripe(self, now: int) -> list[Marker]:
        """Take out the marks whose moment has come."""
        ripe = [Marker(name, at) for name, at in self._later.items() if at <= now]
        for name, _ in ripe:
            del self._later[name]
        return ripe

    def take_all(self) -> list[Marker]:
        """Take out all marks."""
        later, self._later = self._later, {}
        return [Marker(name, at) for name, at in later.items()]

    def seconds_left(self, now: int, longest: float) -> float:
        """Return the seconds until the next moment; `longest` without any."""
        return max(min(self._later.values()) - now, 1) / 1000 if self._later else longest

    def emptied(self, queues: Mapping[str, int]) -> None:
        """Note that these queues were empty, and will have a job at these moments (0: unknown)."""
        for name, at in queues.items():
            if at:
                self._later[name] = at
            else:
                self._later.pop(name, None)


class BegunRun(Protocol):
    """The run that was started, or that its key had started before."""

    @property
    def workflow_id(self) -> str: ...
    @property
    def created(self) -> bool: ...


class StartRun(Protocol):
    """Starts a run durably, once per key. Raises StepwellError."""

    async def __call__(
        self,
        workflow: str,
        args: Any,
        *,
        app_name: str,
        user_id: str,
        labels: Sequence[str],
        priority: int | None,
        delay: timedelta | None,
        idempotency_key: str,
    ) -> BegunRun: ...
