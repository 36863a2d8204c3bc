"""The trip: three bookings, each with its undo, and one place from which all of them are given back."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from examples.saga.services import Booking, SoldOut, services
from stepwell import END, START, App, Retry, Step, Workflow, transition

SOON = Retry(retries=3, delay=timedelta(seconds=1), give_up_on=(SoldOut,))


class Wish(BaseModel):
    """The wish of a traveller. `sold_out` names the service that can't; `confirm` has the trip wait for a person."""

    sold_out: str | None = None
    confirm: bool = False


class Key(BaseModel):
    """The key with which a service is asked for a booking."""

    service: str
    key: str


class Trip(Workflow[Wish, None, str], on_cancel="giving back"):
    """Books a flight, a hotel and a car, or none of them."""

    @transition(START, "flown", error_place="giving back")
    async def fly(self) -> None:
        await self._book("flight")

    @transition("flown", "housed", error_place="giving back")
    async def stay(self) -> None:
        await self._book("hotel")

    @transition("housed", "booked", error_place="giving back")
    async def drive(self) -> None:
        await self._book("car")

    def to_confirm(self) -> bool:
        return self.args.confirm

    @transition("booked", "asked", when=to_confirm, priority=1)
    async def ask(self) -> None: ...

    @transition("booked", END)
    async def leave(self) -> str:
        return "on the way"

    @transition("asked", END, wait=True)
    async def confirm(self) -> str:
        return "on the way"

    @transition("giving back", END, retry=SOON)
    async def give_up(self) -> str:
        await self.undo()
        return "at home"

    async def _book(self, name: str) -> None:
        # The undo is in the journal before the booking is made. A process may die after the service has booked and before
        # the journal has the booking: a step without a value isn't undone.
        await self.step(Step(f"{name}: key", undo="give_back"), self._key, name)
        await self.step(Step(name, retry=SOON, timeout=timedelta(seconds=60)), self._booked, name)

    def _key(self, name: str) -> Key:
        return Key(service=name, key=self.info.workflow_id)

    async def _booked(self, name: str) -> Booking:
        if name == self.args.sold_out:
            raise SoldOut(name)
        return services()[name].book(self.info.workflow_id)

    async def give_back(self, made: Key) -> None:
        """Give back what was booked with this key, if anything was."""
        services()[made.service].give_back(made.key)


trips = App("trips", workflows=[Trip])
