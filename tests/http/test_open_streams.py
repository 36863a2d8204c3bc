"""How many streams there may be at once, and that each ends in time, whatever it is doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import httpx
import pytest
from api_shop import StepwellOf, good, problem, served, shop
from serving import serving
from starlette.types import Message

from stepwell.console.http import open_streams
from stepwell.console.http.access.access import Access, Identity
from stepwell.console.http.access.principal import Principal
from stepwell.console.http.open_streams import OpenStreams, Term
from stepwell.console.http.stream import EventStream


async def test_no_more_are_open_than_one_user_or_the_process_may_have(
    stepwell_of: StepwellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.console.http.stream.OpenStreams", lambda: OpenStreams(most=5, most_of_one=3))
    stepwell = stepwell_of(shop())
    async with serving(served(stepwell)) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

        async def opened(many: AsyncExitStack, user: str) -> httpx.Response:
            return await many.enter_async_context(client.stream("GET", "/api/v1/events", headers={"x-user": user}))

        async with AsyncExitStack() as many:
            # All at once: what counts is what is open, not what has begun to read.
            answers = await asyncio.gather(*(opened(many, "u1") for _ in range(10)))
            assert sorted(one.status_code for one in answers) == [200] * 3 + [429] * 7
            refused = next(one for one in answers if one.status_code == 429)
            await refused.aread()
            assert "You have 3 streams open" in problem(refused, 429)["detail"]
            assert refused.headers["Retry-After"] == "5"
            others = [(await opened(many, user)).status_code for user in ("u2", "u2", "u2", "u3")]
            assert others == [200, 200, 429, 429]
            assert good(await client.get("/api/v1/runs", headers={"x-user": "u1"}))["items"] == []
        async with AsyncExitStack() as many, asyncio.timeout(60):
            while (await opened(many, "u1")).status_code != 200:  # the server notices a moment later
                await asyncio.sleep(0.02)


class Held:
    """What somebody has presented, which holds until it doesn't."""

    def __init__(self) -> None:
        self.asked = 0
        self.valid = True

    async def holds(self, identity: Identity) -> bool:
        self.asked += 1
        return self.valid


def term_of(held: Held, clock: Callable[[], float]) -> Term:
    return Term(cast("Access", held), Identity(Principal("u1")), clock)


async def test_what_the_reader_presented_is_asked_about_each_time() -> None:
    now, held = 100.0, Held()
    term = term_of(held, lambda: now)
    assert [await term.over() for _ in range(3)] == [False] * 3
    assert held.asked == 3
    held.valid = False
    assert await term.over()
    held.valid = True
    now = 100 + open_streams.LONGEST
    assert await term.over()


async def all_of(chunks: AsyncIterator[bytes], term: Term) -> list[bytes]:
    """The chunks that a client got, with the one that ends the answer."""
    got: list[bytes] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody goes away")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            got.append(message["body"])

    async with asyncio.timeout(60):
        await EventStream(chunks, term, OpenStreams(), "u1")({"type": "http"}, receive, send)
    return got


async def test_a_stream_that_has_much_to_tell_ends_in_time_too() -> None:
    now, held = 0.0, Held()

    async def much() -> AsyncIterator[bytes]:
        nonlocal now
        number = 0
        while True:
            now += 4
            number += 1
            held.valid = number < 10
            yield b": %d\n\n" % number

    chunks: Any = much()
    got = await all_of(chunks, term_of(held, lambda: now))
    # Since the tenth it holds no longer: that one isn't sent any more.
    assert got == [*(b": %d\n\n" % number for number in range(1, 10)), b": come back\n\n", b""]
    assert held.asked == 10
