"""A process that dies while it answers or assigns, or as soon as it has: `python people_victim.py URL VERB before|after ID`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from stepwell import END, App, Ask, Settings, Stepwell, Workflow, transition
from stepwell.execution import assigning, operations

KEY = "once"


class Approve(Workflow[None, None, str]):
    @transition(target="review")
    async def hand_in(self) -> None: ...

    @transition("review", END, wait=True, ask=Ask("May I?", assignee="ann", group="ops"))
    async def decide(self, words: str) -> str:
        return words


def dying() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, verb: str, moment: str, run_id: str) -> None:
    if moment == "before":  # everything is written, and nothing is committed
        module: Any = operations if verb == "answer" else assigning.questions
        name = "note_answer" if verb == "answer" else "assign"
        store = getattr(module, name)

        def stored(*args: Any) -> None:
            store(*args)
            dying()

        setattr(module, name, stored)
    settings = Settings(_env_file=None, database_url=url)
    async with Stepwell([App("shop", workflows=[Approve])], settings=settings, embedded_worker=False) as stepwell:
        if verb == "answer":
            await stepwell.runner.answer(run_id, "decide", "yes", by="ann", idempotency_key=KEY)
        else:
            await stepwell.runner.assign(run_id, "decide", assignee="bob", by="ann")
        dying()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
