"""`once` under `kill -9`: the body ran at most once, and each outcome that isn't known is told (rule 61)."""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.nursery import Child, Nursery
from acceptance.once import ME, MOMENTS, Pays, once
from acceptance.seed import say, seed
from acceptance.support import until
from stepwell import Start, Stepwell

pytestmark = pytest.mark.thorough

AT_ONCE = 10
"""Runs that a process executes when it is killed at random."""
KNOWN = {"before-marker": 1, "before-checkpoint": 1}
"""The moments of which the outcome is known, and how often the body has run in the end."""
UNKNOWN = {"before-body": 0, "in-body": 1, "before-value": 1}


async def _kill_at_moments(here: Stepwell, victim: Child) -> list[str]:
    """Kill the process while it stands at each of the moments, with a run of its own; return these runs."""
    handles = await here.runner.run_many([Start(Pays, moment) for moment in MOMENTS], **ME)
    ids = [handle.workflow_id for handle in handles]
    wanted = {(moment, run_id) for moment, run_id in zip(MOMENTS, ids, strict=True)}
    await until(lambda: wanted <= {(a, b) for a, b in evidence.lines("stands")}, "all stand", victim)
    victim.kill()
    return ids


async def _kill_at_random(here: Stepwell, victim: Child, chance: random.Random) -> list[str]:
    """Kill the process once it has begun so many of the bodies of its runs; return these runs."""
    wanted = len(evidence.lines("bodies")) + chance.randrange(AT_ONCE)
    handles = await here.runner.run_many([Start(Pays, "") for _ in range(AT_ONCE)], **ME)
    await until(lambda: len(evidence.lines("bodies")) >= wanted, f"{wanted} bodies have begun", victim)
    victim.kill()
    return [handle.workflow_id for handle in handles]


async def _check(nursery: Nursery, folder: Path, kills: int, tell: Callable[[str], object]) -> None:
    chosen = seed()
    tell(f"\nSTEPWELL_TEST_SEED={chosen}\n")
    chance = random.Random(chosen)
    chosen_runs: list[list[str]] = []
    others: list[str] = []
    async with once(embedded_worker=False) as here:
        for n in range(kills):
            victim = nursery.start("acceptance.once:worker", str(folder), log=folder / "worker.log")
            await until(lambda: [str(victim.pid)] in evidence.lines("open"), "it is open", victim)  # noqa: B023
            # A second kill of the same run would fall at another moment.
            await until(lambda: _over(chosen_runs[-1:]), "the runs before are over", victim)
            if n % 2:
                others += await _kill_at_random(here, victim, chance)
            else:
                chosen_runs.append(await _kill_at_moments(here, victim))
        last = nursery.start("acceptance.once:worker", str(folder), log=folder / "worker.log")
        await until(lambda: _over([*chosen_runs, others]), "all runs are over", last, seconds=600)
        figures = await _judge(here, chosen_runs, others)
        tell(f"{kills} kills: {figures}\n")


def _over(chosen: list[list[str]]) -> bool:
    found = dict(evidence.read("SELECT id, status FROM stepwell_runs"))
    return all(found[run_id] in ("completed", "failed") for ids in chosen for run_id in ids)


async def _judge(here: Stepwell, chosen: list[list[str]], others: list[str]) -> dict[str, int]:
    bodies = Counter(run_id for run_id, _ in evidence.lines("bodies"))
    assert max(bodies.values()) == 1, "a body ran twice"
    for ids in chosen:
        for moment, run_id in zip(MOMENTS, ids, strict=True):
            known = await _told(here, run_id)
            assert known == (moment in KNOWN), moment
            assert bodies[run_id] == {**KNOWN, **UNKNOWN}[moment], moment
    found = Counter([await _told(here, run_id) for run_id in others])
    return {"runs": sum(map(len, chosen)) + len(others), "unknown at random": found[False]}


async def _told(here: Stepwell, run_id: str) -> bool:
    """Return whether the outcome is known. It is told in either case: by the run, its history, its steps and `explain`."""
    run = await here.runner.get(run_id)
    [step] = (await here.runner.steps(run_id)).items
    if run.status == "completed":
        assert (run.result, step.status, step.value) == ("paid", "completed", "paid")
        return True
    assert "StepUnknown: the step 'pay' was begun before" in (run.error or "")
    row = (await here.runner.history(run_id))[-1]
    assert (row.status, "StepUnknown" in (row.error or "")) == ("failed", True)
    assert (step.status, step.value) == ("unknown", None)
    assert "StepUnknown" in str(await here.runner.explain(run_id))
    return False


async def test_no_kill_runs_a_body_twice(nursery: Nursery, folder: Path) -> None:
    await _check(nursery, folder, 4, sys.stdout.write)


@pytest.mark.faults
async def test_two_hundred_kills_run_no_body_twice(
    nursery: Nursery, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        await _check(nursery, folder, int(os.environ.get("STEPWELL_TEST_KILLS", "200")), say)
