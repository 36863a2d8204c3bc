"""Workflows of this package alone: measured beside an older Stepwell, the others mustn't need what that lacks."""

from __future__ import annotations

from typing import Any

from benchmarks.workflows import Number, Total, WorkflowClass
from stepwell import END, Group, Signal, Start, Workflow, transition


def parent_of(child: WorkflowClass) -> WorkflowClass:
    """Starts as many children as `args.number` says; its result is how many of them completed."""

    class Parent(Workflow[Number, Total, int]):
        @transition(target="waiting")
        async def begin(self) -> None:
            starts = [Start(child, {"number": number}) for number in range(self.args.number)]
            await self.start_many(starts, callback="told", until="all_ended")

        @transition("waiting", END, wait=True)
        async def told(self, end: Signal[Group[Any]]) -> int:
            return end.data.completed

    return Parent
