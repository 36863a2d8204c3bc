"""An application whose workflows wait for their children, and these for people."""

from __future__ import annotations

from typing import Any

from stepwell import END, App, Ask, Group, Start, Stepwell, Workflow, transition
from stepwell.people import AskOptions, AskText, Confirm


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


class Asker(Workflow[None, dict[str, Any], dict[str, Any]]):
    """It asks by ready-made questions, one after the other, and by a question of its own."""

    @transition(target="confirming")
    async def begin(self) -> None:
        await self.start(Confirm, {"text": "Go **on**?", "yes": "Go", "no": "Stay"}, callback="confirmed")

    @transition("confirming", "choosing", wait=True)
    async def confirmed(self, yes: bool) -> None:
        self.state["yes"] = yes
        await self.start(
            AskOptions,
            {"text": "Which?", "title": "Colours", "options": ["red", "blue"], "many": True},
            callback="chosen",
        )

    @transition("choosing", "writing", wait=True)
    async def chosen(self, colours: list[str]) -> None:
        self.state["colours"] = colours
        await self.start(AskText, {"text": "Why?"}, callback="written")

    @transition("writing", "deciding", wait=True)
    async def written(self, why: str) -> None:
        self.state["why"] = why

    @transition("deciding", END, wait=True, ask=Ask("The end", text="How many?"))
    async def decide(self, count: int) -> dict[str, Any]:
        return {**self.state, "count": count}


stepwell = Stepwell(apps=[App("family", workflows=[Child, Middle, Parent, Part, Crowd, Asker])])
