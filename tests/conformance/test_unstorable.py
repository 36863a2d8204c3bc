"""What can't be stored or settled is a failure of its transition, never of the process: no run is executed for ever."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from conformance.support import ME, StepwellOn, reaches, until
from stepwell import END, Message, Retry, RetryAfter, Workflow, transition
from stepwell.engine.commit import Commit
from stepwell.engine.run import RunRow
from stepwell.errors import StoreUnavailable
from stepwell.execution.durable import Durable

calls: list[str] = []
broken: set[str] = set()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    broken.clear()


class Case(BaseModel):
    case: str = ""


class Unstorable(Workflow[Case]):
    @transition(target="more", retry=Retry(retries=1, on=(ZeroDivisionError,)), error_place="more")
    async def go(self) -> None:
        calls.append("go")
        match self.args.case:
            case "surrogate in a key":
                await self.documents.save(Message(role="user", text="x"), key="\udcff")
            case "NUL in a key":
                await self.documents.save(Message(role="user", text="x"), key="\0")
            case "no text for a key":
                await self.documents.save(Message(role="user", text="x"), key=7)  # type: ignore[arg-type]
            case "surrogate in a label":
                await self.start(Unstorable, label="\udcff")
            case "closed connection":
                async with self.transaction() as connection:
                    await connection.close()
            case "invalid connection":
                async with self.transaction() as connection:
                    await connection.invalidate()

    @transition("more", END)
    async def end(self) -> None: ...


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("surrogate in a key", r"InvalidPayload: The key of document 'message' is '\udcff'"),
        ("NUL in a key", r"InvalidPayload: The key of document 'message' is '\x00'"),
        ("no text for a key", "InvalidPayload: The key of document 'message' is 7"),
        ("surrogate in a label", r"InvalidPayload: self.start(label='\udcff')"),
        ("closed connection", "leave out connection.close()"),
        ("invalid connection", "Unstorable.go: "),
    ],
)
async def test_what_a_method_asks_for_in_vain_is_a_failed_attempt(
    stepwell_on: StepwellOn, case: str, text: str
) -> None:
    async with stepwell_on([Unstorable]) as stepwell:
        handle = await stepwell.runner.run(Unstorable, {"case": case}, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "completed")
        rows = await stepwell.runner.history(handle.workflow_id)
        assert [row.status for row in rows] == ["committed", "failed", "committed"]
        assert text in (rows[1].error or "")
        assert calls == ["go"]


async def test_a_checkpoint_that_breaks_is_a_failed_attempt(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = Durable.commit

    async def commit(self: Durable, given: Commit) -> RunRow:
        if given.history is not None and given.history.transition == "go" and given.history.status == "committed":
            raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")
        return await stored(self, given)

    monkeypatch.setattr(Durable, "commit", commit)
    async with stepwell_on([Unstorable]) as stepwell:
        handle = await stepwell.runner.run(Unstorable, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "completed")
        rows = await stepwell.runner.history(handle.workflow_id)
        assert "UnicodeEncodeError" in (rows[1].error or "")
        assert (rows[1].status, rows[1].target, calls) == ("failed", "more", ["go"])


class Unsettled(Workflow):
    @transition(target=END, retry=Retry(retries=3))
    async def go(self) -> None:
        calls.append("go")
        raise ValueError("no")


async def test_a_failure_that_cant_be_settled_fails_the_run(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allows(self: Retry, error: BaseException) -> bool:
        raise TypeError("a fault of the engine's")

    monkeypatch.setattr(Retry, "allows", allows)
    async with stepwell_on([Unsettled]) as stepwell:
        handle = await stepwell.runner.run(Unsettled, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "failed")
        assert run.error == "Unsettled.go: its failure can't be settled: TypeError"
        assert calls == ["go"]


class Far(Workflow[Case]):
    @transition(target=END, retry=Retry(retries=3))
    async def go(self) -> None:
        raise RetryAfter(timedelta(days=int(self.args.case)), "later")


class Timer(Workflow):
    @transition(target="wait")
    async def go(self) -> None: ...

    @transition("wait", END, after=timedelta.max)
    async def wake(self) -> None: ...


async def test_no_delay_is_longer_than_a_century(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Far, Timer]) as stepwell:
        for days in ("3000000", "200000000", "999999999"):
            handle = await stepwell.runner.run(Far, {"case": days}, **ME)
            await reaches(stepwell.runner, handle.workflow_id, "retrying")
        handle = await stepwell.runner.run(Timer, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting")
        listed = (await stepwell.runner.list()).items
        assert len(listed) == 4
        for run in listed:
            assert run.due_at is not None
            assert run.due_at - run.updated_at == timedelta(days=36_525)


class Checked(BaseModel):
    n: int = 0

    @field_validator("n")
    @classmethod
    def _check(cls, n: int) -> int:
        if "state" in broken:
            raise KeyError("a validator with a fault")
        return n


class Deployed(Workflow[None, Checked]):
    @transition(target="open")
    async def begin(self) -> None:
        self.state.n = 1

    @transition("open", END, wait=True)
    async def close(self) -> None:
        calls.append("close")


async def test_a_validator_that_raises_anything_leaves_the_run_as_it_is(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Deployed]) as stepwell:
        parked = await stepwell.runner.run_sync(Deployed, **ME)
        run_id = parked.workflow_id or ""
        broken.add("state")
        await stepwell.runner.signal(run_id, "close")

        async def told() -> bool:
            return "The code can't read its state: KeyError" in str(await stepwell.runner.explain(run_id))

        await until(told)
        run = await stepwell.runner.get(run_id)
        assert (run.version, calls) == (1, [])


def exits(workflow: Any) -> bool:
    calls.append("exits")
    sys.exit(3)


def cancels(workflow: Any) -> bool:
    calls.append("cancels")
    raise asyncio.CancelledError


class Guarded(Workflow):
    @transition(target="next", when=exits, error_place="next")
    async def leave(self) -> None: ...

    @transition("next", "last", when=cancels, error_place="last")
    async def swallow(self) -> None: ...

    @transition("last", END)
    async def end(self) -> None: ...


async def test_a_guard_that_exits_or_cancels_is_a_failed_attempt(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Guarded]) as stepwell:
        handle = await stepwell.runner.run(Guarded, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "completed")
        rows = await stepwell.runner.history(handle.workflow_id)
        assert [row.status for row in rows] == ["committed", "failed", "failed", "committed"]
        assert "Guarded.leave: SystemExit: 3" in (rows[1].error or "")
        assert "cancelled from within" in (rows[2].error or "")
        assert calls == ["exits", "cancels"]


class Detour(Workflow):
    @transition(target="work")
    async def begin(self) -> None: ...

    @transition("work", END, retry=Retry(retries=1, delay=timedelta(0)), retry_target="repair")
    async def work(self) -> None:
        await self.step("once", journaled)
        if "repair" not in calls:
            raise ValueError("no")

    @transition("repair", "work")
    async def mend(self) -> None:
        calls.append("repair")


async def journaled() -> int:
    calls.append("step")
    return 1


async def test_a_journal_that_cant_be_read_after_a_commit_is_waited_for(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Durable.journal

    async def journal(self: Durable, run_id: str) -> Any:
        calls.append("journal")
        if calls.count("journal") < 3:
            raise StoreUnavailable("The database can't be read.")
        return await read(self, run_id)

    monkeypatch.setattr(Durable, "journal", journal)
    async with stepwell_on([Detour]) as stepwell:
        handle = await stepwell.runner.run(Detour, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "completed")
        assert calls == ["step", "repair", "journal", "journal", "journal"]
