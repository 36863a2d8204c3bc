"""What a method's end makes of the run: state, result, failures, retries (rules 4 to 8)."""

from __future__ import annotations

import itertools
import logging
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from conformance.support import ME, HarnessOn, StepwellOn, reaches
from stepwell import END, Message, NonRetryable, Retry, RetryAfter, StepwellError, Workflow, transition
from stepwell.errors import RunFailed

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


class Lines(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    count: int = 0
    tags: list[str] = []
    by_alias: str = Field(default="", alias="byAlias")


class What(BaseModel):
    case: str = ""
    items: list[int] = [1]


class Ends(Workflow[What, Lines, int]):
    """Its first method does what its args name."""

    @transition(target="second")
    async def first(self) -> Any:
        self.state.count = 1
        self.state.by_alias = "kept"
        match self.args.case:
            case "wrong type":
                self.state.count = "many"  # type: ignore[assignment]
            case "wrong inside a list":
                self.state.tags.append(7)  # type: ignore[arg-type]
            case "another type":
                self.state = What()  # type: ignore[assignment]
            case "not JSON":
                self.state.tags = [object()]  # type: ignore[list-item]
            case "too large":
                self.state.tags = ["x" * 3000]
            case "returns":
                return 7
            case "wrong result":
                self.result = "seven"  # type: ignore[assignment]
            case "args":
                self.args.items.append(2)
            case "replaced":
                self.state = Lines(count=5)
        return None

    @transition("second", END)
    async def second(self) -> int | None:
        if self.args.case == "wrong result at the end":
            return "seven"  # type: ignore[return-value]
        if self.args.case == "wrong result":
            return None
        if self.args.case in ("none", "args"):
            return None if self.args.case == "none" else len(self.args.items)
        return self.state.count


@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("wrong type", r"^Ends\.first: TransitionFailed: the state doesn't fit its type: count: .*'many'"),
        ("wrong inside a list", r"^Ends\.first: TransitionFailed: .*tags\.0: .*7"),
        ("another type", r"^Ends\.first: "),
        ("not JSON", r"^Ends\.first: "),
        ("too large", r"^Ends\.first: PayloadTooLarge: The state of Ends would take 3,\d\d\d bytes.*2,000"),
        ("returns", r"^Ends\.first: TransitionFailed: it returned int, but only a transition into END"),
    ],
)
async def test_a_state_or_return_value_that_cant_be_is_a_failed_attempt_and_never_stored(
    stepwell_on: StepwellOn, case: str, text: str, stateless: bool
) -> None:
    import re

    async with stepwell_on([Ends], max_state_bytes=2000) as stepwell:
        done = await stepwell.runner.run_sync(Ends, {"case": case}, **ME, stateless=stateless)
        assert (done.status, done.place) == ("failed", "start")
        assert re.search(text, done.error or ""), done.error
        assert done.state == {"count": 0, "tags": [], "byAlias": ""}
        if done.workflow_id:
            assert [row.state for row in await stepwell.runner.history(done.workflow_id)] == [done.state, done.state]


@pytest.mark.parametrize("case", ["wrong result", "wrong result at the end"])
async def test_a_result_that_misfits_fails_the_transition_into_end(stepwell_on: StepwellOn, case: str) -> None:
    async with stepwell_on([Ends]) as stepwell:
        done = await stepwell.runner.run_sync(Ends, {"case": case}, **ME)
        assert (done.status, done.place) == ("failed", "second")
        assert (done.error or "").startswith("Ends.second: TransitionFailed: the result doesn't fit its type: ")


async def test_none_is_always_a_result(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ends]) as stepwell:
        done = await stepwell.runner.run_sync(Ends, {"case": "none"}, **ME)
        assert (done.status, done.result) == ("completed", None)
        assert await stepwell.runner.handle(done.workflow_id or "").result(60) is None


async def test_a_state_may_be_replaced_as_a_whole(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ends]) as stepwell:
        done = await stepwell.runner.run_sync(Ends, {"case": "replaced"}, **ME)
        assert (done.result, done.state["count"]) == (5, 5)


