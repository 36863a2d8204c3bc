"""Workers as processes: they drain, they share a file, and what a killed one held goes on elsewhere."""

from __future__ import annotations

import signal
import subprocess

import pytest

from .conftest import PATIENCE, Shell

pytestmark = pytest.mark.usefixtures("on_each_database")


def ended(process: subprocess.Popen[str]) -> int:
    return process.wait(PATIENCE)


def queued(stepwell: Shell, workflow: str, *args: str) -> str:
    done = stepwell("run", workflow, *args, "--detach")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_worker_drains_on_sigterm_and_hands_over_what_takes_too_long(stepwell: Shell) -> None:
    run_id = queued(stepwell, "nap")
    worker = stepwell.worker(STEPWELL_DRAIN_SECONDS="0.2")
    stepwell.until(stepwell.naps)
    worker.send_signal(signal.SIGTERM)
    assert ended(worker) == 0, stepwell.log(worker)
    run = stepwell.json("runs", run_id)
    assert (run["status"], run["place"]) == ("pending", "start")
    (stepwell.folder / "awake").touch()
    stepwell.worker()
    assert stepwell("runs", run_id, "--follow").returncode == 0


def test_a_transition_that_ends_in_time_is_kept(stepwell: Shell) -> None:
    worker = stepwell.worker()
    run_id = queued(stepwell, "tea", "--app-name", "shop")
    assert stepwell("runs", run_id, "--follow").returncode == 0
    worker.send_signal(signal.SIGINT)
    assert ended(worker) == 0
    assert "stopped" in stepwell.log(worker)


def test_a_second_signal_ends_it_at_once(stepwell: Shell) -> None:
    queued(stepwell, "nap")
    worker = stepwell.worker(STEPWELL_DRAIN_SECONDS="600")
    stepwell.until(stepwell.naps)
    worker.send_signal(signal.SIGTERM)
    stepwell.until(lambda: "stopping" in stepwell.log(worker))
    worker.send_signal(signal.SIGTERM)
    assert ended(worker) == 128 + signal.SIGTERM


def test_a_killed_workers_run_is_taken_over(stepwell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    run_id = queued(stepwell, "nap")
    killed = stepwell.worker()
    stepwell.until(stepwell.naps)
    (stepwell.folder / "awake").touch()
    killed.kill()
    ended(killed)
    successor = stepwell.worker(STEPWELL_LEASE_SECONDS="1")  # its own is how long it looks on
    assert stepwell("runs", run_id, "--follow").returncode == 0
    assert stepwell.naps() == [killed.pid, successor.pid]
    # By whoever saw it first: who follows the run looks too.
    assert "is dead: took over 1 runs" in stepwell.log(successor) + caplog.text


def test_workers_take_only_what_they_are_told_to(stepwell: Shell) -> None:
    stepwell.worker("--workflows", "pack,shop/tea", "--concurrency", "2")
    other = queued(stepwell, "tea", "--app-name", "annex")
    taken = queued(stepwell, "tea", "--app-name", "shop")
    assert stepwell("runs", taken, "--follow").returncode == 0
    shown = stepwell.json("runs", other)
    assert shown["status"] == "pending"
    assert any("No live worker registers annex/tea" in reason for reason in shown["reasons"])


def test_two_workers_share_one_file(stepwell: Shell) -> None:
    (stepwell.folder / "awake").touch()
    first, second = stepwell.worker("--concurrency", "1"), stepwell.worker("--concurrency", "1")
    ids = [queued(stepwell, "nap") for _ in range(4)]
    for run_id in ids:
        assert stepwell("runs", run_id, "--follow").returncode == 0
    assert len(stepwell.naps()) == 4
    assert set(stepwell.naps()) <= {first.pid, second.pid}


def test_a_supervisor_starts_processes_anew_and_stops_them_together(stepwell: Shell) -> None:
    supervisor = stepwell.start("worker", "shop:stepwell", "--processes", "2", "--tied", STEPWELL_LEASE_SECONDS="1")

    def pids() -> list[int]:
        lines = [line for line in stepwell.log(supervisor).splitlines() if "takes" in line]
        return [int(line.split("(pid ")[1].split(")")[0]) for line in lines]

    stepwell.until(lambda: len(pids()) == 2, lambda: stepwell.log(supervisor))
    run_id = queued(stepwell, "nap")
    stepwell.until(stepwell.naps)
    (stepwell.folder / "awake").touch()
    killed = stepwell.naps()[0]
    assert killed in pids()
    subprocess.run(["kill", "-9", str(killed)], check=True)
    stepwell.until(lambda: len(pids()) == 3, lambda: stepwell.log(supervisor))
    assert stepwell("runs", run_id, "--follow").returncode == 0
    supervisor.send_signal(signal.SIGTERM)
    assert ended(supervisor) == 0, stepwell.log(supervisor)
    assert stepwell.log(supervisor).count("stopped") == 2


def test_a_worker_of_an_application_that_is_not_there_exits_with_2(stepwell: Shell) -> None:
    assert stepwell("worker", "nowhere:stepwell", "--processes", "2").returncode == 2


FRUGAL = """
import gc
from stepwell import END, App, Stepwell, Workflow, transition

class Look(Workflow[None, None, dict[str, int]]):
    @transition(target=END)
    async def look(self) -> dict[str, int]:
        return {"frozen": gc.get_freeze_count(), "after": gc.get_threshold()[0]}

stepwell = Stepwell(apps=[App("frugal", workflows=[Look])])
"""


def test_a_worker_keeps_the_collector_from_what_stays(stepwell: Shell) -> None:
    (stepwell.folder / "other.py").write_text(FRUGAL)
    stepwell.env["STEPWELL_APP"] = "other:stepwell"
    stepwell.worker(target="other:stepwell")
    run = queued(stepwell, "look")
    assert stepwell("runs", run, "--follow").returncode == 0
    result = stepwell.json("runs", run)["result"]
    assert result["frozen"] > 10_000
    assert result["after"] == 10_000


FORGETFUL = """
from datetime import timedelta
from pathlib import Path
from stepwell import END, App, NonRetryable, Stepwell, Workflow, transition

class Remember(Workflow[None, None, str]):
    @transition(target=END)
    async def remember(self) -> str:
        if not Path("mended").exists():
            raise NonRetryable("what was it?")
        return "that"

forgetful = App("forgetful", workflows=[Remember])
forgetful.schedule("yearly", workflow=Remember, user_id="system", every=timedelta(days=365))
stepwell = Stepwell(apps=[forgetful])
"""


def test_a_failed_tick_runs_again(stepwell: Shell) -> None:
    (stepwell.folder / "other.py").write_text(FORGETFUL)
    stepwell.env["STEPWELL_APP"] = "other:stepwell"
    assert "hasn't ticked yet" in stepwell("schedules", "retry", "yearly").stderr
    stepwell.worker(target="other:stepwell")
    run = stepwell.json("schedules", "fire", "yearly")["workflow_id"]
    assert stepwell("runs", run, "--follow").returncode == 1
    (stepwell.folder / "mended").touch()
    assert stepwell("schedules", "retry", "yearly").returncode == 0
    assert stepwell("runs", run, "--follow").returncode == 0
    assert "only a failed" in stepwell("schedules", "retry", "yearly").stderr
