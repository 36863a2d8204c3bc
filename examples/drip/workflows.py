"""The campaign: five letters in four weeks, each at nine in the morning where the subscriber is."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel

from examples.drip.mail import mail
from stepwell import END, START, App, Retry, Workflow, transition

LETTERS: Final = {
    0: "Welcome",
    3: "Your first workflow",
    7: "What happens in a crash",
    21: "Undoing what was done",
    28: "Was it of use to you?",
}
"""The subjects, by the days after the one on which the subscriber joined."""
NINE: Final = time(9)
LATER: Final = Retry(retries=5, delay=timedelta(minutes=10), max_delay=timedelta(hours=2))


class Subscriber(BaseModel):
    """A person who has asked for the letters. `zone` is the name of a time zone, such as "Europe/Berlin"."""

    address: str
    joined: AwareDatetime
    zone: str = "UTC"


class Progress(BaseModel):
    """The progress of the campaign."""

    sent: int = 0


class Drip(Workflow[Subscriber, Progress, str], subject="Letters to {args.address}"):
    """Sends the letters, unless the subscriber doesn't want them any more."""

    @transition(START, "sent", retry=LATER)
    async def welcome(self) -> None:
        await self._send()

    def more(self) -> bool:
        return self.state.sent < len(LETTERS)

    @transition("sent", "between", when=more, priority=1)
    async def wait(self) -> None: ...

    @transition("sent", END)
    async def finish(self) -> str:
        return f"{self.state.sent} letters"

    def next_morning(self) -> datetime:
        """The moment of the next letter. A day has 23 or 25 hours where clocks change: days are counted, not hours."""
        zone = ZoneInfo(self.args.zone)
        day = self.args.joined.astimezone(zone).date() + timedelta(days=list(LETTERS)[self.state.sent])
        return datetime.combine(day, NINE, zone)

    @transition("between", "sent", after=next_morning, retry=LATER)
    async def next_letter(self) -> None:
        await self._send()

    @transition("between", END, wait=True)
    async def unsubscribe(self, reason: str | None) -> str:
        return f"unsubscribed after {self.state.sent} letters: {reason or 'no reason given'}"

    async def _send(self) -> None:
        subject = list(LETTERS.values())[self.state.sent]
        await self.step("letter", mail.send, self.args.address, subject, self.info.idempotency_key)
        self.state.sent += 1


letters = App("letters", workflows=[Drip])
