"""An application that asks other users than those of its runs: `--app approvals:stepwell`."""

from __future__ import annotations

from datetime import timedelta

from stepwell import END, App, Ask, Stepwell, Workflow, transition


class Expense(Workflow[None, None, str], subject="Taxi"):
    @transition(target="review")
    async def hand_in(self) -> None: ...

    @transition("review", END, wait=True, ask=Ask("Approve?", assignee="ann", group="ops", due=timedelta(days=2)))
    async def decide(self, cents: int) -> str:
        return f"approved {cents}"


stepwell = Stepwell(apps=[App("office", workflows=[Expense])])
