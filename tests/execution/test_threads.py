"""The pool of plain `def`: bounded, cancellable before it begins, and never in the way of the program's end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from stepwell.errors import StepwellError
from stepwell.execution.call import Interrupted, raised
from stepwell.execution.crew import NoThreadLeft
from stepwell.execution.threads import Threads, waiting


async def test_no_more_threads_than_the_pool_has_and_no_more_than_it_needs() -> None:
    threads, names, pair = Threads(2), set(), threading.Barrier(2)

    def work() -> None:
        names.add(threading.current_thread().name)

    def meet() -> None:
        work()
        pair.wait(60)

    for _ in range(3):
        await threads.run(work)
        async with asyncio.timeout(60):
            while not threads._opened().crew._idle:  # its thread has given the answer before it is free again
                await asyncio.sleep(0)
    assert len(names) == 1
    await asyncio.gather(*(threads.run(meet) for _ in range(6)))
    assert len(names) == 2
    threads.close()


async def test_what_a_call_raises_is_raised() -> None:
    threads = Threads(1)
    with pytest.raises(ValueError, match="mine"):
        await threads.run(partial(int), "mine")
    with pytest.raises(SystemExit):
        await threads.run(sys.exit, 3)
    assert await threads.run(int, "7") == 7
    threads.close()


async def test_a_call_that_is_cancelled_in_the_queue_never_begins() -> None:
    threads, gate, begun = Threads(1), threading.Event(), []
    first = asyncio.ensure_future(threads.run(gate.wait))
    second = asyncio.ensure_future(threads.call(lambda: begun.append("second"), lambda: begun.append("taken")))
    await asyncio.sleep(0.02)
    assert begun == []
    second.cancel()
    await asyncio.wait([second])
    gate.set()
    await first
    await threads.call(lambda: begun.append("third"), lambda: begun.append("taken"))
    assert sorted(begun) == ["taken", "third"]
    threads.close()


async def test_a_closed_pool_ends_its_threads_and_cancels_what_waits() -> None:
    threads, gate, seen = Threads(1), threading.Event(), []
    first = asyncio.ensure_future(threads.run(lambda: (seen.append(threading.current_thread()), gate.wait())))
    second = asyncio.ensure_future(threads.run(gate.wait))
    while not seen:
        await asyncio.sleep(0.001)
    threads.close()
    await asyncio.wait([second])
    assert second.cancelled()
    gate.set()
    await first
    seen[0].join(2)
    assert not seen[0].is_alive()
    assert await threads.run(int, "7") == 7  # opened again
    threads.close()


async def test_a_forgotten_pool_ends_its_threads() -> None:
    threads = Threads(1)
    thread = await threads.run(threading.current_thread)
    del threads
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_a_stuck_thread_doesnt_keep_the_program_from_its_end() -> None:
    program = """
import asyncio, threading
from stepwell.execution.call import Interrupted, raised
from stepwell.execution.threads import Threads

async def main():
    try:
        await asyncio.wait_for(Threads(1).run(threading.Event().wait), 0.1)
    except TimeoutError:
        print("left")

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.stdout.strip(), ended.returncode) == ("left", 0), ended.stderr


async def given_up(threads: Threads, fn: Callable[[], object], begun: Callable[[], bool]) -> None:
    """A call of `fn` that began, and was cancelled while it went on."""
    call = asyncio.ensure_future(threads.run(fn))
    while not begun():
        await asyncio.sleep(0.001)
    call.cancel()
    await asyncio.wait([call])


async def test_a_thread_that_hangs_is_replaced_and_told_of_by_name(caplog: pytest.LogCaptureFixture) -> None:
    threads, gate, hanging = Threads(1), threading.Event(), []

    def hangs() -> None:
        hanging.append(1)
        gate.wait()

    for n in range(1, 4):
        await given_up(threads, hangs, lambda: len(hanging) == n)  # noqa: B023
        assert await threads.run(int, "7") == 7
    assert threads.faults() == []
    async with asyncio.timeout(60):
        while "another one takes its place" not in caplog.text:
            await asyncio.sleep(0.01)
    assert "hangs was given up and still runs in its thread" in caplog.text
    gate.set()
    threads.close()


async def test_when_too_many_hang_it_is_unhealthy_and_what_waits_is_refused_until_they_return() -> None:
    threads, gate, hanging = Threads(1), threading.Event(), []

    def hangs() -> None:
        hanging.append(1)
        gate.wait()

    most = 16  # and the one thread that there is in any case
    for n in range(1, most + 2):
        assert threads.exhausted == (n > most)
        await given_up(threads, hangs, lambda: len(hanging) == n)  # noqa: B023
    assert threads.exhausted
    [fault] = threads.faults()
    assert fault.startswith("17 threads hang in calls that were given up (")
    assert "hangs" in fault
    with pytest.raises(NoThreadLeft):
        await threads.run(int, "7")
    gate.set()
    async with asyncio.timeout(60):
        while threads.exhausted:
            await asyncio.sleep(0.001)
    assert await threads.run(int, "7") == 7
    assert threads.faults() == []
    threads.close()


async def test_what_was_replaced_leaves_no_thread_too_many() -> None:
    threads, gate, hanging = Threads(2), threading.Event(), []

    def hangs() -> None:
        hanging.append(threading.current_thread())
        gate.wait()

    for n in range(1, 6):
        await given_up(threads, hangs, lambda: len(hanging) == n)  # noqa: B023
    others = {await threads.run(threading.current_thread) for _ in range(3)}
    gate.set()
    async with asyncio.timeout(60):
        while len([one for one in {*hanging, *others} if one.is_alive()]) > 2:
            await asyncio.sleep(0.01)
    threads.close()


async def test_a_thread_that_waits_for_another_run_lends_its_place() -> None:
    threads = Threads(1)
    loop = asyncio.get_running_loop()

    def waits(depth: int) -> int:
        if not depth:
            return 0
        with waiting():
            return asyncio.run_coroutine_threadsafe(threads.run(waits, depth - 1), loop).result() + 1

    assert await asyncio.wait_for(threads.run(waits, 10), 60) == 10
    with pytest.raises(StepwellError, match=r"16 threads of this process wait.*callback="):
        await asyncio.wait_for(threads.run(waits, 40), 60)
    assert await threads.run(waits, 10) == 10
    threads.close()


@pytest.mark.parametrize(
    "error", [GeneratorExit("left"), SystemExit(3), asyncio.CancelledError("mine"), KeyboardInterrupt()]
)
async def test_what_a_future_cant_carry_is_raised_too(error: BaseException) -> None:
    def fails() -> None:
        raise error

    threads = Threads(1)
    try:
        with pytest.raises(type(error)) as caught:
            await threads.run(fails)
        assert caught.value is error
    finally:
        threads.close()


async def test_a_stop_iteration_is_raised_as_python_raises_it() -> None:
    threads = Threads(1)
    try:
        with pytest.raises(RuntimeError, match="coroutine raised StopIteration") as caught:
            await threads.run(next, iter(()))
        assert isinstance(caught.value.__cause__, StopIteration)
    finally:
        threads.close()


@pytest.mark.parametrize("error", [NoThreadLeft(), ExceptionGroup("of a TaskGroup", [ValueError(), NoThreadLeft()])])
def test_that_no_thread_is_left_is_no_failure_of_the_run(error: Exception) -> None:
    nothing: Any = None  # what the answer doesn't depend on
    assert isinstance(raised(nothing, nothing, nothing, 0, error), Interrupted)
