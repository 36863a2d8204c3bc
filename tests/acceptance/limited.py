"""A workflow with limits that writes down when it executes, the processes that execute it, and the judgement of what they wrote.

An attempt has a slot from its claim on. It has lost it when its process is killed, and when its process stands still for so
long that others take its run over: what it does after that, as a zombie, is no execution any more, and counts up to the moment
at which it was stopped. Whether it was taken over says the log itself: another attempt of the same transition follows.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel

from acceptance import evidence
from acceptance.small import serve
from stepwell import END, App, Concurrency, RateLimit, Settings, Stepwell, Workflow, transition
from stepwell.execution.clock import SystemClock

EXECUTING, WHOLE, RATE, BOTH = 2, 2, 40, 3
PER = timedelta(seconds=2)
MINE: dict[str, Any] = {"app_name": "limited", "user_id": "u1"}


class Work(BaseModel):
    key: str
    seconds: float = 0.02


class Executing(Workflow[Work], concurrency=Concurrency(EXECUTING, key="args.key")):
    @transition(target="between")
    async def first(self) -> None:
        await _written("executing", "first", self.args, self.info.workflow_id)

    @transition("between", "rested", after=timedelta(seconds=0.05))
    async def second(self) -> None:
        await _written("executing", "second", self.args, self.info.workflow_id)

    @transition("rested", END)
    async def third(self) -> None:
        await _written("executing", "third", self.args, self.info.workflow_id)


class WholeRun(Workflow[Work], concurrency=Concurrency(WHOLE, key="args.key", holds="run")):
    @transition(target="between")
    async def first(self) -> None:
        await _written("whole", "first", self.args, self.info.workflow_id)

    @transition("between", END, after=timedelta(seconds=0.05))
    async def second(self) -> None:
        await _written("whole", "second", self.args, self.info.workflow_id)


class Slowly(Workflow[Work], rate_limit=RateLimit(RATE, PER, key="args.key"), fair_by="args.key"):
    @transition(target=END)
    async def first(self) -> None:
        await _written("rated", "first", self.args, self.info.workflow_id)


class Several(
    Workflow[Work],
    concurrency=[Concurrency(EXECUTING, key="args.key"), Concurrency(BOTH, name="several", holds="run")],
    fair_by="args.key",
):
    """Two limits and turns at once."""

    @transition(target=END)
    async def first(self) -> None:
        await _written("several", "first", self.args, self.info.workflow_id)


ALL = [Executing, WholeRun, Slowly, Several]


async def _written(kind: str, step: str, args: Work, run_id: str) -> None:
    name = f"{run_id}/{step}"
    evidence.append("work", "begins", kind, args.key, name, os.getpid(), time.monotonic_ns())
    try:
        await asyncio.sleep(args.seconds)
    finally:
        evidence.append("work", "ends", kind, args.key, name, os.getpid(), time.monotonic_ns())


def limited(*, embedded_worker: bool = True, offset: float = 0.0, **settings: Any) -> Stepwell:
    """A Stepwell with these workflows. `offset` is what its machine's clock is wrong by, in seconds."""
    given = Settings(_env_file=None, database_url=evidence.database_url(), **settings)
    clock = SystemClock(lambda: time.time_ns() + round(offset * 1e9))
    return Stepwell([App("limited", workflows=ALL)], settings=given, embedded_worker=embedded_worker, clock=clock)


def worker(folder: str, settings: dict[str, Any]) -> None:
    """Executes until SIGTERM."""
    serve(folder, lambda: limited(**settings))


# -- the judgement -----------------------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """The time in which an attempt had a slot of a key."""

    key: str
    name: str
    pid: int
    begins: int
    ends: int


class Stop(NamedTuple):
    """The moments between which a process stood still; `until` is None if it was killed."""

    pid: int
    at: int
    until: int | None


def attempts(kind: str, stops: Iterable[Stop], lines: Iterable[list[str]]) -> list[Interval]:
    """The attempts, each as long as it had its slot."""
    given = [*lines]
    begun = [(key, name, int(pid), int(at)) for what, k, key, name, pid, at in given if (what, k) == ("begins", kind)]
    ended = {(name, int(pid)): int(at) for what, k, _, name, pid, at in given if (what, k) == ("ends", kind)}
    later: Mapping[str, list[int]] = defaultdict(list)
    for _, name, _, at in begun:
        later[name].append(at)
    stopped: Mapping[int, list[Stop]] = defaultdict(list)
    for stop in stops:
        stopped[stop.pid].append(stop)
    found = []
    for key, name, pid, at in begun:
        end = ended.get((name, pid))
        followed = [other for other in later[name] if other > at]
        for stop in sorted(stopped[pid], key=lambda one: one.at):
            if stop.at < at or (end is not None and end <= stop.at):
                continue
            if stop.until is None or followed:
                end = stop.at
                break
        assert end is not None or followed, f"{name} in {pid} never ended, and no process took it over"
        found.append(Interval(key, name, pid, at, min(followed) if end is None else end))
    return found


def whole(intervals: Iterable[Interval]) -> list[Interval]:
    """The runs, each from its first execution to its last."""
    runs: dict[str, Interval] = {}
    for one in intervals:
        run_id = one.name.partition("/")[0]
        known = runs.get(run_id, one)
        runs[run_id] = known._replace(begins=min(known.begins, one.begins), ends=max(known.ends, one.ends))
    return [*runs.values()]


def moments(intervals: Iterable[Interval]) -> dict[str, list[int]]:
    """The moments of the first executions of each key, in their order."""
    begun: dict[str, tuple[str, int]] = {}
    for one in intervals:
        known = begun.get(one.name, (one.key, one.begins))
        begun[one.name] = (one.key, min(known[1], one.begins))
    found: dict[str, list[int]] = defaultdict(list)
    for key, at in begun.values():
        found[key].append(at)
    return {key: sorted(given) for key, given in found.items()}


def most_at_once(intervals: Iterable[Interval]) -> dict[str, int]:
    """The most intervals of each key at one moment."""
    changes: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for one in intervals:
        changes[one.key] += [(one.begins, 1), (one.ends, -1)]
    found = {}
    for key, moments in changes.items():
        now = most = 0
        for _, change in sorted(moments):  # at one moment ends come first
            now += change
            most = max(most, now)
        found[key] = most
    return found
