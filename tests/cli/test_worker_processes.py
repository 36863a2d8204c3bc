"""`stepwell worker --processes N` on PostgreSQL: real processes that die, drain, and lose their supervisor."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psutil
import pytest

from backends import PostgresDatabase
from servers.proxy import TcpProxy
from servers.valkey import Valkey
from stepwell.console.cli.supervisor import End, ReportedState, next_pause

from .conftest import PATIENCE, Shell

BUSY = """
import asyncio, os, time
from pathlib import Path
from stepwell import END, App, Stepwell, Workflow, transition

def note(what):
    with Path("notes").open("a") as file:
        file.write(f"{what} {os.getpid()} {time.monotonic()}\\n")

class Long(Workflow[None, None, None]):
    @transition(target=END)
    async def sleep(self) -> None:
        note("long")
        await asyncio.sleep(600)

class Short(Workflow[None, None, None]):
    @transition(target="there")
    async def go(self) -> None:
        note("short")
        await asyncio.sleep(0.1)

    @transition("there", "start")
    async def come(self) -> None:
        note("short")
        await asyncio.sleep(0.1)

class Block(Workflow[None, None, None]):
    @transition(target=END)
    async def hog(self) -> None:
        note("block")
        time.sleep(600)

stepwell = Stepwell(apps=[App("busy", workflows=[Long, Short, Block])])
"""


class Fleet:
    """Supervisors of worker processes, on a database of the test's own."""

    def __init__(self, shell: Shell, database: PostgresDatabase) -> None:
        self.shell = shell
        self.database = database
        shell.env["STEPWELL_DATABASE_URL"] = database.url
        (shell.folder / "shop.py").write_text(BUSY)

    def started(self, processes: int, *args: str, **env: str) -> subprocess.Popen[str]:
        """A supervisor, all of whose workers take runs."""
        options = ["--processes", str(processes), "--tied", *args]  # it ends with this process
        supervisor = self.shell.start("worker", "shop:stepwell", *options, **env)
        self.until_logged(supervisor, "takes", processes)
        return supervisor

    def until_logged(self, supervisor: subprocess.Popen[str], text: str, times: int = 1) -> None:
        """Its log has this text so often."""
        log = lambda: self.shell.log(supervisor)  # noqa: E731
        self.shell.until(lambda: log().count(text) >= times, log)

    def pids(self, supervisor: subprocess.Popen[str]) -> list[int]:
        """Its workers, those that have died included."""
        return [int(pid) for pid in re.findall(r"\(pid (\d+)\)", self.shell.log(supervisor))]

    def queued(self, workflow: str, count: int = 1) -> list[str]:
        done = [self.shell("run", workflow, "--detach") for _ in range(count)]
        assert all(one.returncode == 0 for one in done), done
        return [one.stdout.strip() for one in done]

    def notes(self, what: str) -> list[tuple[int, float]]:
        """(pid, moment) of each time that this was executed."""
        file = self.shell.folder / "notes"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [(int(pid), float(moment)) for name, pid, moment in lines if name == what]


def ended(process: subprocess.Popen[str]) -> int:
    return process.wait(PATIENCE)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def fleet(stepwell: Shell, postgres_database_: PostgresDatabase) -> Iterator[Fleet]:
    fleet = Fleet(stepwell, postgres_database_)
    yield fleet
    for process in stepwell.processes:
        for pid in fleet.pids(process):
            if psutil.pid_exists(pid) and psutil.Process(pid).ppid() in (1, process.pid):
                os.kill(pid, signal.SIGKILL)


