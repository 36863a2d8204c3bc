"""Signals, timers and events: which resume a run, which are kept, which are void (rules 11 to 16)."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, model_validator

from conformance.support import ME, Gate, HarnessOn, StepwellOn, counts, everything, reaches
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, Event, Retry, Signal, Workflow, transition
from stepwell.errors import AlreadyAnswered, IdempotencyConflict
from stepwell.execution.clock import SystemClock

gate = Gate()
calls: list[Any] = []
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    calls.clear()


class Verdict(BaseModel):
    note: str = ""


class Review(Workflow):
    """Drafts until it is accepted."""

    @transition(target="review")
    async def draft(self) -> None:
        await gate.pass_through()

    @transition("review", "drafting", wait=True)
    async def reject(self, verdict: Verdict) -> None:
        self.state.setdefault("rejected", []).append(verdict.note)

    @transition("drafting", "review")
    async def again(self) -> None: ...

    @transition("review", "signing", wait=True)
    async def accept(self, verdict: Verdict) -> None:
        self.state["accepted"] = verdict.note

    @transition("signing", END, wait=True)
    async def sign(self, envelope: Signal[str]) -> Any:
        return {**self.state, "signed": envelope.data, "by": envelope.user_id, "from": envelope.workflow_id}


async def test_waiting_for_names_what_may_be_signalled_now(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Review]) as stepwell:
        handle = await stepwell.runner.run(Review, **ME)
        await gate.reached()
        assert (await handle.get()).waiting_for == ()
        gate.open()
        assert (await reaches(stepwell.runner, handle.workflow_id, "waiting")).waiting_for == ("reject", "accept")


async def test_the_envelope_says_who_answered(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Review]) as stepwell:
        handle = await stepwell.runner.run(Review, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "review")
        await handle.signal("accept")
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "signing")
        await stepwell.runner.signal(handle.workflow_id, "sign", "me", user_id="u1")
        expected = {"accepted": "", "signed": "me", "by": "u1", "from": handle.workflow_id}
        assert await handle.result(60) == expected


async def test_a_second_click_cant_reject_the_next_draft(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Review], embedded_worker=False) as web:
        handle = await web.runner.run(Review, **ME)
        async with stepwell_on([Review]) as worker:
            await reaches(worker.runner, handle.workflow_id, "waiting")
        await web.runner.signal(handle.workflow_id, "reject", {"note": "1"})
        with pytest.raises(AlreadyAnswered):
            await web.runner.signal(handle.workflow_id, "reject", {"note": "2"})
        async with stepwell_on([Review]) as worker:
            run = await reaches(worker.runner, handle.workflow_id, "waiting", "review", version=3)
            assert run.state == {"rejected": ["1"]}
            assert (await reaches(worker.runner, handle.workflow_id, "waiting")).version == 3
            await handle.cancel()


async def test_an_early_signal_is_kept_and_taken_oldest_first(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Review]) as stepwell:
        handle = await stepwell.runner.run(Review, **ME)
        await gate.reached()
        for note in ("1", "2"):
            run = await handle.signal("reject", {"note": note})
            assert run.status == "running"
        await handle.signal("sign", "early")
        await handle.signal("accept", {"note": "fine"})
        gate.open()
        done = await handle.result(60)
        assert (done["rejected"], done["accepted"], done["signed"]) == (["1", "2"], "fine", "early")


class SetBack(SystemClock):
    """A clock that somebody sets back."""

    back = 0

    def now(self) -> int:
        return super().now() - self.back


class Parcel(Workflow):
    @transition(target="packed")
    async def pack(self) -> None:
        await gate.pass_through()

    @transition("packed", "sent", wait=True)
    async def send(self) -> None: ...

    @transition("sent", END, on=Event("parcel shipped"))
    async def ship(self) -> None: ...


class Chat(Workflow):
    @transition(target="open")
    async def begin(self) -> None:
        self.state["heard"] = []

    @transition("open", "thinking", wait=True, keep=True)
    async def say(self, text: str) -> None:
        self.state["heard"].append(text)

    @transition("thinking", "open")
    async def think(self) -> None:
        await gate.pass_through()

    @transition("open", END, wait=True)
    async def close(self) -> Any:
        return self.state["heard"]


async def test_with_keep_no_message_is_lost(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Chat], embedded_worker=False) as web:
        handle = await web.runner.run(Chat, **ME)
        async with stepwell_on([Chat]) as worker:
            await reaches(worker.runner, handle.workflow_id, "waiting")
        for text in "abc":
            await web.runner.signal(handle.workflow_id, "say", text)
        gate.open()
        async with stepwell_on([Chat]) as worker:
            run = await reaches(worker.runner, handle.workflow_id, "waiting", "open", version=7)
            assert run.state == {"heard": ["a", "b", "c"]}
            await worker.runner.signal(handle.workflow_id, "close")
            assert await worker.runner.handle(handle.workflow_id).result(60) == ["a", "b", "c"]


async def test_a_signal_key_counts_once(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Chat]) as stepwell:
        handle = await stepwell.runner.run(Chat, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting")
        for _ in range(3):
            await handle.signal("say", "once", idempotency_key="k")
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "open", version=3)
        await handle.signal("say", "once", idempotency_key="k")
        await handle.signal("close")
        assert await handle.result(60) == ["once"]


async def test_fault_12_kept_signals_have_a_limit(stepwell_on: StepwellOn) -> None:
    from stepwell.errors import PayloadTooLarge

    async with stepwell_on([Review], max_kept_signals=3) as stepwell:
        handle = await stepwell.runner.run(Review, **ME)
        await gate.reached()
        for _ in range(3):
            await handle.signal("reject")
        before = await everything(stepwell)
        with pytest.raises(PayloadTooLarge, match=r"keeps 3 signals.*\(3\)"):
            await handle.signal("reject")
        assert await everything(stepwell) == before
        gate.open()


async def test_the_order_of_signals_is_that_of_their_arrival_whatever_the_clock_says(stepwell_on: StepwellOn) -> None:
    clock = SetBack()
    gate.open()
    async with stepwell_on([Chat], embedded_worker=False, clock=clock) as web:
        handle = await web.runner.run(Chat, **ME)
        for text in "abc":
            await handle.signal("say", text)
            clock.back += 3600 * 1_000_000
    async with stepwell_on([Chat]) as worker:
        run = await reaches(worker.runner, handle.workflow_id, "waiting", "open", version=7)
        assert run.state == {"heard": ["a", "b", "c"]}


async def test_what_a_run_waits_for_comes_through_however_much_is_kept(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Parcel], max_kept_signals=3) as stepwell:
        handle = await stepwell.runner.run(Parcel, **ME)
        await gate.reached()
        for _ in range(5):
            await stepwell.runner.emit("parcel shipped")
        assert "event 'parcel shipped' is lost for a run" in caplog.text
        gate.open()
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "packed")
        await handle.signal("send")
        await stepwell.runner.handle(handle.workflow_id).result(60)


class Talk(Workflow):
    """A transition that leads back to its place."""

    @transition(target="open")
    async def begin(self) -> None:
        self.state["heard"] = []

    @transition("open", "open", wait=True)
    async def say(self, text: str) -> None:
        self.state["heard"].append(text)
        await gate.pass_through()

    @transition("open", END, wait=True)
    async def stop(self) -> Any:
        return self.state["heard"]

    @transition("open", END, on=Event("talk.over"))
    async def over(self) -> Any:
        return [*self.state["heard"], "over"]


@pytest.mark.parametrize("ends", ["stop", "over"])
async def test_what_is_accepted_while_a_transition_leads_back_to_its_place_is_used(
    stepwell_on: StepwellOn, ends: str
) -> None:
    async with stepwell_on([Talk]) as stepwell:
        handle = await stepwell.runner.run(Talk, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting")
        await handle.signal("say", "a")
        await gate.reached()
        await handle.signal("say", "b")
        if ends == "stop":
            await handle.signal("stop")
        else:
            await stepwell.runner.emit("talk.over")
        gate.open()
        expected = ["a", "b"] if ends == "stop" else ["a", "b", "over"]
        assert await handle.result(60) == expected


class Retries(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True, retry=Retry(retries=1, delay=HOUR))
    async def answer(self, text: str) -> str:
        calls.append((text, self.info.attempt))
        if len(calls) == 1:
            raise OSError("busy")
        return text

    @transition("open", END, wait=True)
    async def stop(self) -> str:
        return "stopped"


async def test_a_signal_stays_bound_to_its_transition_through_its_retries(harness_on: HarnessOn) -> None:
    async with harness_on([Retries]) as harness:
        handle = await harness.runner.run(Retries, **ME)
        await harness.drain()
        await handle.signal("answer", "yes")
        await harness.drain()
        assert (await handle.get()).status == "retrying"
        with pytest.raises(AlreadyAnswered):
            await handle.signal("stop")
        await harness.drain()
        assert (await handle.get()).status == "retrying", "no other fires meanwhile"
        await harness.advance(HOUR)
        assert await handle.result(60) == "yes"
        assert calls == [("yes", 1), ("yes", 2)]


class Fails(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        calls.append(text)
        if len(calls) == 1:
            raise OSError("busy")
        return text

    @transition("open", END, after=HOUR)
    async def expire(self) -> str:
        return "expired"


async def test_a_failed_run_refuses_signals_and_its_timers_sleep_until_retry(harness_on: HarnessOn) -> None:
    from stepwell.errors import RunFinished

    async with harness_on([Fails]) as harness:
        handle = await harness.runner.run(Fails, **ME)
        await harness.drain()
        await handle.signal("answer", "yes")
        await harness.advance(2 * HOUR)
        run = await handle.get()
        assert (run.status, run.place, run.waiting_for) == ("failed", "open", ())
        with pytest.raises(RunFinished, match=r"failed at 'open'.*runner\.retry"):
            await handle.signal("answer", "again")
        await handle.retry()
        await harness.drain()
        assert await handle.result(60) == "yes", "the bound signal, not the timer"


class Optional(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, text: str | None) -> Any:
        return [text]


async def test_no_data_is_none_for_a_payload_that_isnt_a_model(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Optional]) as stepwell:
        parked = await stepwell.runner.run_sync(Optional, **ME)
        await stepwell.runner.signal(parked.workflow_id or "", "answer")
        assert await stepwell.runner.handle(parked.workflow_id or "").result(60) == [None]


# -- timers -----------------------------------------------------------------------------------------------------------


class Expires(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "open", wait=True)
    async def renew(self) -> None: ...

    @transition("open", "late", after=timedelta(days=2))
    async def remind(self) -> None:
        calls.append("reminded")

    @transition("late", END, after=HOUR)
    async def expire(self) -> str:
        return "expired"


async def test_timers_count_from_entering_the_place(harness_on: HarnessOn) -> None:
    async with harness_on([Expires]) as harness:
        handle = await harness.runner.run(Expires, **ME)
        await harness.drain()
        assert (await handle.get()).due_at == harness.clock.now_datetime() + timedelta(days=2)
        await harness.advance(timedelta(days=1))
        await handle.signal("renew")
        await harness.advance(timedelta(days=1, hours=23))
        assert (await handle.get()).place == "open"
        await harness.advance(HOUR)
        assert (await handle.get()).place == "late"
        await harness.advance(HOUR)
        assert await handle.result(60) == "expired"
        assert calls == ["reminded"]


async def test_the_earlier_moment_wins_between_a_signal_and_a_timer(harness_on: HarnessOn) -> None:
    async with harness_on([Fails]) as harness:
        handle = await harness.runner.run(Fails, **ME)
        await harness.advance(HOUR - timedelta(microseconds=1))
        calls.append("not the first")
        await handle.signal("answer", "in time")
        await harness.advance(HOUR)
        assert await handle.result(60) == "in time"


async def test_fault_11_a_timer_whose_place_was_left_never_fires(harness_on: HarnessOn) -> None:
    async with harness_on([Fails]) as harness:
        calls.append("not the first")
        handle = await harness.runner.run(Fails, **ME)
        await harness.drain()
        await handle.signal("answer", "yes")
        await harness.drain()
        before = await everything(harness.stepwell)
        await harness.advance(timedelta(days=3))
        assert await everything(harness.stepwell) == before
        assert (await handle.get()).due_at is None


async def test_run_timeout_ends_a_run_that_waits(harness_on: HarnessOn) -> None:
    class Bounded(Workflow, run_timeout=HOUR):
        @transition(target="open")
        async def begin(self) -> None: ...

        @transition("open", END, wait=True)
        async def answer(self) -> None: ...

    async with harness_on([Bounded]) as harness:
        handle = await harness.runner.run(Bounded, **ME)
        await harness.advance(HOUR)
        run = await handle.get()
        assert (run.status, run.error) == ("failed", "Bounded: run_timeout of 3600 s is over")


# -- events -----------------------------------------------------------------------------------------------------------


class Paid(BaseModel):
    invoice_id: str
    cents: int = 0


class Invoice(Workflow[Paid]):
    """Resumed by the payment of its own invoice only."""

    @transition(target="unpaid")
    async def send(self) -> None:
        await gate.pass_through()

    @transition("unpaid", END, on=Event("invoice.paid", match={"invoice_id": "args.invoice_id"}))
    async def pay(self, paid: Paid) -> int:
        return paid.cents


class Shipment(Workflow):
    """Learns only while it runs what it waits for."""

    @transition(target="packed")
    async def pack(self) -> None: ...

    @transition("packed", "sent", wait=True)
    async def send(self, number: str) -> None:
        self.state["tracking"] = {"number": number}

    @transition("sent", END, on=Event("delivered", match={"parcel.number": "state.tracking.number"}))
    async def arrive(self, data: dict[str, Any]) -> Any:
        return data["parcel"]


class Welcome(Workflow[Paid], on=Event("user.paid")):
    @transition(target=END)
    async def greet(self) -> str:
        return f"{self.info.user_id}:{self.args.invoice_id}"


async def test_an_event_resumes_the_runs_that_match_and_no_other(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Invoice]) as stepwell:
        first = await stepwell.runner.run_sync(Invoice, {"invoice_id": "i1"}, **ME)
        second = await stepwell.runner.run_sync(Invoice, {"invoice_id": "i2"}, **ME)
        emitted = await stepwell.runner.emit("invoice.paid", {"invoice_id": "i1", "cents": 7})
        assert (emitted.resumed, emitted.started, emitted.refused) == ((first.workflow_id,), (), ())
        assert await stepwell.runner.handle(first.workflow_id or "").result(60) == 7
        assert (await stepwell.runner.get(second.workflow_id or "")).status == "waiting"
        assert (await stepwell.runner.emit("invoice.paid", {"cents": 1})).resumed == ()


async def test_a_match_on_state_listens_from_the_checkpoint_that_sets_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Shipment]) as stepwell:
        handle = await stepwell.runner.run(Shipment, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting")
        event = {"parcel": {"number": "p1", "door": 2}}
        assert (await stepwell.runner.emit("delivered", event)).resumed == ()
        await handle.signal("send", "p1")
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "sent")
        assert (await stepwell.runner.emit("delivered", {"parcel": {"number": "p2"}})).resumed == ()
        assert (await stepwell.runner.emit("delivered", event)).resumed == (handle.workflow_id,)
        assert await handle.result(60) == {"number": "p1", "door": 2}


async def test_an_early_event_is_kept(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Invoice]) as stepwell:
        handle = await stepwell.runner.run(Invoice, {"invoice_id": "i1"}, **ME)
        await gate.reached()
        assert (await stepwell.runner.emit("invoice.paid", Paid(invoice_id="i1", cents=9))).resumed
        gate.open()
        assert await handle.result(60) == 9


async def test_an_event_starts_a_run_for_its_user_or_the_system(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Welcome]) as stepwell:
        for user, expected in ((None, "system"), ("u7", "u7")):
            emitted = await stepwell.runner.emit("user.paid", {"invoice_id": "i1"}, user_id=user)
            [run_id] = emitted.started
            assert await stepwell.runner.handle(run_id).result(60) == f"{expected}:i1"


async def test_an_event_id_counts_once(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Invoice, Welcome]) as stepwell:
        parked = await stepwell.runner.run_sync(Invoice, {"invoice_id": "i1"}, **ME)
        for name in ("user.paid", "invoice.paid"):
            first = await stepwell.runner.emit(name, {"invoice_id": "i1"}, event_id=f"e:{name}")
            again = await stepwell.runner.emit(name, {"invoice_id": "i1"}, event_id=f"e:{name}")
            assert first.started == again.started
        await stepwell.runner.handle(parked.workflow_id or "").result(60)
        assert len((await stepwell.runner.list(workflow=Welcome)).items) == 1
        assert (await counts(stepwell))["stepwell_signals"] == 1


async def test_data_that_misfits_is_listed_as_refused_and_the_others_hear_it(stepwell_on: StepwellOn) -> None:
    class Loose(Workflow[dict[str, Any]], on=Event("user.paid")):
        @transition(target=END)
        async def go(self) -> None: ...

    async with stepwell_on([Welcome, Loose]) as stepwell:
        emitted = await stepwell.runner.emit("user.paid", {"invoice": "i1"})
        assert len(emitted.started) == 1
        [refused] = emitted.refused
        assert (refused.app_name, refused.workflow_name, refused.transition) == ("shop", "welcome", None)
        assert "invoice_id: Field required" in refused.reason


async def test_an_event_of_a_user_reaches_that_users_runs_only(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Invoice]) as stepwell:
        await stepwell.runner.run_sync(Invoice, {"invoice_id": "i1"}, **ME)
        other = await stepwell.runner.run_sync(Invoice, {"invoice_id": "i1"}, app_name="shop", user_id="u2")
        emitted = await stepwell.runner.as_user("u2").emit("invoice.paid", {"invoice_id": "i1"})
        assert emitted.resumed == (other.workflow_id,)


class Emitter(Workflow[Verdict]):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0)))
    async def go(self) -> None:
        await self.emit("user.paid", {"invoice_id": "i1"})
        if self.args.note == "fails" or self.info.attempt == 1:
            raise OSError


@pytest.mark.parametrize(("note", "started"), [("", 1), ("fails", 0)])
async def test_fault_04_an_event_of_a_method_exists_with_its_checkpoint_only(
    stepwell_on: StepwellOn, note: str, started: int
) -> None:
    async with stepwell_on([Emitter, Welcome]) as stepwell:
        await stepwell.runner.run_sync(Emitter, {"note": note}, **ME)
        runs = (await stepwell.runner.list(workflow=Welcome)).items
        assert len(runs) == started
        for run in runs:
            assert await stepwell.runner.handle(run.workflow_id).result(60) == "u1:i1"


validated_in: set[str] = set()


class Noted(BaseModel):
    """Its validator notes in which thread it runs."""

    @model_validator(mode="after")
    def noted(self) -> Noted:
        validated_in.add(threading.current_thread().name)
        return self


class Validated(Workflow):
    @transition(target="open")
    async def go(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, noted: Noted) -> None: ...


async def test_validators_never_run_in_the_thread_that_writes_for_everybody(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Validated]) as stepwell:
        parked = await stepwell.runner.run_sync(Validated, **ME)
        validated_in.clear()
        await stepwell.runner.signal(parked.workflow_id or "", "answer", {})
        await stepwell.runner.handle(parked.workflow_id or "").result(60)
        assert validated_in == {threading.current_thread().name}


@pytest.mark.parametrize("name", ["user.paid", "invoice.paid"])
async def test_an_event_id_with_other_data_is_a_conflict_and_reaches_nobody(stepwell_on: StepwellOn, name: str) -> None:
    gate.open()
    async with stepwell_on([Invoice, Welcome], embedded_worker=False) as stepwell:
        parked = await stepwell.runner.run_sync(Invoice, {"invoice_id": "i1"}, **ME)
        await stepwell.runner.emit(name, {"invoice_id": "i1", "cents": 1}, event_id="e")
        before = await everything(stepwell)
        with pytest.raises(IdempotencyConflict):
            await stepwell.runner.emit(name, {"invoice_id": "i1", "cents": 2}, event_id="e")
        assert await everything(stepwell) == before
        assert (await stepwell.runner.get(parked.workflow_id or "")).place == "unpaid"
