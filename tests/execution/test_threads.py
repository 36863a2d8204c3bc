"""The pool of plain `def`: bounded, cancellable before it begins, and never in the way of the program's end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from stepwell.execution.threads import Threads


async def test_no_more_threads_than_the_pool_has_and_no_more_than_it_needs() -> None:
    threads, names, together = Threads(2), set(), []
    running = 0

    def work() -> None:
        nonlocal running
        running += 1
        together.append(running)
        names.add(threading.current_thread().name)
        time.sleep(0.02)
        running -= 1

    await threads.run(work)
    await threads.run(work)
    assert len(names) == 1
    await asyncio.gather(*(threads.run(work) for _ in range(6)))
    assert (len(names), max(together)) == (2, 2)
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
    thread.join(2)
    assert not thread.is_alive()


def test_a_stuck_thread_doesnt_keep_the_program_from_its_end() -> None:
    program = """
import asyncio, threading
from stepwell.execution.threads import Threads

async def main():
    try:
        await asyncio.wait_for(Threads(1).run(threading.Event().wait), 0.1)
    except TimeoutError:
        print("left")

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (ended.stdout.strip(), ended.returncode) == ("left", 0), ended.stderr