def test_each_process_is_a_worker_and_takes_what_it_is_told_to(fleet: Fleet) -> None:
    supervisor = fleet.started(3, "--concurrency", "7", "--workflows", "long,short")
    assert fleet.shell.log(supervisor).count("takes 2 workflows, 7 runs at once") == 3
    rows = fleet.database.read("SELECT id, pid FROM stepwell_workers")
    assert sorted(pid for _, pid in rows) == sorted(fleet.pids(supervisor))
    assert supervisor.pid not in fleet.pids(supervisor)
    supervisor.send_signal(signal.SIGTERM)
    assert ended(supervisor) == 0, fleet.shell.log(supervisor)
    assert fleet.shell.log(supervisor).count("stopped") == 3
    assert fleet.database.read("SELECT id FROM stepwell_workers") == []


def test_one_that_dies_is_started_anew_each_time_after_a_longer_pause(fleet: Fleet) -> None:
    supervisor = fleet.started(2, STEPWELL_LEASE_SECONDS="1")
    [run_id] = fleet.queued("long")
    fleet.shell.until(lambda: fleet.notes("long"))
    [(killed, _)] = fleet.notes("long")
    os.kill(killed, signal.SIGKILL)
    fleet.until_logged(supervisor, f"worker process {killed} was killed by SIGKILL; a new one starts in 1 s")
    fleet.until_logged(supervisor, "takes", 3)
    again = fleet.pids(supervisor)[-1]
    os.kill(again, signal.SIGTERM)  # it stops as it should, and is missed all the same
    fleet.until_logged(supervisor, f"worker process {again} ended with exit code 0; a new one starts in 2 s")
    fleet.shell.until(lambda: len(fleet.notes("long")) >= 2)
    assert fleet.notes("long")[1][0] != killed
    assert fleet.shell.json("runs", run_id)["status"] == "running"


@pytest.mark.parametrize(("ready", "longest"), [(True, 5.0), (False, 30.0)])
def test_what_died_at_work_is_replaced_sooner_than_what_cant_begin(ready: bool, longest: float) -> None:
    end, pause = End(1, 1, 3.0, ReportedState(ready=ready)), 1.0
    pauses = [pause := next_pause(pause, end) for _ in range(6)]
    assert pauses == [min(2.0**n, longest) for n in range(1, 7)]


def test_a_drained_fleet_hands_over_at_once(fleet: Fleet) -> None:
    leaving = fleet.started(2, STEPWELL_DRAIN_SECONDS="0.5", STEPWELL_LEASE_SECONDS="3600")
    fleet.queued("long", 6)
    fleet.shell.until(lambda: len(fleet.notes("long")) == 6)
    staying = fleet.started(2, STEPWELL_LEASE_SECONDS="3600")
    leaving.send_signal(signal.SIGTERM)
    assert ended(leaving) == 0, fleet.shell.log(leaving)
    fleet.shell.until(lambda: len(fleet.notes("long")) == 12)
    again = fleet.notes("long")[6:]
    assert {pid for pid, _ in again} <= set(fleet.pids(staying))
    assert fleet.database.read("SELECT max(takeovers) FROM stepwell_runs") == [(0,)]


def test_what_a_draining_worker_has_finished_goes_on_elsewhere_at_once(fleet: Fleet) -> None:
    leaving = fleet.started(2, STEPWELL_DRAIN_SECONDS="600", STEPWELL_LEASE_SECONDS="3600")
    fleet.queued("long", 2)
    fleet.queued("short", 4)
    fleet.shell.until(lambda: len(fleet.notes("short")) >= 8)
    staying = fleet.started(2, STEPWELL_LEASE_SECONDS="3600")
    stopped_at = time.monotonic()
    leaving.send_signal(signal.SIGTERM)
    others = set(fleet.pids(staying))
    fleet.shell.until(lambda: any(pid in others for pid, moment in fleet.notes("short") if moment > stopped_at))
    leaving.send_signal(signal.SIGTERM)
    assert ended(leaving) == 128 + signal.SIGTERM


