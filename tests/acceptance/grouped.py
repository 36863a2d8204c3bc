"""Workflows that start groups of children, and the processes that execute them; children write down when they execute."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from acceptance import evidence
from acceptance.holds import write_down
from acceptance.small import serve
from stepwell import END, App, Group, Settings, Signal, Start, Stepwell, Workflow, transition

MINE: dict[str, Any] = {"app_name": "grouped", "user_id": "u1"}
MOST = 2


class Part(BaseModel):
    key: str
    fails: bool = False
    waits: bool = False


class Piece(Workflow[Part, None, int]):
    @transition(target=END)
    async def work(self) -> int:
        await write_down("piece", self.args.key, self.info.workflow_id, "work", 0.01)
        if self.args.fails:
            raise ValueError("it fails")
        return 1


class Ask(BaseModel):
    until: Any
    parts: list[Part]
    most: int | None = None


class Whole(Workflow[Ask]):
    @transition(target="waiting")
    async def begin(self) -> None:
        starts = [Start(Piece, part) for part in self.args.parts]
        await self.start_many(starts, callback="told", until=self.args.until, max_in_flight=self.args.most)

    @transition("waiting", END, wait=True)
    async def told(self, end: Signal[Group[int]]) -> Any:
        data = end.data
        return [end.status, data.total, data.completed, data.failed, data.canceled, data.group_id]


def grouped(*, embedded_worker: bool = True, **settings: Any) -> Stepwell:
    """A Stepwell with these workflows."""
    given = Settings(_env_file=None, database_url=evidence.database_url(), **settings)
    return Stepwell([App("grouped", workflows=[Whole, Piece])], settings=given, embedded_worker=embedded_worker)


def worker(folder: str, settings: dict[str, Any]) -> None:
    """Executes until SIGTERM."""
    serve(folder, lambda: grouped(**settings))
