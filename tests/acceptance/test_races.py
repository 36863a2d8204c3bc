"""Several processes make the same call at the same moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.nursery import Nursery
from acceptance.support import open_gate, opened, until


@pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=pytest.mark.faults)])
async def test_one_key_is_one_run_and_one_user_one_workspace(nursery: Nursery, folder: Path, rounds: int) -> None:
    """Fault 8: two processes with workers, ten calls each per round, for a user whom nobody has seen before."""
    calls = 10
    racers = [
        nursery.start("acceptance.small:racer", str(folder), rounds, calls, log=folder / f"racer{n}.log")
        for n in range(2)
    ]
    for racer in racers:
        await opened(racer)
    for n in range(rounds):
        (folder / f"round-{n}").touch()
        for racer in racers:
            await until(lambda n=n, r=racer: [str(n), str(r.pid)] in evidence.lines("done"), f"round {n}", *racers)
    done = "SELECT count(*) FROM stepwell_runs WHERE status='completed'"
    await until(lambda: evidence.number(done) == rounds, "all runs end", *racers)
    for racer in racers:
        open_gate(racer)
        assert racer.wait() == 0, racer.tail()

    started = evidence.lines("started")
    assert len(started) == rounds * calls * 2
    for n in range(rounds):
        answers = [(run_id, created) for which, run_id, created in started if which == str(n)]
        assert len({run_id for run_id, _ in answers}) == 1
        assert [created for _, created in answers].count("True") == 1
    assert evidence.number("SELECT count(*) FROM stepwell_runs") == rounds
    assert evidence.number("SELECT count(*) FROM stepwell_workspaces") == rounds
    assert evidence.number("SELECT count(*) FROM stepwell_history WHERE transition='go'") == rounds
