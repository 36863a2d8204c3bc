"""An application whose runs are started by the batch; some parcels never arrive."""

from __future__ import annotations

from pydantic import BaseModel

from stepwell import END, App, NonRetryable, Stepwell, Workflow, transition


class Parcel(BaseModel):
    city: str
    weight: float = 1.0
    tags: list[str] = []
    note: str | None = None


class Deliver(Workflow[Parcel, None, str]):
    @transition(target=END)
    async def go(self) -> str:
        if self.args.city == "Atlantis":
            raise NonRetryable("there is no such city")
        return f"{self.args.city} {self.args.weight:g} {','.join(self.args.tags)} {self.args.note}"


class Weigh(Workflow[float, None, float]):
    @transition(target=END)
    async def go(self) -> float:
        return self.args * 2


class Await(Workflow[None, None, None]):
    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self) -> None: ...


stepwell = Stepwell(apps=[App("post", workflows=[Deliver, Weigh, Await])])
