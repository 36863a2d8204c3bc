"""What a run keeps costs nobody anything: a claim reads the oldest of many signals, and the data of the chosen one only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, Gate, StepwellOn, buried, die, until
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, Retry, Signal, Stepwell, Workflow, transition
from stepwell.engine.run import RunRow, SignalRow
from stepwell.errors import StoreUnavailable
from stepwell.execution.durable import Durable
from stepwell.queue import claims
from stepwell.store import inbox, runs
from stepwell.store.inbox import Seen
from stepwell.store.tx import Tx

gate = Gate()
calls: list[Any] = []
LARGE = 100_000
MOST = 300_000
"""Bytes that a claim of one run may read of an inbox, whatever is in it."""


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    calls.clear()


class Reads:
    """What is read of inboxes: the bytes of each claim, and the signals of all claims and passes."""

    def __init__(self) -> None:
        self.claims: list[int] = []
        self.signals = 0
        self._claiming = False

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        rows, claimed, seen = Tx.rows, claims.with_inboxes, inbox.seen

        def counted(tx: Tx, sql: str, *parameters: Any) -> Sequence[Any]:
            found = rows(tx, sql, *parameters)
            if self._claiming:
                self.claims[-1] += sum(len(cell) for row in found for cell in row if isinstance(cell, str))
            return found

        def claim(tx: Tx, found: Sequence[RunRow]) -> Any:
            self._claiming = True
            self.claims.append(0)
            try:
                return claimed(tx, found)
            finally:
                self._claiming = False

        def look(tx: Tx, found: Sequence[RunRow]) -> dict[str, Seen]:
            answer = seen(tx, found)
            self.signals += sum(len(one.inbox) for one in answer.values())
            return answer

        patch.setattr(Tx, "rows", counted)
        patch.setattr(claims, "with_inboxes", claim)
        patch.setattr(inbox, "seen", look)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    found = Reads()
    found.watch(monkeypatch)
    return found


class Talk(Workflow):
    """Takes what was said once it may go on."""

    @transition(target="held")
    async def begin(self) -> None:
        self.state["taken"] = 0

    @transition("held", "open", wait=True)
    async def go(self, number: int) -> None:
        self.state["number"] = number

    @transition("open", "open", wait=True, keep=True, retry=Retry(retries=3, delay=timedelta(milliseconds=1)))
    async def say(self, text: str) -> None:
        calls.append(text)
        self.state["taken"] += 1
        if text.startswith("twice") and self.info.attempt == 1:
            raise RuntimeError("not yet")
        if text.startswith("gate"):
            await gate.pass_through()

    @transition("open", "open", wait=True, keep=True)
    async def note(self, text: str) -> None:
        calls.append(text)
        self.state["taken"] += 1

    def enough(self) -> bool:
        return bool(self.state["taken"] >= self.state["number"])

    @transition("open", END, when=enough)
    async def close(self) -> None: ...


def large(n: int) -> str:
    return f"{n} ".ljust(LARGE, "x")


async def held(stepwell: Stepwell) -> str:
    parked = await stepwell.runner.run_sync(Talk, **ME)
    return parked.workflow_id or ""


async def test_a_claim_reads_little_however_much_is_kept(stepwell_on: StepwellOn, reads: Reads) -> None:
    async with stepwell_on([Talk]) as stepwell:
        talk = await held(stepwell)
        for n in range(150):
            await stepwell.runner.signal(talk, "say", large(n))  # each wakes the run, which can't take it
        assert "Signals kept for later (150): say." in (await stepwell.runner.explain(talk)).reasons
        await stepwell.runner.signal(talk, "go", 150)
        await stepwell.runner.handle(talk).result(60)
    assert calls == [large(n) for n in range(150)]
    assert 0 < max(reads.claims) < MOST
    assert reads.signals < 40 * len(reads.claims) + 4 * 150


async def test_signals_are_taken_in_the_order_in_which_they_were_accepted(stepwell_on: StepwellOn) -> None:
    # Blocks of one name that are longer than what is read of them at once, so that the next of the other is far away.
    sent = [(name, f"{name} {n}") for n, name in enumerate(["say"] * 40 + ["note"] * 40 + ["say"] * 35 + ["note"] * 35)]
    async with stepwell_on([Talk]) as stepwell:
        talk = await held(stepwell)
        for name, text in sent:
            await stepwell.runner.signal(talk, name, text)
        await stepwell.runner.signal(talk, "go", len(sent))
        await stepwell.runner.handle(talk).result(60)
    assert calls == [text for _, text in sent]


async def test_a_large_signal_that_is_tried_again_comes_again_and_the_others_after_it(stepwell_on: StepwellOn) -> None:
    sent = ["twice".ljust(LARGE, str(n % 10)) if n in (0, 29, 30) else f"{n}" for n in range(60)]
    async with stepwell_on([Talk]) as stepwell:
        talk = await held(stepwell)
        for text in sent:
            await stepwell.runner.signal(talk, "say", text)
        await stepwell.runner.signal(talk, "go", len(sent))
        await stepwell.runner.handle(talk).result(60)
    assert calls == [text for text in sent for _ in range(2 if text.startswith("twice") else 1)]


async def test_what_is_read_of_an_inbox_has_the_oldest_of_each_name(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Talk], embedded_worker=False) as web:
        async with stepwell_on([Talk]) as worker:
            talk = await held(worker)
        for n in range(45):
            await web.runner.signal(talk, "say", f"{n}", user_id="u1")
        await web.runner.signal(talk, "note", "last", user_id="u1")
        await web.runner.signal(talk, "go", 1, user_id="u1")
        assert web.process is not None

        def look(tx: Tx) -> tuple[Seen, Sequence[SignalRow]]:
            run = runs.load_one(tx, talk)
            assert run is not None
            return inbox.seen(tx, [run])[talk], inbox.outline(tx, talk)

        seen, all_of_them = await web.process.store.read(look)
    assert seen.more
    assert [signal.data for signal in seen.inbox] == [*(f'"{n}"' for n in range(30)), '"last"', "1"]
    assert [signal.name for signal in all_of_them] == ["say"] * 45 + ["note", "go"]
    assert all(signal.unread for signal in all_of_them)


async def test_a_signal_that_is_deleted_before_its_data_is_read(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gone = Durable.signal, []

    async def signal(self: Durable, signal_id: str) -> SignalRow | None:
        if not gone:
            gone.append(signal_id)
            await stepwell.process.store.writer.call(  # type: ignore[union-attr]
                lambda tx: tx.run("DELETE FROM stepwell_signals WHERE id=?", signal_id)
            )
        return await real(self, signal_id)

    monkeypatch.setattr(Durable, "signal", signal)
    async with stepwell_on([Talk]) as stepwell:
        talk = await held(stepwell)
        for n in range(3):
            await stepwell.runner.signal(talk, "say", large(n))
        await stepwell.runner.signal(talk, "go", 2)
        await stepwell.runner.handle(talk).result(60)
    assert calls == [large(1), large(2)]


async def test_the_database_is_away_when_data_and_further_signals_are_read(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, more, away = Durable.signal, Durable.inbox, []

    async def signal(self: Durable, signal_id: str) -> SignalRow | None:
        if away.count("data") < 2:
            away.append("data")
            raise StoreUnavailable("The database is away.")
        return await data(self, signal_id)

    async def further(self: Durable, run: RunRow) -> Seen:
        if away.count("more") < 2:
            away.append("more")
            raise StoreUnavailable("The database is away.")
        return await more(self, run)

    monkeypatch.setattr(Durable, "signal", signal)
    monkeypatch.setattr(Durable, "inbox", further)
    async with stepwell_on([Talk]) as stepwell:
        talk = await held(stepwell)
        for n in range(45):
            await stepwell.runner.signal(talk, "say", large(n))
        await stepwell.runner.signal(talk, "go", 45)
        await stepwell.runner.handle(talk).result(60)
    assert calls == [large(n) for n in range(45)]
    assert sorted(away) == ["data", "data", "more", "more"]


class Part(Workflow[int, Any, int]):
    @transition(target=END)
    async def do(self) -> int:
        return self.args


class Whole(Workflow[int, dict[str, int], int]):
    """Counts its children once all have ended."""

    padding = 20_000

    @transition(target="begun")
    async def hand_out(self) -> None:
        self.state["left"] = self.args
        for n in range(self.args):
            meta = {"n": n, "padding": "x" * self.padding}
            await self.start(Part, n, callback="ended", show="hidden", meta=meta)

    @transition("begun", "counted")
    async def pause(self) -> None:
        await gate.pass_through()

    @transition("waiting", "counted", wait=True)
    async def ended(self, end: Signal[int]) -> None:
        assert end.meta == {"n": end.data, "padding": "x" * self.padding}
        calls.append(end.data)
        self.state["left"] -= 1

    def some_left(self) -> bool:
        return self.state["left"] > 0

    @transition("counted", "waiting", when=some_left, priority=1)
    async def wait(self) -> None: ...

    @transition("counted", END)
    async def close(self) -> int:
        return len(calls)


async def test_children_that_are_counted(
    stepwell_on: StepwellOn, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Whole, "padding", 20_000)
    await counted(150, stepwell_on, reads)


@pytest.mark.thorough
async def test_thousands_of_children_are_counted(
    stepwell_on: StepwellOn,
    reads: Reads,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,  # noqa: F811 - the fixture
) -> None:
    """As many as five thousand on each database; a queue, a pooler and a schema add nothing to their number."""
    monkeypatch.setattr(Whole, "padding", 10)
    await counted(5_000 if backend in ("sqlite", "postgres") else 1_000, stepwell_on, reads)


async def counted(number: int, stepwell_on: StepwellOn, reads: Reads) -> None:
    async def all_ended() -> bool:
        assert stepwell.process is not None
        ends = await stepwell.process.store.read(lambda tx: tx.scalar("SELECT count(*) FROM stepwell_signals"))
        return bool(ends == number)

    async with stepwell_on([Whole, Part]) as stepwell:
        handle = await stepwell.runner.run(Whole, number, **ME)
        await gate.reached()
        await until(all_ended, seconds=3600)
        gate.open()
        assert await handle.result(3600) == number
    assert sorted(calls) == list(range(number))
    assert max(reads.claims, default=0) < MOST
    assert reads.signals < 4 * number + 100


async def test_a_worker_dies_while_it_takes_one_of_many(stepwell_on: StepwellOn) -> None:
    sent = ["gate".ljust(LARGE, "x"), *(large(n) for n in range(50))]
    async with stepwell_on([Talk], embedded_worker=False) as web:
        async with stepwell_on([Talk]) as worker:
            talk = await held(worker)
            for text in sent:
                await web.runner.signal(talk, "say", text, user_id="u1")
            await web.runner.signal(talk, "go", len(sent), user_id="u1")
            await gate.reached()
            await die(worker)
        gate.open()
        async with stepwell_on([Talk]) as heir:
            await buried(heir)
            await heir.runner.handle(talk).result(60)
    assert calls == [sent[0], *sent]
