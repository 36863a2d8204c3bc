"""Four weeks of letters to two subscribers: `python -m examples.drip`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from examples.drip.workflows import LETTERS, Drip, Subscriber, letters
from stepwell import Checkpoint
from stepwell.testing import Harness

JOINED = datetime(2026, 3, 6, 17, 30, tzinfo=UTC)
"""Clocks change on 8 March in New York, and on 29 March in Berlin."""
PEOPLE = {"ada@example.org": "Europe/Berlin", "bob@example.org": "America/New_York"}


async def main() -> None:
    """Show when each letter is sent, on a clock that needn't wait; Bob unsubscribes after a week."""
    async with Harness(apps=[letters], now=JOINED) as harness:
        runs = {
            address: await harness.runner.run(
                Drip, Subscriber(address=address, joined=JOINED, zone=zone), app_name="letters", user_id=address
            )
            for address, zone in PEOPLE.items()
        }
        await harness.advance(timedelta(days=8))
        await runs["bob@example.org"].signal("unsubscribe", "too many letters")
        await harness.advance(timedelta(days=22))
        for address, run in runs.items():
            print(f"{address}, {PEOPLE[address]}: {await run.result()}")
            _show(await harness.runner.history(run.workflow_id), ZoneInfo(PEOPLE[address]))


def _show(history: Sequence[Checkpoint], zone: ZoneInfo) -> None:
    rows = [row for row in history if row.transition in ("welcome", "next_letter")]
    for row, subject in zip(rows, LETTERS.values(), strict=False):
        there, everywhere = row.finished_at.astimezone(zone), row.finished_at.astimezone(UTC)
        print(f"    {there:%a %d %b %H:%M} ({everywhere:%H:%M} UTC)  {subject}")


if __name__ == "__main__":
    asyncio.run(main())
