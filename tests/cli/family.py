"""An application whose workflows wait for their children, and these for people."""

from __future__ import annotations

from typing import Any

from stepwell import END, App, Group, Start, Stepwell, Workflow, transition


class Child(Workflow[None, None, str]):
    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", "again", wait=True)
    async def name(self, text: str) -> None:
        """What is it called?"""
        await self.emit("named", text)

    @transition("again", END, wait=True)
    async def size(self, text: str) -> str:
        """How large is it?"""
        return text


class Middle(Workflow[None, None, str]):
    @transition(target="asked")
    async def begin(self) -> None:
        await self.start(Child, callback="done")

    @transition("asked", END, wait=True)
    async def done(self, size: str) -> str:
        return f"{size}!"


class Parent(Workflow[None, dict[str, Any], list[str]]):
    @transition(target="asked")
    async def begin(self) -> None:
        self.state["sizes"] = []
        await self.start(Middle, callback="ended")

    @transition("asked", END, wait=True)
    async def ended(self, size: str) -> list[str]:
        return [size]


class Part(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        return self.args


class Crowd(Workflow):
    """Two of its three children at a time; their ends are told as one."""

    @transition(target="waiting")
    async def begin(self) -> None:
        starts = [Start(Part, n) for n in range(3)]
        await self.start_many(starts, callback="ended", until="all_completed", max_in_flight=2, label="parts")

    @transition("waiting", END, wait=True)
    async def ended(self, end: Group[int]) -> int:
        return end.completed


stepwell = Stepwell(apps=[App("family", workflows=[Child, Middle, Parent, Part, Crowd])])