async def test_states_are_stored_by_alias_and_round_trip(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ends]) as stepwell:
        done = await stepwell.runner.run_sync(Ends, **ME)
        assert done.state == {"count": 1, "tags": [], "byAlias": "kept"}


async def test_changes_to_args_are_not_kept(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ends]) as stepwell:
        done = await stepwell.runner.run_sync(Ends, {"case": "args"}, **ME)
        assert done.result == 1


class Drops(Workflow[None, Lines]):
    """Fails once after it has changed everything that it can change."""

    @transition(target="second", retry=Retry(retries=1, delay=timedelta(0)))
    async def first(self) -> None:
        calls.append((self.info.attempt, self.state.count, self.result, len(await self.documents.find(Message))))
        self.state.count += 1
        self.result = "changed"
        await self.documents.save(Message(role="app", text=f"try {self.info.attempt}"))
        if self.info.attempt == 1:
            raise ValueError("first try")

    @transition("second", END)
    async def second(self) -> None: ...


async def test_what_a_failed_attempt_changed_is_dropped(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Drops]) as stepwell:
        done = await stepwell.runner.run_sync(Drops, **ME)
        assert calls == [(1, 0, None, 0), (2, 0, None, 0)]
        assert (done.status, done.state["count"], done.result) == ("completed", 1, "changed")
        assert [one.content.get("text") or one.name for one in done.documents] == ["error", "try 2"]


# -- failures leave a trace -------------------------------------------------------------------------------------------


class Flaky(Workflow[What]):
    """Fails as often as its args say; the idempotency key stays the same."""

    @transition(target="shaky")
    async def begin(self) -> None: ...

    @transition("shaky", END, retry=Retry(retries=2, delay=timedelta(seconds=1)))
    async def shake(self) -> str:
        calls.append((self.info.attempt, self.info.idempotency_key))
        if len(calls) <= self.args.items[0]:
            raise ConnectionError(f"down {len(calls)}")
        return "up"


async def test_fault_17_each_failed_attempt_has_a_history_row_and_one_error_document(harness_on: HarnessOn) -> None:
    async with harness_on([Flaky]) as harness:
        handle = await harness.runner.run(Flaky, {"items": [2]}, **ME)
        await harness.drain()
        await harness.advance(timedelta(seconds=10))
        assert await handle.result(60) == "up"
        rows = await harness.runner.history(handle.workflow_id)
        assert [(row.version, row.transition, row.status, row.attempt, row.target) for row in rows] == [
            (0, None, "committed", 0, None),
            (1, "begin", "committed", 1, "shaky"),
            (2, "shake", "failed", 1, None),
            (3, "shake", "failed", 2, None),
            (4, "shake", "committed", 3, END),
        ]
        assert [row.error for row in rows[2:4]] == [
            "Flaky.shake: ConnectionError: down 1",
            "Flaky.shake: ConnectionError: down 2",
        ]
        assert "in shake" in (rows[2].trace or "")
        errors = [one.content for one in await harness.runner.documents(handle.workflow_id) if one.name == "error"]
        assert errors == [
            {"message": rows[n + 1].error, "transition": "shake", "attempt": n, "type": "ConnectionError"}
            for n in (1, 2)
        ]
        assert (await handle.get()).error is None, "a committed transition clears the error"
        assert {key for _, key in calls} == {calls[0][1]}
        assert [attempt for attempt, _ in calls] == [1, 2, 3]


async def test_retries_wait_and_show_when_they_are_due(harness_on: HarnessOn) -> None:
    async with harness_on([Flaky]) as harness:
        handle = await harness.runner.run(Flaky, {"items": [9]}, **ME)
        waits = []
        for _ in range(2):
            await harness.drain()
            run = await handle.get()
            assert (run.status, run.place, run.error) == (
                "retrying",
                "shaky",
                f"Flaky.shake: ConnectionError: down {len(calls)}",
            )
            assert run.due_at is not None
            waits.append((run.due_at - harness.clock.now_datetime()).total_seconds())
            before = len(calls)
            await harness.advance(timedelta(seconds=waits[-1]) - timedelta(microseconds=1))
            assert len(calls) == before
            await harness.advance(timedelta(microseconds=1))
            assert len(calls) == before + 1
        assert waits == [1.0, 2.0]
        run = await handle.get()
        assert (run.status, run.place, run.attempt, run.version) == ("failed", "shaky", 3, 4)
        with pytest.raises(RunFailed, match=r"Flaky\.shake: ConnectionError: down 3") as caught:
            await handle.result(60)
        assert caught.value.status == "failed"


