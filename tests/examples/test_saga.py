"""`examples/saga`: each service has booked once, or booked and given back once, whatever dies (rules 9, 58, 62)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples.saga.services import NAMES, services
from examples.saga.workflows import Trip, Wish, trips

from backends import Database
from stepwell import Settings, Stepwell
from stepwell.testing import Harness

ROOT = Path(__file__).resolve().parents[2]
ALL = {name: ["booked"] for name in NAMES}
GONE = ["booked", "given back"]


@pytest.fixture(autouse=True)
def _services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGA_SERVICES", str(tmp_path))


def happened() -> dict[str, dict[str, list[str]]]:
    """What each service has of each trip, in order."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, service in services().items():
        for what, key in service.changes():
            found.setdefault(key, {}).setdefault(name, []).append(what)
    return found


@pytest.mark.parametrize(
    ("wish", "result", "wanted"),
    [
        (Wish(), "on the way", ALL),
        (Wish(sold_out="flight"), "at home", {}),
        (Wish(sold_out="hotel"), "at home", {"flight": GONE}),
        (Wish(sold_out="car"), "at home", {"flight": GONE, "hotel": GONE}),
        (Wish(confirm=True), "on the way", ALL),
    ],
    ids=["all", "no flight", "no hotel", "no car", "confirmed"],
)
async def test_a_crash_at_any_commit_leaves_all_or_none(
    harness_for: Callable[..., Harness], wish: Wish, result: str, wanted: dict[str, list[str]]
) -> None:
    async with harness_for([trips]) as harness:
        report = await harness.crash_everywhere(
            Trip, wish, signals=[("confirm", None)] if wish.confirm else (), expect=lambda run: run.result == result
        )
    assert report.crashes == 2 * report.commits
    found = happened()
    assert len(found) == (report.crashes + 1 if wanted else 0), "each run was seen by the services"
    for key, changes in found.items():
        assert changes == wanted, key


@pytest.fixture
def environment(database: Database) -> dict[str, str]:
    given = {f"STEPWELL_{name.upper()}": str(value) for name, value in database.settings.items()}
    return {**os.environ, **given, "STEPWELL_LEASE_SECONDS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


class Workers:
    """Worker processes, one after the other; each is killed without a word."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        """Start a process, and wait until it is ready."""
        command = [sys.executable, "-m", "examples.saga.worker"]
        self._process = subprocess.Popen(command, env=self._environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(60)
            self._process = None


@pytest.fixture
def workers(environment: dict[str, str]) -> Iterator[Workers]:
    made = Workers(environment)
    yield made
    made.kill()


async def test_kill_9_leaves_all_or_none(workers: Workers, database: Database) -> None:
    """Twelve trips, some of which are cancelled half-way; every few bookings their process is killed."""
    settings = Settings(_env_file=None, **{**database.settings, "lease_seconds": 1})
    wishes = [Wish(), Wish(sold_out="car"), Wish(sold_out="hotel"), Wish(confirm=True)] * 3
    async with Stepwell(apps=[trips], settings=settings, embedded_worker=False) as stepwell:
        runs = [await stepwell.runner.run(Trip, wish, app_name="trips", user_id="ada") for wish in wishes]
        for kills in range(4):
            workers.begin()
            async with asyncio.timeout(60):
                before = changes()
                while changes() < before + 3 and await open_ones(stepwell, [run.workflow_id for run in runs]) > 3:
                    await asyncio.sleep(0)
            for run in runs[3 + kills :: 8]:
                if (await run.get()).status not in ("completed", "canceled"):
                    await run.cancel()
            workers.kill()
        workers.begin()
        for run, wish in zip(runs, wishes, strict=True):
            if wish.confirm:
                await run.cancel()
        async with asyncio.timeout(120):
            while await open_ones(stepwell, [run.workflow_id for run in runs]):
                await asyncio.sleep(0.05)
        found = happened()
        for run in runs:
            ended = await run.get()
            trip = found.get(run.workflow_id, {})
            if ended.status == "completed" and ended.result == "on the way":
                assert trip == ALL, ended
            else:
                assert ended.status == "canceled" or ended.result == "at home", ended
                assert all(what == GONE for what in trip.values()), (ended, trip)


def changes() -> int:
    return sum(len(service.changes()) for service in services().values())


async def open_ones(stepwell: Stepwell, ids: list[str]) -> int:
    runs = [await stepwell.runner.get(run_id) for run_id in ids]
    return sum(run.status not in ("completed", "canceled", "failed") for run in runs)


def test_the_demo_shows_the_three_trips(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "examples.saga"]
    plain = {name: value for name, value in environment.items() if not name.startswith("STEPWELL_")}
    told = subprocess.run(command, env=plain, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
    assert told.splitlines() == [
        "all three are booked: on the way",
        "    flight: booked",
        "    hotel: booked",
        "    car: booked",
        "no car is left: at home",
        "    flight: booked, given back",
        "    hotel: booked, given back",
        "    car: nothing",
        f"the traveller cancels: {told.splitlines()[8].partition(': ')[2]}",
        "    flight: booked, given back",
        "    hotel: booked, given back",
        "    car: booked, given back",
    ]
    assert "canceled: rain" in told
