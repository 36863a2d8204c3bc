"""A command that follows a run: the reason why no worker takes it, and why a question is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import chain, repeat
from typing import Any, cast

import pytest

from stepwell.console.cli.backends.backend import CommandBackend, RunChange
from stepwell.console.cli.terminal import follow
from stepwell.runner.models import Checkpoint, Explanation, Run

READY = Run.model_construct(workflow_id="r", version=1, status="pending", ready_at=None, place="p")
ENDED = Run.model_construct(workflow_id="r", version=2, status="completed", ready_at=None, place="end")
NO_WORKER = "No live worker registers shop/order."


class Backend:
    """A run that is ready, and ends once its reason was told; the first looks find none."""

    def __init__(self, *reasons: str) -> None:
        self.looks = chain([(), ()], repeat(reasons))
        self.told = asyncio.Event()

    async def follow(self, run_id: str) -> AsyncIterator[RunChange]:
        yield RunChange(READY)
        await self.told.wait()
        yield RunChange(ENDED, rests=True)

    async def get(self, run_id: str) -> Run:
        return ENDED if self.told.is_set() else READY

    async def explain(self, run_id: str) -> Explanation:
        reasons = next(self.looks)
        if reasons:
            self.told.set()
        return Explanation.model_construct(reasons=reasons)


async def test_the_reason_why_a_run_is_not_taken_is_told_as_soon_as_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker that died a moment ago still counts as alive: then there is no reason yet."""
    monkeypatch.setattr(follow, "_SLOW", 0.001)
    backend = Backend(NO_WORKER)
    async with asyncio.timeout(60):
        assert await follow.followed(cast("CommandBackend", backend), "r") == ENDED
    assert capsys.readouterr().err.count(NO_WORKER) == 1


async def test_it_is_looked_for_until_the_deadline_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_SLOW", 0.001)
    async with asyncio.timeout(60):
        assert await follow.followed(cast("CommandBackend", Backend()), "r", seconds=0.05) == READY


def row(**given: Any) -> RunChange:
    found = {"signal_id": None, "answered_by": None, "status": "committed", **given}
    return RunChange(READY, rows=[Checkpoint.model_construct(**found)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (row(signal_id="s", answered_by="ann"), "Answered elsewhere meanwhile by ann"),
        (row(signal_id="s"), "Answered elsewhere meanwhile"),
        (row(), "The run went on by itself meanwhile"),
        (row(status="canceled"), "The run was cancelled meanwhile"),
        (RunChange(READY), "The run goes on"),
        (None, "The run goes on"),
    ],
)
def test_a_question_is_closed_for_a_reason_that_is_known(change: RunChange | None, said: str) -> None:
    assert follow._reason(change) == said
