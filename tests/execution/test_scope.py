"""Time limits: they stop what swallows a cancellation, tell their reasons apart and leave nothing behind."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import pytest

from stepwell.execution.scope import Limit, Scope, TimeLimits


def scope(limit: Limit | None = None) -> Scope:
    task = asyncio.current_task()
    assert task is not None
    return Scope(task, limit, lambda: "the test")


def pending() -> int:
    return asyncio.current_task().cancelling()  # type: ignore[union-attr]


async def test_code_that_ends_in_time_is_left_alone() -> None:
    inside = scope(Limit(5))
    with inside:
        await asyncio.sleep(0)
    assert (inside.reason, pending()) == (None, 0)


async def test_code_that_takes_too_long_is_stopped() -> None:
    inside = scope(Limit(0.01))
    with inside:
        await asyncio.Event().wait()
    assert (inside.reason, pending()) == ("timeout", 0)


async def test_the_reason_of_a_stop_from_outside_is_kept() -> None:
    inside = scope(Limit(5))
    asyncio.get_running_loop().call_soon(inside.stop, "lost")
    with inside:
        await asyncio.Event().wait()
    assert (inside.reason, pending()) == ("lost", 0)


async def test_code_that_swallows_the_cancellation_is_cancelled_again() -> None:
    inside = scope(Limit(0.01))
    swallowed = 0
    with inside:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed += 1
        await asyncio.Event().wait()
    assert (inside.reason, swallowed, pending()) == ("timeout", 1, 0)


async def test_a_cancellation_from_elsewhere_goes_on_outwards() -> None:
    async def work() -> None:
        with scope(Limit(5)):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_goes_on_outwards() -> None:
    with pytest.raises(ValueError, match="mine"), scope(Limit(5)):
        raise ValueError("mine")


async def test_a_shared_limit_stops_only_what_is_due() -> None:
    limits = TimeLimits()
    limit = limits.here()[0.05]
    assert limit is limits.here()[0.05]
    assert limits.here()[0] is None

    async def work(first: bool) -> str | None:
        inside = scope(limit)
        with inside:
            await (asyncio.Event().wait() if first else asyncio.sleep(0))
        return inside.reason

    assert await asyncio.gather(work(True), work(False), work(True)) == ["timeout", None, "timeout"]
    assert limit is not None
    assert not limit.watched


async def test_a_pause_doesnt_count_and_the_whole_time_is_counted_after_it() -> None:
    inside = scope(TimeLimits().here()[0.05])
    with inside:
        inside.pause()
        await asyncio.sleep(0.1)
        inside.resume()
        await asyncio.Event().wait()
    assert (inside.reason, pending()) == ("timeout", 0)
    inside.resume()  # too late
    assert inside._limit is not None
    assert not inside._limit.watched


async def test_a_deadline_goes_on_through_a_pause() -> None:
    inside = scope(Limit(0.05, lasting=False))
    with inside:
        inside.pause()
        await asyncio.Event().wait()
    assert inside.reason == "timeout"


def test_each_loop_has_limits_of_its_own() -> None:
    limits = TimeLimits()

    async def stopped() -> str | None:
        inside = scope(limits.here()[0.1])
        with inside:
            await asyncio.wait_for(asyncio.Event().wait(), 60)
        return inside.reason

    async def started(loops: int) -> list[str | None]:
        others = [asyncio.to_thread(asyncio.run, stopped()) for _ in range(loops)]
        return await asyncio.gather(stopped(), *others)

    assert asyncio.run(started(3)) == ["timeout"] * 4
    assert asyncio.run(started(1)) == ["timeout"] * 2


def test_a_loop_that_was_left_with_its_timer_takes_no_other_loops_limit_away() -> None:
    limits = TimeLimits()

    async def quick() -> None:
        with scope(limits.here()[0.1]):
            await asyncio.sleep(0)

    async def slow() -> str | None:
        inside = scope(limits.here()[0.1])
        with inside:
            await asyncio.wait_for(asyncio.Event().wait(), 60)
        return inside.reason

    asyncio.run(quick())
    assert asyncio.run(slow()) == "timeout"


async def test_code_that_is_stopped_may_clean_up_without_being_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell.execution.scope.AGAIN", 0.01)
    inside, interrupted = scope(Limit(0.01)), 0
    with inside:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for reason in ("lost", "drain", "timeout"):
                inside.stop(reason)  # type: ignore[arg-type]
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                interrupted += 1
    assert (inside.reason, interrupted, pending()) == ("timeout", 0, 0)


async def test_an_open_transaction_leaves_a_second_for_cleaning_up() -> None:
    task = asyncio.current_task()
    assert task is not None
    inside = Scope(task, None, lambda: "the test", 600.0)
    with inside:
        asyncio.get_running_loop().call_soon(inside.stop, "lost")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            inside.stop("transaction")
        await asyncio.Event().wait()  # interrupted again after the second, not after ten minutes
    assert (inside.reason, pending()) == ("lost", 0)


async def test_limits_go_by_the_clock_of_their_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests replace it, to let hours pass at once."""
    loop, ahead = asyncio.get_running_loop(), 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + ahead)
    inside = scope(Limit(3600))
    with inside:
        ahead = 3601
        await asyncio.Event().wait()
    assert inside.reason == "timeout"


def test_a_loop_may_go_on_in_another_thread() -> None:
    limits, loop = TimeLimits(), asyncio.new_event_loop()

    async def thread() -> int:
        return limits.here().thread

    async def wait(seconds: float) -> str | None:
        inside = Scope(asyncio.current_task(), limits.here()[seconds], lambda: "the test")  # type: ignore[arg-type]
        with inside:
            await asyncio.Event().wait()
        return inside.reason

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(loop.run_until_complete, thread()).result(60) != get_ident()
    assert loop.run_until_complete(thread()) == get_ident()
    assert loop.run_until_complete(wait(0.01)) == "timeout"
    loop.close()