async def test_a_manual_retry_refills_the_budget_and_attempts_count_on(harness_on: HarnessOn) -> None:
    async with harness_on([Flaky]) as harness:
        handle = await harness.runner.run(Flaky, {"items": [5]}, **ME)
        await harness.advance(timedelta(minutes=1))
        assert (await handle.get()).status == "failed"
        again = await handle.retry()
        assert again.status == "retrying"
        await harness.drain()
        assert (await handle.get()).status == "retrying", "the budget was refilled"
        await harness.advance(timedelta(minutes=1))
        assert await handle.result(60) == "up"
        assert [attempt for attempt, _ in calls] == [1, 2, 3, 4, 5, 6]


async def test_a_manual_retry_doesnt_wait_for_the_delay(harness_on: HarnessOn) -> None:
    async with harness_on([Flaky]) as harness:
        handle = await harness.runner.run(Flaky, {"items": [1]}, **ME)
        await harness.drain()
        assert (await handle.get()).status == "retrying"
        await handle.retry()
        await harness.drain()
        assert await handle.result(60) == "up"


class Picky(Workflow[What]):
    """Says with its error what is to become of it."""

    @transition(
        target=END,
        retry=Retry(retries=3, delay=timedelta(seconds=1), on=(OSError, KeyError), give_up_on=(PermissionError,)),
    )
    async def go(self) -> None:
        calls.append(self.info.attempt)
        raise {
            "not covered": ValueError("v"),
            "given up": PermissionError("p"),
            "NonRetryable": NonRetryable("n"),
            "covered": FileNotFoundError("f"),
        }[self.args.case]


@pytest.mark.parametrize(
    ("case", "tries"), [("not covered", 1), ("given up", 1), ("NonRetryable", 1), ("covered", 4)], ids=str
)
async def test_only_errors_worth_a_retry_are_retried(harness_on: HarnessOn, case: str, tries: int) -> None:
    async with harness_on([Picky]) as harness:
        handle = await harness.runner.run(Picky, {"case": case}, **ME)
        await harness.advance(timedelta(minutes=5))
        assert (await handle.get()).status == "failed"
        assert calls == list(range(1, tries + 1))


class Limited(Workflow):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(hours=5), on=(KeyError,)))
    async def go(self) -> str:
        calls.append(self.info.attempt)
        if len(calls) == 1:
            raise RetryAfter(timedelta(seconds=7))
        return "served"


async def test_retry_after_sets_the_next_delay(harness_on: HarnessOn) -> None:
    async with harness_on([Limited]) as harness:
        handle = await harness.runner.run(Limited, **ME)
        await harness.advance(timedelta(seconds=6.9))
        assert calls == [1]
        await harness.advance(timedelta(seconds=0.1))
        assert await handle.result(60) == "served"


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (Retry(retries=4, delay=timedelta(seconds=1)), [1, 2, 4, 8]),
        (Retry(retries=4, delay=timedelta(seconds=1), max_delay=timedelta(seconds=3)), [1, 2, 3, 3]),
        (Retry(retries=3, delay=timedelta(seconds=2), backoff="fixed"), [2, 2, 2]),
        (Retry(retries=0), []),
    ],
    ids=["exponential", "capped", "fixed", "none"],
)
async def test_delays_follow_the_policy(harness_on: HarnessOn, retry: Retry, waits: list[int]) -> None:
    class Failing(Workflow):
        @transition(target=END, retry=retry)
        async def go(self) -> None:
            raise OSError("down")

    async with harness_on([Failing]) as harness:
        handle = await harness.runner.run(Failing, **ME)
        await harness.advance(timedelta(minutes=10))
        rows = [row for row in await harness.runner.history(handle.workflow_id) if row.status == "failed"]
        gaps = [(later.started_at - earlier.finished_at).total_seconds() for earlier, later in itertools.pairwise(rows)]
        assert gaps == waits


