"""Groups of children under `kill -9`: decided once, told once, and held until their turn (rule 53, faults 4, 5)."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import pytest

from acceptance import evidence, holds
from acceptance.grouped import MINE, MOST, Ask, Part, grouped
from acceptance.nursery import Child, Nursery
from acceptance.seed import seed
from acceptance.support import opened
from stepwell import Start

pytestmark = pytest.mark.thorough

WORKERS = 2
GROUPS = 24
PARTS = 10
KILLS = 8
PATIENCE = 240.0
"""Seconds without any run that ends."""


def asked(number: int) -> Ask:
    """Groups of all kinds, in turns."""
    until, most, failing = [
        ("all_ended", None, {3, 4}),
        ("all_completed", None, set()),
        ("first_completed", None, {0, 1}),
        ("all_ended", MOST, {2}),
        ("all_completed", 1, {4}),
        ("first_completed", MOST, set(range(PARTS))),
    ][number % 6]
    parts = [Part(key=f"g{number}", fails=n in failing) for n in range(PARTS)]
    return Ask(until=until, parts=parts, most=most)


class Killing:
    """Workers that are killed one after the other, each replaced by another."""

    def __init__(self, nursery: Nursery, folder: Path, chance: random.Random) -> None:
        self._nursery, self._folder, self._chance = nursery, folder, chance
        self.workers = [self._worker(n) for n in range(WORKERS)]

    def _worker(self, number: int) -> Child:
        settings = {"lease_seconds": 0.8, "worker_concurrency": 20, "busy_seconds": 60}
        log = self._folder / f"worker{number}.log"
        return self._nursery.start("acceptance.grouped:worker", str(self._folder), settings, log=log)

    def strike(self) -> None:
        """One of them is dead."""
        number = self._chance.randrange(WORKERS)
        victim = self.workers[number]
        assert not victim.ended(), victim.tail()
        victim.kill()
        self.workers[number] = self._worker(number)


async def test_each_group_is_decided_and_told_once_whatever_dies(nursery: Nursery, folder: Path) -> None:
    chosen = seed()
    sys.stdout.write(f"\nSTEPWELL_TEST_SEED={chosen}\n")
    chance = random.Random(chosen)
    async with grouped(embedded_worker=False) as here:
        await here.runner.run_many([Start("whole", asked(n)) for n in range(GROUPS)], **MINE)
        holds.watch()
    killing = Killing(nursery, folder, chance)
    _stir(killing, chance)
    for worker in killing.workers:
        await opened(worker)  # earlier, the signal would just end it
        worker.terminate()
    for worker in killing.workers:
        assert worker.wait() == 0, worker.tail()
    _judge_ends()
    holds.judge(holds.attempts("piece"))
    most = holds.most_held("group")
    for number, gate in enumerate(f"group:{group}" for group in _groups()):
        limit = asked(number).most
        assert most.get(gate) == limit


def _groups() -> list[str]:
    """The ids of the groups, in the order in which they were asked for."""
    sql = "SELECT g.id FROM stepwell_groups g JOIN stepwell_runs r ON r.id=g.parent_id ORDER BY r.id"
    return [group for (group,) in evidence.read(sql)]


def _stir(killing: Killing, chance: random.Random) -> None:
    kills, left, last = KILLS, -1, -2
    since = struck = time.monotonic()
    unended = "SELECT count(*) FROM stepwell_runs WHERE status NOT IN ('completed', 'failed', 'canceled')"
    while left or kills:
        time.sleep(0.05)
        if kills and time.monotonic() - struck > chance.uniform(0.2, 1.5):
            killing.strike()
            kills, struck = kills - 1, time.monotonic()
        left = evidence.number(unended) + evidence.number(
            "SELECT count(*) FROM stepwell_groups WHERE finished_at IS NULL"
        )
        if left != last:
            last, since = left, time.monotonic()
        assert time.monotonic() - since < PATIENCE, f"{left} are stuck: {_stuck()}"


def _stuck() -> list[object]:
    columns = "id, workflow_name, status, held_by, owner, claim, ready_at, due_at"
    return [*evidence.read(f"SELECT {columns} FROM stepwell_runs WHERE status NOT IN ('completed', 'failed') LIMIT 10")]


def _judge_ends() -> None:
    assert evidence.number("SELECT count(*) FROM stepwell_groups") == GROUPS
    assert evidence.number("SELECT count(*) FROM stepwell_groups WHERE status='running'") == 0
    ends = [*evidence.read("SELECT id, state FROM stepwell_signals WHERE kind='child'")]
    assert len(ends) == GROUPS, "each parent is told once"
    assert {state for _, state in ends} == {"taken"}
    assert (
        evidence.number("SELECT count(*) FROM stepwell_history WHERE transition='told' AND status='committed'")
        == GROUPS
    )
    assert evidence.number("SELECT count(*) FROM stepwell_runs WHERE group_id IS NOT NULL") == GROUPS * PARTS
    assert evidence.number("SELECT count(*) FROM stepwell_runs WHERE held_by IS NOT NULL") == 0
    assert evidence.number("SELECT count(*) FROM stepwell_slots") == 0
    assert evidence.number("SELECT count(*) FROM stepwell_endings") == 0
    for args, result in evidence.read("SELECT args, result FROM stepwell_runs WHERE workflow_name='whole'"):
        _judge_result(Ask.model_validate_json(args), result)
    # A child that was cancelled before it began was never executed.
    begun = {name.partition("/")[0] for what, _, _, name, *_ in evidence.lines("work") if what == "begins"}
    for run_id, claim in evidence.read("SELECT id, claim FROM stepwell_runs WHERE status='canceled'"):
        assert claim > 1 or run_id not in begun


def _judge_result(given: Ask, text: str) -> None:
    status, total, completed, failed, canceled, _ = json.loads(text)
    assert total == PARTS == completed + failed + canceled
    failing = sum(part.fails for part in given.parts)
    match given.until:
        case "all_ended":
            assert (status, completed, failed, canceled) == ("completed", PARTS - failing, failing, 0)
        case "all_completed" if failing:
            assert (status, failed) == ("failed", 1)
            assert given.most != 1 or (completed, canceled) == (4, 5)
        case "all_completed":
            assert (status, completed) == ("completed", PARTS)
        case _ if failing == PARTS:
            assert (status, failed) == ("failed", PARTS)
        case _:
            assert status == "completed"
            assert completed >= 1