def test_a_second_signal_ends_all_at_once_even_blocked_ones(fleet: Fleet) -> None:
    supervisor = fleet.started(2, STEPWELL_DRAIN_SECONDS="600")
    fleet.queued("block")
    fleet.shell.until(lambda: fleet.notes("block"))
    supervisor.send_signal(signal.SIGINT)
    fleet.until_logged(supervisor, "stopped")  # the one that isn't blocked
    supervisor.send_signal(signal.SIGINT)
    assert ended(supervisor) == 128 + signal.SIGINT
    fleet.shell.until(lambda: all(map(gone, fleet.pids(supervisor))))


def test_a_second_signal_ends_a_worker_whose_loop_is_blocked(fleet: Fleet) -> None:
    worker = fleet.shell.worker()
    fleet.queued("block")
    fleet.shell.until(lambda: fleet.notes("block"))
    # Two signals at the same moment would be one.
    fleet.shell.until(lambda: worker.send_signal(signal.SIGTERM) or worker.poll() is not None)
    assert ended(worker) == 128 + signal.SIGTERM


def test_workers_whose_supervisor_is_killed_drain_by_themselves(fleet: Fleet) -> None:
    supervisor = fleet.started(2, STEPWELL_DRAIN_SECONDS="0.2")
    fleet.queued("long")
    fleet.shell.until(lambda: fleet.notes("long"))
    supervisor.kill()
    ended(supervisor)
    fleet.until_logged(supervisor, "stopped", 2)
    fleet.shell.until(lambda: all(map(gone, fleet.pids(supervisor))))
    assert fleet.database.read("SELECT status, takeovers, owner FROM stepwell_runs") == [("pending", 0, None)]


def test_what_can_not_begin_is_told_in_one_line_and_not_tried_again(
    stepwell: Shell, empty_postgres: PostgresDatabase
) -> None:
    stepwell.env["STEPWELL_DATABASE_URL"] = empty_postgres.url
    supervisor = stepwell.start("worker", "shop:stepwell", "--processes", "4")
    assert ended(supervisor) == 2
    [line] = stepwell.log(supervisor).splitlines()
    assert line.startswith("error: ")
    assert "`stepwell db upgrade`" in line


@contextmanager
def proxied(url: str) -> Iterator[tuple[TcpProxy, str]]:
    """A proxy, and the URL by way of it."""
    port = urlsplit(url).port
    assert port is not None
    with closing(TcpProxy(port)) as proxy:
        yield proxy, url.replace(f":{port}/", f":{proxy.port}/")


def test_a_process_started_anew_waits_for_the_database(fleet: Fleet) -> None:
    with proxied(fleet.database.url) as (proxy, url):
        supervisor = fleet.started(2, STEPWELL_DATABASE_URL=url)
        proxy.reset(refuse=True)
        os.kill(fleet.pids(supervisor)[0], signal.SIGKILL)
        fleet.until_logged(supervisor, "couldn't start: ")
        proxy.passes()
        fleet.until_logged(supervisor, "takes", 3)
        assert supervisor.poll() is None
        supervisor.send_signal(signal.SIGTERM)
        assert ended(supervisor) == 0, fleet.shell.log(supervisor)


def test_a_process_started_anew_works_without_redis(fleet: Fleet, valkey_server: Valkey) -> None:
    with proxied(valkey_server.url) as (proxy, url):
        supervisor = fleet.started(2, STEPWELL_QUEUE_URL=url)
        proxy.reset(refuse=True)
        os.kill(fleet.pids(supervisor)[0], signal.SIGKILL)
        fleet.until_logged(supervisor, "takes", 3)
        supervisor.send_signal(signal.SIGTERM)
        assert ended(supervisor) == 0, fleet.shell.log(supervisor)


def test_a_process_that_no_longer_fits_the_database_ends_all(fleet: Fleet) -> None:
    supervisor = fleet.started(2)
    fleet.database.execute("UPDATE stepwell_alembic_version SET version_num = '9999'")
    os.kill(fleet.pids(supervisor)[0], signal.SIGKILL)
    assert ended(supervisor) == 2
    lines = [line for line in fleet.shell.log(supervisor).splitlines() if "9999" in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
