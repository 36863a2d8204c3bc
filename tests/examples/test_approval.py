"""`examples/approval`: an assignee, a deadline, an escalation, and links by mail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from examples.approval.mail import mailbox
from examples.approval.story import SETTINGS, hand_in, tell
from examples.approval.workflows import Order, Purchase, office

from stepwell import App
from stepwell.testing import Harness

ROOT = Path(__file__).resolve().parents[2]
STORY = [
    "Max has 3 mails.",
    "He opens one on his phone: 200, and the run still waits: waiting.",
    "He approves it: 200. A second touch: 409.",
    "After two days Dora is asked, and his link is void: 404.",
    "She declines the desk: 200.",
    "No answer comes about the lamp: her link ends with the question: 409.",
    "The chair: approved, by max.",
    "The desk: declined: too dear, by dora.",
    "The lamp: not decided, by no person.",
]


@pytest.fixture(autouse=True)
def _mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROVAL_MAILS", str(tmp_path))


async def test_a_link_answers_an_escalation_voids_it_and_the_end_of_the_question_too(
    harness_of: Callable[..., Harness],
) -> None:
    async with harness_of([office], **SETTINGS) as harness:
        assert await tell(harness) == STORY
        assert len(mailbox().mails("max")) == 3, "one mail for each question, however many rounds were made"
        assert len(mailbox().mails("dora")) == 2


async def test_the_purchase_ends_alike_whatever_dies() -> None:
    async with Harness(apps=[App("office", workflows=[Purchase])]) as harness:  # without the round, which never ends
        report = await harness.crash_everywhere(
            Purchase,
            Order(item="a chair", euros=90, manager="max"),
            app_name="office",
            signals=[("decide", {"approved": True})],
        )
        assert report.crashes > 3
        await hand_in(harness, "a lamp")
        await harness.drain()
        [question] = (await harness.runner.inbox(user_id="max")).items
        assert question.due_at == question.asked_at + timedelta(days=2)


def test_one_command_tells_the_story(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.approval"],
        cwd=ROOT,
        env={**os.environ, "APPROVAL_MAILS": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == STORY
