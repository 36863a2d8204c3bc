"""`self.transaction()`: the user's own tables commit with the checkpoint, or not at all (rule 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select

from backends import Database
from conformance.support import ME, Gate, StepwellOn, reaches
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, Retry, Stepwell, Workflow, transition
from stepwell.errors import RunFinished

users = MetaData()
invoices = Table("invoices", users, Column("id", Integer, primary_key=True), Column("text", String))

opened: list[Stepwell] = []
gate = Gate()
calls: list[Any] = []
made: list[str] = []


class Case(BaseModel):
    name: str = ""


def step() -> int:
    calls.append("step")
    return 1


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Writes(Workflow[Case]):
    @transition(target="after")
    async def write(self) -> None:
        runner = opened[-1].runner
        match self.args.name:
            case "raises inside":
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                    raise ValueError("inside")
            case "raises after":
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                raise ValueError("after")
            case "caught":
                try:
                    async with self.transaction() as connection:
                        await connection.execute(insert(invoices).values(text="half"))
                        raise ValueError("caught")
                except ValueError:
                    self.state["caught"] = True
            case "second":
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                async with self.transaction():
                    pass
            case "second after a caught one":
                try:
                    async with self.transaction() as connection:
                        raise ValueError
                except ValueError:
                    pass
                async with self.transaction():
                    pass
            case "two at once":

                async def write() -> None:
                    async with self.transaction() as connection:
                        await connection.execute(insert(invoices).values(text="a"))

                await asyncio.gather(write(), write())
            case "step inside":
                async with self.transaction():
                    await self.step("step", step)
            case "step after":
                async with self.transaction():
                    pass
                await self.step("step", step)
            case "step before":
                n = await self.step("step", step)
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text=str(n)))
            case "run without connection":
                async with self.transaction():
                    made.append((await runner.run(Quick, **ME)).workflow_id)
            case "sync without connection":
                async with self.transaction():
                    await runner.run_sync(Quick, **ME)
            case "emit without connection":
                async with self.transaction():
                    await runner.emit("anything")
            case "run with connection":
                async with self.transaction() as connection:
                    made.append((await runner.run(Quick, **ME, connection=connection)).workflow_id)
            case "run with connection, then raise":
                async with self.transaction() as connection:
                    made.append((await runner.run(Quick, **ME, connection=connection)).workflow_id)
                raise ValueError("after")
            case "too long":
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                    await gate.pass_through()
            case "too long after":
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                await gate.pass_through()
            case "wrong state":
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                self.state = object()  # type: ignore[assignment]
            case "commits itself":
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                    await connection.commit()
                raise ValueError("after")
            case "child":
                made.append(await self.start(Quick))
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
            case _:
                async with self.transaction() as connection:
                    await connection.execute(insert(invoices).values(text="a"))
                    await connection.execute(insert(invoices).values(text="b"))
                    self.state["seen"] = (await connection.execute(select(func.count()).select_from(invoices))).scalar()

    @transition("after", END)
    async def after(self) -> Any:
        return self.state


def texts(database: Database) -> list[str]:
    return [row[0] for row in database.read("SELECT text FROM invoices ORDER BY id")]


@pytest.fixture
async def with_invoices(stepwell_on: StepwellOn, database: Database) -> Callable[..., Stepwell]:
    calls.clear()
    made.clear()
    gate.clear()
    # As an application makes its tables: by itself, and where it wants them.
    engine = database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(users.create_all)
    await engine.dispose()

    class Opened:
        def __init__(self, **settings: Any) -> None:
            self.stepwell = stepwell_on([Writes, Quick, Retried, Queues, *settings.pop("more", [])], **settings)

        async def __aenter__(self) -> Stepwell:
            stepwell = await self.stepwell.__aenter__()
            opened.append(stepwell)
            return stepwell

        async def __aexit__(self, *given: Any) -> None:
            opened.pop()
            await self.stepwell.__aexit__(*given)

    return Opened  # type: ignore[return-value]


async def test_what_is_written_commits_with_the_checkpoint(
    with_invoices: Callable[..., Any], database: Database
) -> None:
    async with with_invoices() as stepwell:
        done = await stepwell.runner.run_sync(Writes, **ME)
        assert (done.status, done.result) == ("completed", {"seen": 2})
        assert texts(database) == ["a", "b"]
        queued = await stepwell.runner.run(Writes, **ME)
        assert await queued.result(60) == {"seen": 4}


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("raises inside", "ValueError: inside"),
        ("raises after", "ValueError: after"),
        ("second", "comes once, and last"),
        ("two at once", "comes once, and last"),
        ("step inside", r"self.transaction() comes last"),
        ("step after", r"self.transaction() comes last"),
        ("run without connection", "needs connection=connection"),
        ("sync without connection", "needs connection=connection"),
        ("emit without connection", "needs connection=connection"),
        ("run with connection, then raise", "ValueError: after"),
        ("wrong state", "Writes.write: "),
        ("second after a caught one", "comes once, and last"),
        ("commits itself", "Writes.write: "),
    ],
)
async def test_a_method_that_raises_leaves_nothing_behind(
    with_invoices: Callable[..., Any], database: Database, case: str, text: str
) -> None:
    async with with_invoices() as stepwell:
        done = await stepwell.runner.run_sync(Writes, {"name": case}, **ME, timeout=60)
        assert (done.status, done.place) == ("failed", "start"), done
        assert text in (done.error or "")
        assert texts(database) == []
        assert len((await stepwell.runner.list()).items) == 1
        assert not calls
        after = await stepwell.runner.run_sync(Writes, **ME, timeout=60)
        assert after.status == "completed", "the write lane was given back"


async def test_an_exception_caught_in_the_method_never_commits_half_a_block(
    with_invoices: Callable[..., Any], database: Database
) -> None:
    async with with_invoices() as stepwell:
        done = await stepwell.runner.run_sync(Writes, {"name": "caught"}, **ME)
        assert (done.status, done.result) == ("completed", {"caught": True})
        assert texts(database) == []


async def test_a_step_before_it_is_journaled_by_itself(with_invoices: Callable[..., Any], database: Database) -> None:
    async with with_invoices() as stepwell:
        done = await stepwell.runner.run_sync(Writes, {"name": "step before"}, **ME)
        assert done.status == "completed"
        assert texts(database) == ["1"]


async def test_a_run_started_with_the_connection_and_a_child_exist_with_the_checkpoint(
    with_invoices: Callable[..., Any], database: Database
) -> None:
    async with with_invoices() as stepwell:
        for case in ("run with connection", "child"):
            done = await stepwell.runner.run_sync(Writes, {"name": case}, **ME)
            assert done.status == "completed"
            await reaches(stepwell.runner, made[-1], "completed")


@pytest.mark.parametrize("case", ["too long", "too long after"])
async def test_a_transaction_open_for_too_long_ends_with_an_error(
    with_invoices: Callable[..., Any], database: Database, case: str
) -> None:
    async with with_invoices(transaction_seconds=0.1) as stepwell:
        done = await stepwell.runner.run_sync(Writes, {"name": case}, **ME, timeout=60)
        assert done.status == "failed"
        assert "TransitionTimeout: self.transaction() was open for 0.1 s" in (done.error or "")
        assert texts(database) == []
        assert gate.cancelled == 1


class Retried(Workflow):
    @transition(target=END, retry=Retry(retries=2, delay=timedelta(0)))
    async def write(self) -> int:
        async with self.transaction() as connection:
            await connection.execute(insert(invoices).values(text=f"try {self.info.attempt}"))
            if self.info.attempt < 3:
                raise OSError("not yet")
        return self.info.attempt


async def test_only_the_attempt_that_succeeds_writes(with_invoices: Callable[..., Any], database: Database) -> None:
    async with with_invoices() as stepwell:
        assert (await stepwell.runner.run_sync(Retried, **ME)).result == 3
        assert texts(database) == ["try 3"]


class Queues(Workflow):
    """Waits for the lane no longer than its timeout."""

    @transition(target=END, timeout=timedelta(milliseconds=100))
    async def write(self) -> None:
        async with self.transaction() as connection:
            await connection.execute(insert(invoices).values(text="queued"))


async def test_who_gives_up_waiting_for_the_lane_blocks_nobody(
    with_invoices: Callable[..., Any], database: Database
) -> None:
    async with with_invoices() as stepwell:
        first = asyncio.ensure_future(stepwell.runner.run_sync(Writes, {"name": "too long"}, **ME))
        await gate.reached()
        waiting = asyncio.ensure_future(stepwell.process.store.transaction().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        gate.open()
        assert (await first).status == "completed"
        with pytest.raises(asyncio.CancelledError):
            await waiting
        done = await stepwell.runner.run_sync(Writes, **ME, timeout=60)
        assert done.status == "completed"


async def test_a_cancel_that_comes_while_a_transaction_is_open_waits_for_its_end(
    with_invoices: Callable[..., Any], database: Database
) -> None:
    async with with_invoices() as stepwell:
        handle = await stepwell.runner.run(Writes, {"name": "too long"}, **ME)
        await gate.reached()
        cancelling = asyncio.ensure_future(handle.cancel())
        gate.open()
        try:
            assert (await cancelling).status == "canceled"
        except RunFinished:
            assert await handle.result(60) == {}
        assert texts(database) == ["a"]


async def test_transactions_of_many_runs_see_each_other_whole(
    with_invoices: Callable[..., Any], database: Database
) -> None:
    async with with_invoices() as stepwell:
        handles = await asyncio.gather(*(stepwell.runner.run(Writes, **ME) for _ in range(10)))
        seen = [(await handle.result(60))["seen"] for handle in handles]
        assert sorted(texts(database)) == ["a"] * 10 + ["b"] * 10
        if database.kind == "sqlite":  # there they take turns
            assert sorted(seen) == [2 * n for n in range(1, 11)], "each saw all that was committed before it"
        assert all(n in range(2, 21, 2) for n in seen)


async def asks_no(self: Any) -> bool:
    async with self.transaction() as connection:
        await connection.execute(insert(invoices).values(text="asked"))
    return False


async def asks_yes(self: Any) -> bool:
    await asks_no(self)
    return True


async def raises_inside(self: Any) -> bool:
    async with self.transaction():
        raise ValueError("in a guard")


@pytest.mark.parametrize(
    ("guards", "status", "place"),
    [
        ((asks_no,), "waiting", "start"),
        ((asks_yes,), "completed", "end"),
        ((asks_no, asks_yes), "completed", "end"),
        ((raises_inside,), "failed", "start"),
    ],
    ids=["no", "yes", "no, yes", "raises"],
)
async def test_the_transaction_of_a_guard_ends_with_the_guard(
    with_invoices: Callable[..., Any], database: Database, guards: Any, status: str, place: str
) -> None:
    """A guard only asks: what it has written is rolled back, and nobody waits for it."""

    class Guarded(Workflow):
        @transition("start", END, wait=True)
        async def by_hand(self) -> None: ...

    for guard in guards:

        @transition("start", END, when=guard, name=guard.__name__)
        async def go(self: Any) -> None: ...

        setattr(Guarded, guard.__name__, go)
    namespace = {name: value for name, value in vars(Guarded).items() if name in {g.__name__ for g in guards}}
    workflow = type("Guarding", (Workflow,), {**namespace, "by_hand": vars(Guarded)["by_hand"]})
    async with with_invoices(more=[workflow]) as stepwell:
        handle = await stepwell.runner.run(workflow, **ME)
        await reaches(stepwell.runner, handle.workflow_id, status, place)
        # The transaction may last 600 s here: it would keep these out as long.
        assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed"
        assert (await stepwell.runner.run_sync(Writes, {"name": ""}, **ME)).status == "completed"
        assert texts(database) == ["a", "b"]


async def test_a_transaction_that_has_ended_limits_its_method_no_more(with_invoices: Callable[..., Any]) -> None:
    class Catches(Workflow):
        @transition(target=END)
        async def go(self) -> bool:
            try:
                async with self.transaction():
                    raise ValueError("caught")
            except ValueError:
                pass
            held = self._stepwell.held  # type: ignore[attr-defined]
            return bool(held._timer.cancelled())

    async with with_invoices(more=[Catches]) as stepwell:
        assert (await stepwell.runner.run_sync(Catches, **ME)).result is True
