"""A process that dies at the commit of a repair, before or after it: `python repair_victim.py URL RUN CALL before|after`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from stepwell import END, App, Document, Settings, Stepwell, Workflow, WorkflowRunner, transition
from stepwell.runner.core import Core
from stepwell.store.tx import Tx

KEY = "again"


class Total(BaseModel):
    cents: int = 0


class Note(Document, name="note_of_repair"):
    text: str


class Mend(Workflow[None, Total, int], name="mend"):
    """Fails with any payload below 10, unless its state is above 50."""

    @transition(target="open")
    async def begin(self) -> None:
        await self.documents.save(Note(text="begun"))

    @transition("open", END, wait=True)
    async def pay(self, cents: int) -> int:
        if cents < 10 and self.state.cents < 50:
            raise ValueError("too little")
        return cents + self.state.cents


CALLS: dict[str, Callable[[WorkflowRunner, str], Awaitable[Any]]] = {
    "fork": lambda runner, run: runner.fork(run, checkpoint=1, state={"cents": 7}),
    "keyed fork": lambda runner, run: runner.fork(run, checkpoint=1, state={"cents": 7}, idempotency_key=KEY),
    "retry with data": lambda runner, run: runner.retry(run, data=20),
    "retry with a state": lambda runner, run: runner.retry(run, state={"cents": 60}),
    "update": lambda runner, run: runner.update(run, labels=["mended"], subject="Mended"),
    "delete": lambda runner, run: runner.delete(run),
}
WRITES = {"delete": 2}
"""Which of the writes of a call counts, where that isn't the first: `delete` looks first whether it may."""


def dying() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, run: str, call: str, moment: str) -> None:
    write, left = Core.write, [WRITES.get(call, 1)]

    async def watched(self: Core, operation: Callable[[Tx], Any], connection: Any) -> Any:
        left[0] -= 1

        def act(tx: Tx) -> Any:
            answer = operation(tx)
            if left[0] == 0 and moment == "before":  # everything is written, and nothing is committed
                dying()
            return answer

        answer = await write(self, act, connection)
        if left[0] == 0:
            dying()
        return answer

    Core.write = watched  # type: ignore[method-assign]
    settings = Settings(_env_file=None, database_url=url)
    async with Stepwell([App("shop", workflows=[Mend])], settings=settings, embedded_worker=False) as stepwell:
        await CALLS[call](stepwell.runner, run)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
