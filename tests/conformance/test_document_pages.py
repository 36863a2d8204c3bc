"""`self.documents.find(Type, limit=, after=)`: each document once, whatever is saved between two pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.support import ME, StepwellOn, reaches
from stepwell import END, START, Document, Plain, Workflow, transition
from stepwell.errors import InvalidArgs

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


class Note(Document):
    n: int


class Other(Document):
    n: int


class Pages(Workflow[int]):
    """Saves notes with something between them, then reads them page by page and saves more meanwhile."""

    @transition(START, "saved")
    async def save(self) -> None:
        for n in range(10):
            await self.documents.save(Note(n=n), key=f"k{n}" if n % 2 else None)
            await self.documents.save(Plain(text="between"))

    @transition("saved", "changed")
    async def change(self) -> None:
        await self.documents.save(Note(n=50), key="k5")
        await self.documents.save(Other(n=7), key="k7")
        await self.documents.save(Note(n=10), key="new")

    @transition("changed", END)
    async def read(self) -> None:
        await self.documents.save(Note(n=11))
        await self.documents.save(Note(n=30), key="k3")
        await self.documents.save(Note(n=70), key="k7")
        await self.documents.save(Note(n=12), key="here")
        page = await self.documents.find(Note, limit=self.args)
        while page:
            seen.append([one.n for one in page])
            if len(seen) == 1:
                await self.documents.save(Other(n=9), key="k9")
                await self.documents.save(Note(n=13))
                await self.documents.save(Note(n=120), key="here")
            page = await self.documents.find(Note, limit=self.args, after=page[-1])


WANTED = [0, 1, 2, 30, 4, 50, 6, 70, 8, 10, 11, 120, 13]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
async def test_pages_have_each_document_once_in_order(stepwell_on: StepwellOn, limit: int, stateless: bool) -> None:
    async with stepwell_on([Pages]) as stepwell:
        await stepwell.runner.run_sync(Pages, limit, **ME, stateless=stateless)
        assert [n for page in seen for n in page] == WANTED
        assert {len(page) for page in seen[:-1]} == {limit}


class Keyed(Workflow):
    @transition(START, "saved")
    async def save(self) -> None:
        for n in range(4):
            await self.documents.save(Note(n=n), key=f"k{n}")

    @transition("saved", END)
    async def read(self) -> None:
        await self.documents.save(Note(n=4), key="k4")
        await self.documents.save(Note(n=10), key="k1")
        for key in ("k0", "k1", "k3", "k4"):
            self.see(await self.documents.find(Note, after=key))
        self.see(await self.documents.find(Note, limit=2, after="k1"))
        self.see(await self.documents.find(Note))

    def see(self, notes: list[Note]) -> None:
        seen.append([one.n for one in notes])


async def test_a_key_says_where_to_go_on(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Keyed]) as stepwell:
        await stepwell.runner.run_sync(Keyed, **ME)
        assert seen == [[10, 2, 3, 4], [2, 3, 4], [4], [], [2, 3], [0, 10, 2, 3, 4]]


async def test_a_fork_pages_over_what_it_has_from_its_origin(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pages]) as stepwell:
        done = await stepwell.runner.run_sync(Pages, 3, **ME)
        seen.clear()
        fork = await stepwell.runner.fork(done.workflow_id or "", checkpoint=2)
        await reaches(stepwell.runner, fork.workflow_id, "completed")
        assert [n for page in seen for n in page] == WANTED


class Wrong(Workflow[int]):
    @transition(START, END)
    async def go(self) -> None:
        await self.documents.save(Note(n=1))
        await CALLS[self.args](self)


CALLS: list[Callable[[Any], Any]] = [
    lambda run: run.documents.find(Note, limit=0),
    lambda run: run.documents.find(Note, limit=1_001),
    lambda run: run.documents.find(Note, limit=True),
    lambda run: run.documents.find(Note, limit=2.0),
    lambda run: run.documents.find(Note, after=1),
    lambda run: run.documents.find(Note, after=""),
    lambda run: run.documents.find(Note, after="a\0"),
    lambda run: run.documents.find(Note, after="nowhere"),
    lambda run: run.documents.find(Note, after=Note(n=1)),
]


@pytest.mark.parametrize(
    ("call", "why"),
    [
        *((n, "it is 1 to 1,000") for n in range(4)),
        *((n, "give a document of the page before, or the key of a document") for n in range(4, 7)),
        (7, "documents.find(after='nowhere'): the run has no current document with this key"),
        (8, "documents.find(after=Note(...)): no page of this attempt had this document"),
    ],
)
async def test_what_is_no_page_is_refused(stepwell_on: StepwellOn, call: int, why: str) -> None:
    async with stepwell_on([Wrong]) as stepwell:
        run = await stepwell.runner.run(Wrong, call, **ME)
        stored = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert why in (stored.error or "")
        assert InvalidArgs.__name__ in (stored.error or "")
