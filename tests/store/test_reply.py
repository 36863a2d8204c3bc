"""Replies wake the tasks that wait for them, as asyncio's futures do."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from stepwell.store.writing.writer import Reply, deliver

colour: ContextVar[str] = ContextVar("colour", default="none")


def asked() -> Reply:
    return Reply(asyncio.get_running_loop())


async def waiting(reply: Reply) -> asyncio.Task[Any]:
    async def wait() -> Any:
        return await reply

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


async def outside(*replies: tuple[Reply, Any]) -> None:
    """They are delivered as the writer does it: in a callback of the loop, in no task."""
    asyncio.get_running_loop().call_soon(deliver, replies)
    await asyncio.sleep(0)


async def test_the_task_is_stepped_where_its_reply_is_delivered() -> None:
    reply, seen = asked(), list[str]()

    async def wait() -> None:
        seen.append(await reply)
        assert asyncio.current_task() is task

    def delivering() -> None:
        deliver([(reply, "answer")])
        seen.append("delivered")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(delivering)
    await asyncio.sleep(0)
    assert seen == ["answer", "delivered"]
    assert task.done()
    await task


async def test_it_goes_on_in_its_own_context() -> None:
    reply = asked()

    async def wait() -> str:
        colour.set("red")
        await reply
        return colour.get()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    await outside((reply, None))
    assert await task == "red"
    assert colour.get() == "none"


async def test_an_answer_that_is_there_already_is_not_waited_for() -> None:
    reply = asked()
    deliver([(reply, 1)])
    await asyncio.sleep(0)
    assert await reply == 1


async def test_an_error_is_raised() -> None:
    reply = asked()
    task = await waiting(reply)
    await outside((reply, ValueError("no")))
    with pytest.raises(ValueError, match="no"):
        await task


async def test_a_stop_iteration_is_carried() -> None:
    reply = asked()
    task = await waiting(reply)
    await outside((reply, StopIteration(3)))
    with pytest.raises(RuntimeError, match=r"a write raised StopIteration\(3\)"):
        await task


async def test_a_cancelled_task_does_not_wait_for_it() -> None:
    reply = asked()
    task = await waiting(reply)
    assert task.cancel("enough")
    await asyncio.wait([task])
    assert task.cancelled()
    await outside((reply, 1))  # nobody is there any more
    assert not reply.cancel()


async def test_a_task_that_is_cancelled_before_it_waits_does_not_wait() -> None:
    reply = asked()

    async def wait() -> None:
        task.cancel()
        await reply

    task = asyncio.create_task(wait())
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_time_limit_ends_the_wait() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asked()


async def test_inside_a_task_they_are_delivered_soon() -> None:
    reply = asked()
    task = await waiting(reply)
    deliver([(reply, 1)])
    assert not task.done()
    assert await task == 1


def test_what_ends_the_loop_keeps_no_reply_from_others() -> None:
    loop = asyncio.new_event_loop()
    first, second = Reply(loop), Reply(loop)

    async def exits() -> None:
        await first
        raise SystemExit(3)

    async def goes_on() -> Any:
        return await second

    exiting, going_on = loop.create_task(exits()), loop.create_task(goes_on())
    loop.run_until_complete(asyncio.sleep(0))
    loop.call_soon(deliver, [(first, None), (second, "answer")])
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert not going_on.done()
    assert loop.run_until_complete(going_on) == "answer"
    assert isinstance(exiting.exception(), SystemExit)
    loop.close()