async def test_jitter_takes_away_at_most_its_share(harness_on: HarnessOn) -> None:
    class Failing(Workflow):
        @transition(target=END, retry=Retry(retries=20, delay=timedelta(seconds=10), backoff="fixed", jitter=0.5))
        async def go(self) -> None:
            raise OSError("down")

    async with harness_on([Failing]) as harness:
        handle = await harness.runner.run(Failing, **ME)
        await harness.advance(timedelta(minutes=10))
        rows = [row for row in await harness.runner.history(handle.workflow_id) if row.status == "failed"]
        gaps = [(b.started_at - a.finished_at).total_seconds() for a, b in itertools.pairwise(rows)]
        assert all(5 <= gap <= 10 for gap in gaps)
        assert len(set(gaps)) > 5


# -- elsewhere --------------------------------------------------------------------------------------------------------


class Rerouted(Workflow[What]):
    """`pay` goes to `refused` when its retries are used up."""

    @transition(target="paying")
    async def begin(self) -> None: ...

    @transition("paying", END, retry=Retry(retries=1, delay=timedelta(0)), error_place="refused")
    async def pay(self) -> None:
        calls.append(self.info.attempt)
        raise OSError("declined")

    @transition("refused", END, wait=True)
    async def settle(self) -> str:
        return "settled"


async def test_error_place_takes_the_run_when_the_budget_is_used_up(harness_on: HarnessOn) -> None:
    async with harness_on([Rerouted]) as harness:
        handle = await harness.runner.run(Rerouted, **ME)
        await harness.drain()
        run = await handle.get()
        assert (run.status, run.place, run.attempt) == ("waiting", "refused", 0)
        assert run.error == "Rerouted.pay: OSError: declined", "it stays over the move"
        assert calls == [1, 2]
        rows = await harness.runner.history(handle.workflow_id)
        assert [(row.status, row.target) for row in rows[2:]] == [("failed", None), ("failed", "refused")]
        await handle.signal("settle")
        assert await handle.result(60) == "settled"
        assert (await handle.get()).error is None, "the next committed transition clears it"


class Detour(Workflow):
    """`pay` fails twice; each retry goes by way of `mending`, which asks for a new card."""

    @transition(target="paying")
    async def begin(self) -> None: ...

    @transition(
        "paying", END, retry=Retry(retries=2, delay=timedelta(seconds=5), backoff="fixed"), retry_target="mending"
    )
    async def pay(self) -> str:
        calls.append(("pay", self.info.attempt, self.info.idempotency_key))
        await self.step("reserve", reserve)
        if len([call for call in calls if call[0] == "pay"]) < 3:
            raise OSError("declined")
        return "paid"

    @transition("mending", "paying")
    async def mend(self) -> None:
        calls.append(("mend", self.info.attempt, self.info.idempotency_key))


async def reserve() -> int:
    calls.append(("reserve",))
    return 1


async def test_retry_target_is_a_detour_after_the_delay_and_the_origins_visit_goes_on(harness_on: HarnessOn) -> None:
    async with harness_on([Detour]) as harness:
        handle = await harness.runner.run(Detour, **ME)
        await harness.drain()
        run = await handle.get()
        assert (run.status, run.place) == ("retrying", "paying"), "the delay is waited first, at the origin"
        await harness.advance(timedelta(minutes=1))
        assert await handle.result(60) == "paid"
        assert [call[0] for call in calls] == ["pay", "reserve", "mend", "pay", "mend", "pay"]
        assert [call[1] for call in calls if call[0] == "pay"] == [1, 2, 3]
        assert len({call[2] for call in calls if call[0] == "pay"}) == 1
        rows = await harness.runner.history(handle.workflow_id)
        assert [(row.transition, row.status, row.target) for row in rows[2:]] == [
            ("pay", "failed", None),
            ("mend", "committed", "paying"),
            ("pay", "failed", None),
            ("mend", "committed", "paying"),
            ("pay", "committed", END),
        ]


