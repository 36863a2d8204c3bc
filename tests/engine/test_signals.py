"""Signals: early, kept, void; one per visit; bound through retries. Semantics 11 to 15."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.life import Life
from stepwell import END, Event, Retry, Workflow, transition
from stepwell.engine.outcome import Returned, Rules
from stepwell.engine.signals import NOTHING_KEPT, Arrival, accept, takers
from stepwell.errors import PayloadTooLarge, RunFinished, UnknownTransition

SECOND = timedelta(seconds=1)


class Review(Workflow):
    @transition(target="review")
    async def draft(self) -> None: ...

    @transition("review", "drafting", wait=True)
    async def reject(self) -> None: ...

    @transition("review", END, wait=True, retry=Retry(retries=1, delay=SECOND))
    async def approve(self) -> None: ...

    @transition("drafting", "review")
    async def redraft(self) -> None: ...


def test_a_signal_wakes_a_run_that_waits() -> None:
    life = Life(Review)
    life.returns("draft")
    assert not life.claimable
    signal = life.signal("reject", '{"why":"short"}')
    commit = life.returns("reject")
    assert commit.taken == signal.id
    assert life.history[-1].signal_id == signal.id
    assert life.signals[signal.id].state == "taken"
    assert life.signals[signal.id].version == life.run.version


def test_a_second_click_on_reject_cannot_reject_the_next_draft() -> None:
    life = Life(Review)
    life.returns("draft")
    life.signal("reject")
    twice = life.signal("reject")
    life.returns("reject")
    assert life.signals[twice.id].state == "void"
    life.returns("redraft")
    assert life.where == ("waiting", "review")


def test_a_signal_to_another_transition_of_the_place_is_void_when_the_place_is_left() -> None:
    life = Life(Review)
    life.returns("draft")
    life.signal("reject")
    late = life.signal("approve")
    life.returns("reject")
    assert life.signals[late.id].state == "void"


def test_a_signal_while_its_transition_executes_belongs_to_that_visit() -> None:
    life = Life(Review)
    life.returns("draft")
    life.signal("reject")
    decision = life.next("reject")
    meanwhile = life.signal("approve")
    life.apply(life.settle(decision, Returned(life.now)))
    assert life.signals[meanwhile.id].state == "void"


def test_an_early_signal_is_kept_until_its_place_is_entered() -> None:
    life = Life(Review)
    early = life.signal("approve")
    assert early.visit is None
    life.returns("draft")
    assert life.run.status == "running"  # it doesn't park: something fires
    life.returns("approve")
    assert life.run.status == "completed"


def test_each_visit_takes_one_early_signal_the_oldest_first_and_the_rest_stay_kept() -> None:
    life = Life(Review)
    early = [life.signal("reject").id for _ in range(3)]
    life.returns("draft")
    taken = []
    for _ in range(3):
        taken.append(life.returns("reject").taken)
        life.returns("redraft")
    assert taken == early
    assert life.where == ("waiting", "review")


def test_a_signal_accepted_while_parking_leaves_the_run_due() -> None:
    life = Life(Review)
    decision = life.next("draft")
    parking = life.settle(decision, Returned(life.now))
    assert parking.run.status == "waiting"
    life.signal("approve")
    life.apply(parking)
    assert life.run.status == "waiting"
    assert life.claimable
    life.returns("approve")


class Chat(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "answering", wait=True, keep=True)
    async def message(self) -> None: ...

    @transition("answering", "open")
    async def answer(self) -> None: ...

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


def test_with_keep_nothing_is_void() -> None:
    life = Life(Chat)
    life.returns("begin")
    sent = [life.signal("message").id for _ in range(2)]
    first = life.returns("message").taken
    sent.append(life.signal("message").id)
    life.returns("answer")
    taken = [first, life.returns("message").taken]
    life.returns("answer")
    taken.append(life.returns("message").taken)
    assert taken == sent


class Echo(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "open", wait=True, keep=True)
    async def message(self) -> None: ...


def test_what_a_transition_has_taken_does_not_keep_the_run_awake() -> None:
    life = Life(Echo)
    life.returns("begin")
    life.signal("message")
    life.returns("message")
    assert life.where == ("waiting", "open")  # parked in that very commit
    assert not life.claimable


class Awaiting(Workflow):
    @transition(target="children")
    async def begin(self) -> None: ...

    @transition("children", "next", wait=True)
    async def done(self) -> None: ...

    @transition("next", "children")
    async def more(self) -> None: ...


def test_ends_of_children_are_never_void() -> None:
    life = Life(Awaiting)
    life.returns("begin")
    ends = [life.child_ends("done").id for _ in range(2)]
    taken = [life.returns("done").taken]
    life.returns("more")
    taken.append(life.returns("done").taken)
    assert taken == ends


# -- a chosen transition holds the place ----------------------------------------------------------------------------


class Holding(Workflow):
    @transition(target="wait")
    async def go(self) -> None: ...

    @transition("wait", "a", wait=True, retry=Retry(retries=1, delay=10 * SECOND), error_place="wait")
    async def chosen(self) -> None: ...

    @transition("wait", END, wait=True)
    async def other(self) -> None: ...

    @transition("wait", END, after=5 * SECOND)
    async def expire(self) -> None: ...

    @transition("a", END)
    async def end(self) -> None: ...


def test_a_chosen_transition_holds_the_place_through_its_retries_with_the_same_signal() -> None:
    life = Life(Holding)
    life.returns("go")
    signal = life.signal("chosen", '"payload"')
    life.raises("chosen")
    assert life.where == ("retrying", "wait")
    life.signal("other")
    life.signal("chosen", '"another"')
    assert not life.claimable  # a signal doesn't cut the delay short
    life.passes(10)  # the timer is due as well
    decision = life.next("chosen")
    assert decision.signal == signal


def test_going_to_the_error_place_takes_the_signal_and_lets_the_others_go() -> None:
    life = Life(Holding)
    life.returns("go")
    signal = life.signal("chosen")
    second = life.signal("chosen")
    life.raises("chosen")
    life.passes(10)
    life.raises("chosen")
    assert (life.signals[signal.id].state, life.signals[second.id].state) == ("taken", "void")
    assert life.where == ("waiting", "wait")
    assert life.run.bound is None


def test_a_failed_run_stays_bound_and_its_retry_has_the_same_signal() -> None:
    life = Life(Review)
    life.returns("draft")
    signal = life.signal("approve")
    life.raises("approve")
    life.passes(1)
    life.raises("approve")
    assert life.where == ("failed", "review")
    assert life.signals[signal.id].state == "open"
    life.retry()
    life.returns("approve")
    assert life.signals[signal.id].state == "taken"


class Sleeping(Workflow):
    @transition(target="wait")
    async def go(self) -> None: ...

    @transition("wait", END, wait=True)
    async def end(self) -> None: ...

    @transition("wait", END, after=5 * SECOND)
    async def expire(self) -> None: ...


def test_the_timers_of_a_failed_run_sleep_until_it_is_retried() -> None:
    life = Life(Sleeping)
    life.returns("go")
    life.passes(5)
    life.raises("expire")
    assert life.run.status == "failed"
    life.passes(100)
    assert not life.claimable
    life.retry()
    life.returns("expire")


# -- one name, several kinds ----------------------------------------------------------------------------------------


class Homonyms(Workflow):
    @transition(target="timed")
    async def go(self) -> None: ...

    @transition("timed", "asked", after=SECOND, name="answer")
    async def timer(self) -> None: ...

    @transition("asked", "told", wait=True, name="answer")
    async def signal(self) -> None: ...

    @transition("told", END, on=Event("answered"), name="answer")
    async def event(self) -> None: ...


def test_a_signal_is_early_where_only_a_timer_bears_its_name() -> None:
    life = Life(Homonyms)
    life.returns("go")
    assert life.signal("answer").visit is None
    life.passes(1)
    life.returns("answer")
    assert life.run.place == "asked"
    assert life.returns("answer").taken is not None
    assert life.run.place == "told"


def test_a_signal_is_not_taken_for_an_event_of_the_same_name() -> None:
    life = Life(Homonyms)
    life.returns("go")
    kept = [life.signal("answer") for _ in range(2)]
    life.passes(1)
    life.returns("answer")
    life.returns("answer")
    assert life.where == ("waiting", "told")
    assert life.signals[kept[1].id].state == "open"
    life.signal("answer", event=True)
    life.returns("answer")
    assert life.run.status == "completed"


# -- what is refused ------------------------------------------------------------------------------------------------


def test_an_accepted_signal_says_who_answered_and_what() -> None:
    life = Life(Review)
    life.returns("draft")
    row = accept(
        life.definition,
        life.run,
        Arrival("s1", "approve", '{"a":1}', user_id="u7", idempotency_key="k"),
        NOTHING_KEPT,
        42,
    )
    assert (row.id, row.run_id, row.name, row.kind, row.data, row.status) == (
        "s1", "run", "approve", "signal", '{"a":1}', "completed",
    )  # fmt: skip
    assert (row.sender, row.user_id, row.idempotency_key, row.visit, row.accepted_at, row.state) == (
        "run", "u7", "k", 1, 42, "open",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["nothing", "draft"])
def test_a_signal_that_no_transition_could_ever_take_is_refused(name: str) -> None:
    life = Life(Review)
    with pytest.raises(UnknownTransition, match=r"Review has no signal transition .*: approve, reject\."):
        life.signal(name)
    with pytest.raises(UnknownTransition):
        takers(life.definition, name)


def test_a_name_has_as_many_takers_as_places() -> None:
    assert [t.source for t in takers(Life(Homonyms).definition, "answer")] == ["asked"]
    assert [t.source for t in takers(Life(Homonyms).definition, "answer", "event")] == ["told"]


@pytest.mark.parametrize("event", [False, True])
def test_a_finished_run_takes_nothing(event: bool) -> None:
    life = Life(Homonyms)
    life.cancel()
    before = life.run
    with pytest.raises(RunFinished, match="is canceled"):
        life.signal("answer", event=event)
    assert life.run == before


def test_a_failed_run_refuses_signals_with_the_cure_and_keeps_events() -> None:
    life = Life(Homonyms)
    life.raises("go")
    with pytest.raises(RunFinished, match=r"until it is retried \(runner\.retry\('run'\)\)"):
        life.signal("answer")
    assert life.signal("answer", event=True).state == "open"
    assert life.run.status == "failed"


def test_what_the_place_waits_for_comes_through_however_much_is_kept() -> None:
    life = Life(Review, Rules(max_kept_signals=2))
    life.returns("draft")
    life.signal("reject")
    life.signal("reject")
    with pytest.raises(PayloadTooLarge):
        life.signal("reject")
    assert life.signal("approve").visit == life.run.visit
    with pytest.raises(PayloadTooLarge):
        life.signal("approve")
    life.returns("reject")


class Nested(Workflow):
    @transition(target="outer")
    async def begin(self) -> None: ...

    @transition("outer", END, wait=True, retry=Retry(retries=9, delay=timedelta(0)), retry_target="inner")
    async def work(self) -> None: ...

    @transition("inner", "elsewhere", wait=True, retry=Retry(retries=9, delay=timedelta(0)), retry_target="elsewhere")
    async def repair(self) -> None: ...

    @transition("elsewhere", "outer")
    async def give_up(self) -> None: ...


@pytest.mark.parametrize("fails", [True, False])
def test_a_visit_that_a_detour_gives_up_voids_its_signals(fails: bool) -> None:
    life = Life(Nested)
    life.returns("begin")
    life.signal("work")
    kept = life.signal("work")
    life.raises("work")
    life.ready()
    assert life.run.place == "inner"
    life.signal("repair")
    left = life.signal("repair")
    if fails:
        life.raises("repair")
        life.ready()
        assert life.signals[left.id].state == "open"
    else:
        life.returns("repair")
        assert life.signals[left.id].state == "void"
    life.returns("give_up")
    assert (life.run.place, life.run.detours) == ("outer", None)
    assert life.signals[left.id].state == "void"
    assert life.signals[kept.id].state == "open"


def test_kept_signals_are_limited() -> None:
    life = Life(Review, Rules(max_kept_signals=2))
    life.signal("approve")
    life.signal("approve")
    with pytest.raises(PayloadTooLarge, match="keeps 2 signals that no transition has taken yet"):
        life.signal("approve")
