"""Users read in turns: each has a share of the readers, those that wait are served in rotation, and too many are refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from stepwell.errors import TooManyReads
from stepwell.store import reader_queue
from stepwell.store.reader_queue import ReaderQueue


class Reads:
    """Reads that hold their reader until the test lets them go."""

    def __init__(self, readers: int) -> None:
        self.reader_queue = ReaderQueue(readers)
        self.held: list[str] = []
        self.served: list[str] = []
        self._go: dict[str, asyncio.Queue[None]] = {}

    def start(self, user: str, count: int = 1) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._read(user)) for _ in range(count)]

    async def _read(self, user: str) -> None:
        async with self.reader_queue.turn(user):
            self.held.append(user)
            self.served.append(user)
            try:
                await self._go.setdefault(user, asyncio.Queue()).get()
            finally:
                self.held.remove(user)

    async def end(self, user: str, count: int = 1) -> None:
        for _ in range(count):
            self._go.setdefault(user, asyncio.Queue()).put_nowait(None)
        await settled()


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_one_user_holds_no_more_than_a_share_of_the_readers() -> None:
    reads = Reads(4)
    reads.start("greedy", 50)
    await settled()
    assert reads.held == ["greedy"] * 2
    reads.start("modest")
    await settled()
    assert reads.held.count("modest") == 1, "it doesn't wait for those of another user"
    await reads.end("greedy", 50)
    assert reads.served.count("greedy") == 50


async def test_those_that_wait_are_served_in_rotation() -> None:
    reads = Reads(1)
    reads.start("a", 4)
    await settled()
    reads.start("b", 2)
    reads.start("c")
    await settled()
    for _ in range(7):
        await reads.end(reads.held[0])
    assert reads.served == ["a", "a", "b", "c", "a", "b", "a"], "who waited first, then one of each"


@pytest.mark.parametrize(("readers", "share"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
async def test_the_share_of_a_user_is_half_of_the_readers_rounded_up(readers: int, share: int) -> None:
    reads = Reads(readers)
    reads.start("greedy", 10)
    await settled()
    assert len(reads.held) == share


async def test_too_many_waiting_reads_of_a_user_are_refused_and_those_of_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader_queue, "MOST_WAITING", 3)
    reads = Reads(2)
    tasks = reads.start("greedy", 10)
    await settled()
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 6, "one reads, three wait"
    for task in refused:
        error = task.exception()
        assert isinstance(error, TooManyReads)
        assert error.retry_after > 0
    other = reads.start("modest")
    await reads.end("modest")
    await asyncio.gather(*other)


@pytest.mark.parametrize("at", ["waiting", "just served", "reading"])
async def test_a_cancelled_read_frees_its_place(at: str) -> None:
    reads = Reads(1)
    [first] = reads.start("a")
    await settled()
    [second] = reads.start("a")
    await settled()
    match at:
        case "waiting":
            second.cancel()
        case "just served":  # its turn is decided, and it hasn't run since
            first.cancel()
            await asyncio.sleep(0)
            second.cancel()
        case _:
            first.cancel()
    with suppress(asyncio.CancelledError):
        await (first if at == "reading" else second)
    third = reads.start("b")
    await reads.end("a", 2)
    await reads.end("b")
    await asyncio.gather(*third)
    await settled()
    assert not reads.held
    reads.start("c")
    await settled()
    assert reads.held == ["c"], "the only reader isn't lost"
