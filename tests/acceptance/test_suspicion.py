"""A run that kills its process is worn out alone: those beside it end (rules 32, 48)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import ceil, log2
from pathlib import Path
from typing import Any

import pytest

from acceptance import evidence
from acceptance.nursery import Child, Nursery
from acceptance.small import ME, Deadly, stepwell
from acceptance.support import until, worker

TRIES = 2
INNOCENT = -1.0
SETTINGS: dict[str, Any] = {"max_takeovers": TRIES}
_UNFINISHED = "SELECT count(*) FROM stepwell_runs WHERE status NOT IN ('completed', 'failed')"


class Fleet:
    """So many processes, each started anew when it has died."""

    def __init__(self, nursery: Nursery, folder: Path, size: int) -> None:
        self._nursery = nursery
        self._folder = folder
        self.size = size
        self.deaths = 0
        self._alive: list[Child] = []

    def tend(self) -> bool:
        """True once every run has ended."""
        for child in list(self._alive):
            if child.ended():
                self._alive.remove(child)
                self.deaths += 1
        while len(self._alive) < self.size:
            number = self.deaths + len(self._alive)
            # A single one may take what all others had. Several would take from each other: they wait for a lease.
            given = {**SETTINGS, "lease_seconds": 3_600} if self.size == 1 else SETTINGS
            self._alive.append(worker(self._nursery, self._folder, f"worker{number}", buries=self.size == 1, **given))
        return evidence.number(_UNFINISHED) == 0

    async def work(self, seconds: float) -> None:
        """Every run has ended."""
        await until(self.tend, "every run ends", *self._alive, seconds=seconds)


async def _lived_through(
    nursery: Nursery, folder: Path, culprits: Sequence[float], innocents: int, processes: int = 1, seconds: float = 90
) -> Fleet:
    """The innocents have completed, the culprits are worn out, and how many processes died of it."""
    async with stepwell(embedded_worker=False, **SETTINGS) as here:
        runner = here.runner
        good = [await runner.run(Deadly, INNOCENT, **ME) for _ in range(innocents // 2)]
        bad = [await runner.run(Deadly, after, **ME) for after in culprits]
        good += [await runner.run(Deadly, INNOCENT, **ME) for _ in range(innocents - innocents // 2)]
        fleet = Fleet(nursery, folder, processes)
        await fleet.work(seconds)
        assert [(await run.get()).status for run in good] == ["completed"] * innocents
        for run in bad:
            found = await run.get()
            assert (found.status, found.error) == ("failed", f"Deadly: at 'start', its worker died {TRIES} times here")
        # Who was beside it is innocent for good: nothing of it is left in any row.
        assert evidence.read("SELECT count(*) FROM stepwell_runs WHERE suspicion IS NOT NULL OR takeovers > 0") == [
            (0,)
        ]
        return fleet


async def test_innocents_end_beside_a_run_that_kills_its_process(nursery: Nursery, sqlite_folder: Path) -> None:
    fleet = await _lived_through(nursery, sqlite_folder, culprits=[0.0], innocents=5)
    assert fleet.deaths <= ceil(log2(6)) + 1 + TRIES


@pytest.mark.faults
async def test_twenty_innocents_end_beside_a_run_that_kills_its_process(nursery: Nursery, folder: Path) -> None:
    fleet = await _lived_through(nursery, folder, culprits=[0.0], innocents=20)
    assert fleet.deaths <= ceil(log2(21)) + 1 + TRIES


@pytest.mark.faults
@pytest.mark.parametrize(
    ("culprits", "innocents", "processes"),
    [([0.0, 0.0], 12, 1), ([0.0, 0.05, 0.1], 20, 3), ([1.5], 10, 1), ([1.0], 30, 2)],
)
async def test_several_culprits_slow_ones_and_several_processes(
    nursery: Nursery, folder: Path, culprits: list[float], innocents: int, processes: int
) -> None:
    fleet = await _lived_through(nursery, folder, culprits, innocents, processes, seconds=240)
    assert fleet.deaths <= len(culprits) * (ceil(log2(innocents)) + 2 + TRIES) + 6


@pytest.mark.faults
async def test_fresh_runs_go_on_while_a_run_kills_its_processes(nursery: Nursery, folder: Path) -> None:
    async with stepwell(embedded_worker=False, **SETTINGS) as here:
        bad = await here.runner.run(Deadly, 0.3, **ME)
        fleet = Fleet(nursery, folder, 2)
        fresh = []
        while True:
            fresh.append(await here.runner.run(Deadly, INNOCENT, **ME))
            fleet.tend()
            if (await bad.get()).status == "failed":
                break
            assert len(fresh) < 2_000
            await asyncio.sleep(0.1)
        await fleet.work(60)
        assert {(await run.get()).status for run in fresh} == {"completed"}