async def test_a_retry_budget_outlives_its_detours(harness_on: HarnessOn) -> None:
    class Endless(Workflow):
        @transition(target=END, retry=Retry(retries=2, delay=timedelta(0)), retry_target="mending")
        async def pay(self) -> None:
            calls.append("pay")
            raise OSError("declined")

        @transition("mending", "start")
        async def mend(self) -> None:
            calls.append("mend")

    async with harness_on([Endless]) as harness:
        handle = await harness.runner.run(Endless, **ME)
        await harness.advance(timedelta(minutes=1))
        run = await handle.get()
        assert (run.status, run.place) == ("failed", "start")
        assert calls == ["pay", "mend", "pay", "mend", "pay"]


# -- what is where ----------------------------------------------------------------------------------------------------


class Waits(Workflow):
    """Sets a result and a state before it waits."""

    @transition(target="open")
    async def begin(self) -> None:
        self.result = {"draft": 1}
        self.state["seen"] = ["a"]

    @transition("open", "open", wait=True)
    async def more(self) -> None:
        self.state["seen"].append("b")

    @transition("open", END, wait=True)
    async def finish(self) -> None:
        calls.append((self.result, self.state))


async def test_fault_06_result_and_state_from_before_a_wait_are_there_after_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Waits]) as stepwell:
        parked = await stepwell.runner.run_sync(Waits, **ME)
        assert (parked.result, parked.state) == ({"draft": 1}, {"seen": ["a"]})
        run_id = parked.workflow_id or ""
    async with stepwell_on([Waits]) as stepwell:
        await stepwell.runner.signal(run_id, "more")
        await reaches(stepwell.runner, run_id, "waiting", version=2)
        await stepwell.runner.signal(run_id, "finish")
        assert await stepwell.runner.handle(run_id).result(60) == {"draft": 1}
        assert calls == [({"draft": 1}, {"seen": ["a", "b"]})]


class Says(Workflow):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0)))
    async def speak(self) -> None:
        self.log.info("order %s", "A1")
        if self.info.attempt == 1:
            raise OSError


async def test_log_lines_carry_the_run_the_transition_and_the_attempt(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="stepwell")
    async with stepwell_on([Says]) as stepwell:
        done = await stepwell.runner.run_sync(Says, **ME)
    records = [record for record in caplog.records if "order A1" in record.getMessage()]
    assert [record.attempt for record in records] == [1, 2]  # type: ignore[attr-defined]
    for record in records:
        assert record.workflow_id == done.workflow_id  # type: ignore[attr-defined]
        assert record.transition == "speak"  # type: ignore[attr-defined]
        assert str(done.workflow_id) in record.getMessage()
        assert "speak" in record.getMessage()


class Knows(Workflow):
    @transition(target=END)
    def tell(self) -> Any:
        info = self.info
        return {name: getattr(info, name) for name in info.__slots__} | {"labels": list(info.labels)}


async def test_info_says_where_and_for_whom(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Knows]) as stepwell:
        handle = await stepwell.runner.run(Knows, **ME, labels=["a"])
        info = await handle.result(60)
        run = await handle.get()
        assert info.pop("idempotency_key")
        assert info == {
            "workflow_id": run.workflow_id,
            "workspace_id": run.workspace_id,
            "app_name": "shop",
            "user_id": "u1",
            "place": "start",
            "transition": "tell",
            "attempt": 1,
            "labels": ["a"],
        }
        pure = await stepwell.runner.run_sync(Knows, **ME, stateless=True)
        assert pure.result["workflow_id"] == ""


def test_a_workflow_outside_of_a_run_says_how_to_run_it() -> None:
    with pytest.raises(StepwellError, match=r"self\.args works only while.*runner\.run"):
        _ = Flaky().args
