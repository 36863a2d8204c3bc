"""`examples/drip`: each letter once, at nine where the subscriber is, and none after they have unsubscribed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from examples.drip.mail import Letter, mail
from examples.drip.workflows import LETTERS, Drip, Subscriber, letters

from stepwell.testing import Harness

ROOT = Path(__file__).resolve().parents[2]
JOINED = datetime(2026, 3, 6, 17, 30, tzinfo=UTC)
MakeHarness = Callable[..., Harness]


@pytest.fixture(autouse=True)
def _no_letters() -> None:
    mail.letters.clear()


def subscriber(zone: str = "Europe/Berlin", joined: datetime = JOINED) -> Subscriber:
    return Subscriber(address="ada@example.org", joined=joined, zone=zone)


@pytest.mark.parametrize(
    ("zone", "joined"),
    [
        ("Europe/Berlin", JOINED),
        ("Europe/Berlin", datetime(2026, 10, 2, 6, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 1, 17, tzinfo=UTC)),
        ("Pacific/Auckland", datetime(2026, 3, 20, tzinfo=UTC)),
        ("Asia/Kathmandu", JOINED),
    ],
)
async def test_letters_come_at_nine_where_clocks_change_too(
    harness_for: MakeHarness, zone: str, joined: datetime
) -> None:
    async with harness_for([letters], now=joined) as harness:
        run = await harness.runner.run(Drip, subscriber(zone, joined), user_id="ada")
        await harness.advance(timedelta(days=29))
        assert await run.result() == "5 letters"
        assert (await run.get()).subject == "Letters to ada@example.org"
        rows = await harness.runner.history(run.workflow_id)
        times = [one.finished_at.astimezone(ZoneInfo(zone)) for one in rows if one.transition == "next_letter"]
        first = joined.astimezone(ZoneInfo(zone)).date()
        assert [(one.hour, one.minute, (one.date() - first).days) for one in times] == [
            (9, 0, day) for day in (3, 7, 21, 28)
        ]
        assert len({one.utcoffset() for one in times}) == (1 if zone == "Asia/Kathmandu" else 2), (
            "clocks changed meanwhile"
        )
    assert [one.subject for one in mail.letters.values()] == list(LETTERS.values())


async def test_nothing_comes_after_unsubscribing(harness_for: MakeHarness) -> None:
    async with harness_for([letters], now=JOINED) as harness:
        run = await harness.runner.run(Drip, subscriber(), user_id="ada")
        await harness.advance(timedelta(days=8))
        await run.signal("unsubscribe")
        await harness.advance(timedelta(days=60))
        assert await run.result() == "unsubscribed after 3 letters: no reason given"
    assert len(mail.letters) == 3


async def test_a_letter_that_cannot_be_sent_now_is_sent_later(harness_for: MakeHarness) -> None:
    async with harness_for([letters], now=JOINED) as harness:
        run = await harness.at(Drip, "between", args=subscriber(), state={"sent": 4})
        harness.steps({"letter": ConnectionError("the mail service is away")})
        await harness.advance(timedelta(days=27, hours=14))
        assert (await run.get()).status == "retrying"
        harness.steps({"letter": Letter(address="ada@example.org", subject="late", key="k")})
        await harness.advance(timedelta(hours=2))
        assert await run.result() == "5 letters"


@pytest.mark.parametrize(
    ("signals", "result", "count"),
    [((), "5 letters", 5), ([timedelta(days=5), ("unsubscribe", "enough")], "unsubscribed after 2 letters: enough", 2)],
    ids=["all", "unsubscribed"],
)
async def test_each_letter_is_sent_once_whatever_dies(
    harness_for: MakeHarness, signals: object, result: str, count: int
) -> None:
    async with harness_for([letters], now=JOINED) as harness:
        report = await harness.crash_everywhere(
            Drip, subscriber(), signals=signals, expect=lambda run: run.result == result
        )
    assert report.crashes == 2 * report.commits
    assert len(mail.letters) == count * (report.crashes + 1)


def test_the_demo_shows_when_letters_come() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")}
    environment["PYTHONPATH"] = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    command = [sys.executable, "-m", "examples.drip"]
    told = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True
    ).stdout
    assert told.splitlines() == [
        "ada@example.org, Europe/Berlin: 5 letters",
        "    Fri 06 Mar 18:30 (17:30 UTC)  Welcome",
        "    Mon 09 Mar 09:00 (08:00 UTC)  Your first workflow",
        "    Fri 13 Mar 09:00 (08:00 UTC)  What happens in a crash",
        "    Fri 27 Mar 09:00 (08:00 UTC)  Undoing what was done",
        "    Fri 03 Apr 09:00 (07:00 UTC)  Was it of use to you?",
        "bob@example.org, America/New_York: unsubscribed after 3 letters: too many letters",
        "    Fri 06 Mar 12:30 (17:30 UTC)  Welcome",
        "    Mon 09 Mar 09:00 (13:00 UTC)  Your first workflow",
        "    Fri 13 Mar 09:00 (13:00 UTC)  What happens in a crash",
    ]
