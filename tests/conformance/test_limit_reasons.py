"""Why a run is held back: which limit, who holds it, where in the queue it is, and when it goes on; and the limits in use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conformance.support import ME, Gate, HarnessOn, StepwellOn, until
from stepwell import END, App, Concurrency, RateLimit, Start, Stepwell, Workflow, transition
from stepwell.console.reading.limits import LimitsInUse
from stepwell.errors import InvalidArgs, LimitNotFound

MINUTE = timedelta(minutes=1)
gate = Gate()


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()


class Crawl(
    Workflow[dict[str, Any]],
    concurrency=[Concurrency(1, key="args.host"), Concurrency(3, name="crawler")],
    expires=timedelta(hours=1),
):
    @transition(target=END)
    async def fetch(self) -> None:
        await gate.pass_through()


class Mail(Workflow, rate_limit=RateLimit(2, per=MINUTE)):
    @transition(target=END)
    async def send(self) -> None: ...


class Import(Workflow, concurrency=Concurrency(1, holds="run")):
    @transition(target="asked")
    async def begin(self) -> None: ...

    @transition("asked", END, wait=True)
    async def done(self) -> None: ...


class Visit(Workflow[dict[str, Any]], fair_by="args.host", concurrency=Concurrency(1)):
    @transition(target=END)
    async def visit(self) -> None:
        await gate.pass_through()


STORE = App("store", workflows=[Crawl])


@pytest.fixture
async def stepwell(stepwell_on: StepwellOn) -> AsyncIterator[Stepwell]:
    async with stepwell_on([Crawl, Mail, Import, Visit, STORE]) as made:
        yield made


async def held(stepwell: Stepwell, run_id: str) -> list[str]:
    """The reasons of a run, once it is held back."""

    async def look() -> bool:
        return (await stepwell.runner.row(run_id)).held_by is not None

    await until(look)
    return list((await stepwell.runner.explain(run_id)).reasons)


async def test_a_slot_is_explained_by_who_has_it(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    first = await runner.run(Crawl, {"host": "a"}, **ME)
    await gate.reached()
    second = await runner.run(Crawl, {"host": "a"}, **ME)
    third = await runner.run(Crawl, {"host": "a"}, app_name="shop", user_id="u2")
    since, holders, place, expires = await held(stepwell, second.workflow_id)
    assert since.startswith("It has been held back since ")
    assert since.endswith(": at most 1 run with the key 'a' may execute at once (concurrency[0] of shop/crawl).")
    assert holders == f"1 run holds it now: {first.workflow_id}."
    assert place == "In the queue for that, it is number 1."
    assert expires.startswith("It expires: unless it has begun by ")
    reasons = await held(stepwell, third.workflow_id)
    assert reasons[2] == "In the queue for that, it is number 2."
    theirs = (await runner.as_user("u2").explain(third.workflow_id)).reasons
    assert theirs[1] == "1 run holds it now."  # whose it is isn't theirs to know
    gate.open()
    for one in (first, second, third):
        await one.result(60)


async def test_a_name_is_told_and_several_holders_too(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    begun = [await runner.run(Crawl, {"host": host}, **ME) for host in "abc"]
    for _ in begun:
        await gate.reached()
    last = await runner.run(Crawl, {"host": "d"}, app_name="store", user_id="u1")
    since, holders, *_ = await held(stepwell, last.workflow_id)
    assert since.endswith(": at most 3 runs may execute at once (the concurrency limit named 'crawler').")
    assert holders.startswith("3 runs hold it now: ")
    assert {one.workflow_id for one in begun} == set(holders.partition(": ")[2].removesuffix(".").split(", "))
    gate.open()
    await last.result(60)


async def test_a_limit_on_whole_runs_is_held_while_they_wait(stepwell: Stepwell) -> None:
    first = await stepwell.runner.run(Import, **ME)

    async def waits() -> bool:
        return (await first.get()).status == "waiting"

    await until(waits)
    second = await stepwell.runner.run(Import, **ME)
    since, holders, _ = await held(stepwell, second.workflow_id)
    assert since.endswith(": at most 1 run may be begun and not ended (concurrency[0] of shop/import).")
    assert holders == f"1 run holds it now: {first.workflow_id}."


async def test_a_key_that_takes_turns_says_so(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    begun = await runner.run(Visit, {"host": "z"}, **ME)
    await gate.reached()
    turn, second, third = [await runner.run(Visit, {"host": "a"}, **ME) for _ in range(3)]
    since, place = await held(stepwell, third.workflow_id)
    assert since.endswith(": the keys of shop/visit take turns, and runs with the key 'a' are before it (fair_by).")
    assert place == "In the queue for that, it is number 2."
    gate.open()
    for one in (begun, turn, second, third):
        await one.result(60)


async def test_a_run_of_a_batch_says_how_many_may_be_under_way(stepwell: Stepwell) -> None:
    batch = await stepwell.runner.run_batch([Start(Import) for _ in range(4)], max_in_flight=2, **ME)
    items = [item async for item in batch.items()]
    [first, *_, last] = [await stepwell.runner.get(item.workflow_id) for item in items]

    async def waits() -> bool:
        return (await stepwell.runner.get(first.workflow_id or "")).status == "waiting"

    await until(waits)
    since, holders, place = await held(stepwell, last.workflow_id or "")
    assert since.startswith(f"It has been held back since {last.created_at.isoformat(timespec='seconds')}: ")
    assert since.endswith(f": at most 2 runs of group {batch.batch_id} may be under way (max_in_flight).")
    assert holders.startswith("2 runs hold it now: ")
    assert {one.workflow_id for one in items[:2]} == set(holders.partition(": ")[2].removesuffix(".").split(", "))
    assert place == "In the queue for that, it is number 2."
    limits = LimitsInUse(stepwell.runner)
    found = {one.kind: one for one in (await limits.listed()).items}["group"]
    assert (found.rule, found.limit, found.holding, found.held) == (batch.batch_id, 2, 2, 2)
    assert found.held_since == last.created_at
    detail = await limits.detail(found.id)
    assert [(one.workflow_id, one.since) for one in detail.waiting] == [
        (item.workflow_id, last.created_at) for item in items[2:]
    ]
    await batch.cancel()


async def test_a_rate_says_when_its_window_opens(harness_on: HarnessOn) -> None:
    async with harness_on([Mail]) as harness:
        for _ in range(2):
            await harness.runner.run(Mail, **ME)
            await harness.drain()
            await harness.advance(timedelta(seconds=10))
        third = await harness.runner.run(Mail, **ME)
        await harness.drain()
        reasons = (await harness.runner.explain(third.workflow_id)).reasons
        assert reasons[0].endswith(": at most 2 runs may begin in any 60 s (rate_limit[0] of shop/mail).")
        assert reasons[1].startswith("2 runs began within that time: ")
        assert reasons[3] == "The next run may begin at 2026-01-05T00:01:00+00:00."
        limits = LimitsInUse(harness.runner)
        [one] = (await limits.listed()).items
        assert (one.kind, one.rule, one.key, one.limit, one.per_seconds) == ("rate", "shop/mail#0", None, 2, 60.0)
        assert (one.holding, one.held, one.opens_at) == (2, 1, datetime(2026, 1, 5, 0, 1, tzinfo=UTC))
        await harness.advance(MINUTE)
        assert (await third.get()).status == "completed"
        await harness.advance(10 * MINUTE)
        assert (await limits.listed()).items == ()


async def test_a_ready_run_says_how_many_are_before_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Mail], embedded_worker=False) as web:
        handles = [await web.runner.run(Mail, **ME) for _ in range(3)]
        texts = [str(await web.runner.explain(one.workflow_id)) for one in handles]
        assert "and waits for a worker with a free slot." in texts[0]
        assert "a worker with a free slot, behind 1 ready run of its workflow." in texts[1]
        assert "limits of" not in texts[0]


async def test_limits_in_use_are_listed_in_pages_and_by_app(stepwell: Stepwell) -> None:
    runner = stepwell.runner
    limits = LimitsInUse(runner)
    assert (await limits.listed()).items == ()
    await runner.run_many([Start(Crawl, {"host": host}) for host in "aab"], **ME)
    for _ in range(2):
        await gate.reached()
    other = await runner.run(Crawl, {"host": "a"}, app_name="store", user_id="u1")
    await gate.reached()
    more = await runner.run(Crawl, {"host": "a"}, app_name="store", user_id="u2")
    await held(stepwell, more.workflow_id)
    found = {(one.rule, one.key): one for one in (await limits.listed()).items}
    assert {names: (one.limit, one.holding, one.held) for names, one in found.items()} == {
        ("shop/crawl#0", "a"): (1, 1, 1),
        ("shop/crawl#0", "b"): (1, 1, 0),
        ("store/crawl#0", "a"): (1, 1, 1),
        ("crawler", None): (3, 3, 0),
    }
    first = found["shop/crawl#0", "a"]
    assert (first.kind, first.app_name, first.workflow_name) == ("executing", "shop", "crawl")
    assert first.held_since is not None
    assert (found["crawler", None].app_name, found["crawler", None].workflow_name) == (None, None)
    # In pages: each once, in the same order.
    cursor, paged = None, []
    while True:
        page = await limits.listed(limit=1, cursor=cursor)
        paged += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert [one.id for one in paged] == [one.id for one in found.values()]
    assert {one.rule for one in (await limits.listed(held=True)).items} == {"shop/crawl#0", "store/crawl#0"}
    # By app: what has no run of it isn't there.
    of_store = LimitsInUse(runner, frozenset({"store"}))
    assert [(one.rule, one.holding) for one in (await of_store.listed()).items] == [
        ("crawler", 3),
        ("store/crawl#0", 1),
    ]
    assert (await of_store.listed(app_name="shop")).items == ()
    assert len((await limits.listed(app_name="store")).items) == 2
    with pytest.raises(InvalidArgs, match="cursor"):
        await limits.listed(cursor="é")
    detail = await limits.detail(found["store/crawl#0", "a"].id)
    assert [one.workflow_id for one in detail.holders] == [other.workflow_id]
    assert [(one.workflow_id, one.user_id) for one in detail.waiting] == [(more.workflow_id, "u2")]
    shared = await of_store.detail(found["crawler", None].id)
    assert [one.workflow_id for one in shared.holders] == [other.workflow_id]
    with pytest.raises(LimitNotFound):
        await of_store.detail(first.id)
    with pytest.raises(LimitNotFound):
        await limits.detail("nonsense")
    gate.open()
    await more.result(60)

    async def none() -> bool:
        return not (await limits.listed()).items

    await until(none)
