"""Signals: early, kept, void; one per visit; bound through retries. Rules 11 to 15."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from engine.life import Life
from stepwell import END, Event, Retry, Workflow, transition
from stepwell.engine.choose import Rules, Unfit
from stepwell.engine.commit import Returned
from stepwell.engine.signals import NOTHING_KEPT, Arrival, accept, takers
from stepwell.errors import AlreadyAnswered, PayloadTooLarge, RunFinished, UnknownTransition

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
    twice = life.signal("reject", unseen=True)
    life.returns("reject")
    assert life.signals[twice.id].state == "void"
    life.returns("redraft")
    assert life.where == ("waiting", "review")


def test_a_signal_to_another_transition_of_the_place_is_void_when_the_place_is_left() -> None:
    life = Life(Review)
    life.returns("draft")
    life.signal("reject")
    late = life.signal("approve", unseen=True)
    life.returns("reject")
    assert life.signals[late.id].state == "void"


def test_a_signal_while_its_transition_executes_belongs_to_that_visit() -> None:
    life = Life(Review)
    life.returns("draft")
    life.signal("reject")
    decision = life.next("reject")
    meanwhile = life.signal("approve", unseen=True)
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
    life.signal("other", unseen=True)
    life.signal("chosen", '"another"', unseen=True)
    assert not life.claimable  # a signal doesn't cut the delay short
    life.passes(10)  # the timer is due as well
    decision = life.next("chosen")
    assert decision.signal == signal


def test_going_to_an_error_place_that_is_the_same_place_takes_the_signal_and_keeps_the_others() -> None:
    life = Life(Holding)
    life.returns("go")
    signal = life.signal("chosen")
    second = life.signal("chosen", unseen=True)
    life.raises("chosen")
    life.passes(10)
    life.raises("chosen")
    assert (life.signals[signal.id].state, life.signals[second.id].state) == ("taken", "open")
    assert life.run.bound is None
    assert life.returns("chosen").taken == second.id


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
    life = Life(Loop, Rules(max_kept_signals=2))
    life.signal("reopen")
    life.signal("reopen")
    with pytest.raises(PayloadTooLarge):
        life.signal("reopen")
    life.returns("begin")
    life.signal("say")
    with pytest.raises(PayloadTooLarge):
        life.signal("say")
    assert life.signal("stop").visit == life.run.arrived


def test_what_is_kept_may_not_be_larger_than_that() -> None:
    life = Life(Loop, Rules(max_kept_bytes=10))
    life.signal("say", '"123456"')
    with pytest.raises(PayloadTooLarge, match=r"keeps signals of 8 bytes.*of 3 .*\(max_kept_bytes is 10\)"):
        life.signal("say", '"\u00e4"'[:-1])
    life.signal("say", "12")
    life.child_ends("say", data='"as large as it likes"')
    life.returns("begin")
    life.signal("stop", '"whatever is kept, the place is answered"')


# -- only one answer leads on -----------------------------------------------------------------------------------------


def refused(life: Life, name: str) -> AlreadyAnswered:
    """The refusal of this signal, which leaves no trace."""
    before = life.run, dict(life.signals)
    with pytest.raises(AlreadyAnswered) as error:
        life.signal(name)
    assert before == (life.run, life.signals)
    return error.value


def test_where_an_answer_leads_away_another_is_refused_and_says_whose_came_first() -> None:
    life = Life(Review)
    life.returns("draft")
    first = life.signal("reject")
    for name in ("reject", "approve"):
        error = refused(life, name)
        assert (error.by, error.http_status) == ("u2", 409)
        assert error.at == datetime.fromtimestamp(0, UTC) + timedelta(microseconds=first.accepted_at)
        assert "answered at 'review' already: the signal 'reject' by u2, at 1970-01-01T00:16:40+00:00" in str(error)
    decision = life.next("reject")
    refused(life, "approve")
    life.apply(life.settle(decision, Returned(life.now)))
    life.returns("redraft")
    life.signal("approve")


def test_it_stays_answered_through_retries_and_a_manual_retry() -> None:
    life = Life(Review)
    life.returns("draft")
    life.signal("approve")
    life.raises("approve")
    assert life.run.status == "retrying"
    refused(life, "reject")
    life.passes(1)
    life.raises("approve")
    with pytest.raises(RunFinished):
        life.signal("reject")
    life.retry()
    refused(life, "reject")


def test_an_answer_that_was_kept_for_the_place_came_first() -> None:
    life = Life(Review)
    life.signal("approve")
    life.signal("reject")  # both are kept: nothing waits yet
    life.returns("draft")
    refused(life, "reject")


def test_what_is_kept_for_other_places_answers_nothing() -> None:
    life = Life(Loop)
    life.signal("reopen")
    life.returns("begin")
    life.signal("stop")


def test_what_leads_back_to_the_place_answers_nothing() -> None:
    life = Life(Loop)
    life.returns("begin")
    life.signal("say")
    life.signal("say")
    life.signal("stop")
    refused(life, "say")
    refused(life, "stop")


def test_with_keep_a_further_one_is_kept_and_one_without_is_refused() -> None:
    life = Life(Chat)
    life.returns("begin")
    for _ in range(3):
        assert life.signal("message").visit is None
    refused(life, "close")


def test_an_event_or_the_end_of_a_child_answers_too_and_neither_is_ever_refused() -> None:
    life = Life(Loop)
    life.returns("begin")
    life.signal("over", event=True)
    assert "an event for 'over'" in str(refused(life, "stop"))
    second = life.signal("over", event=True)
    assert second.visit == life.run.arrived
    life.returns("over")
    assert life.signals[second.id].state == "void"


def test_the_end_of_a_child_that_leads_away_answers_too() -> None:
    class Waits(Workflow):
        @transition(target="waiting")
        async def go(self) -> None: ...

        @transition("waiting", END, wait=True)
        async def done(self) -> None: ...

        @transition("waiting", END, wait=True)
        async def give_up(self) -> None: ...

    life = Life(Waits)
    life.run = life.run._replace(callbacks='["done"]')
    life.returns("go")
    life.child_ends("done")
    assert "the end of a child for 'done'" in str(refused(life, "give_up"))


def test_a_detour_is_answered_for_itself() -> None:
    life = Life(Detoured)
    life.returns("begin")
    life.signal("finish")
    life.raises("finish")
    refused(life, "finish")
    life.ready()
    life.apply(life.unexecuted(life.decide()))
    assert life.signal("finish").visit is None, "kept: it isn't for the place where the run is"
    life.signal("done")
    refused(life, "more")


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
    kept = life.signal("work", unseen=True)
    life.raises("work")
    life.ready()
    assert life.run.place == "inner"
    life.signal("repair")
    left = life.signal("repair", unseen=True)
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


# -- a transition back to the same place ------------------------------------------------------------------------------


class Loop(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "open", wait=True)
    async def say(self) -> None: ...

    @transition("open", "open", after=10 * SECOND)
    async def remind(self) -> None: ...

    @transition("open", "closing", wait=True)
    async def stop(self) -> None: ...

    @transition("open", END, on=Event("over"))
    async def over(self) -> None: ...

    @transition("closing", "open", wait=True)
    async def reopen(self) -> None: ...


@pytest.mark.parametrize("event", [False, True])
@pytest.mark.parametrize("executing", [False, True])
@pytest.mark.parametrize("loops", ["say", "remind"])
def test_a_transition_back_to_its_place_voids_nothing(loops: str, executing: bool, event: bool) -> None:
    name = "over" if event else "stop"
    life = Life(Loop)
    life.returns("begin")
    if loops == "say":
        life.signal("say")
    else:
        life.passes(10)
    decision = life.next(loops) if executing else None
    last = life.signal(name, event=event)
    decision = decision or life.next(loops)
    visit = life.run.visit
    life.apply(life.settle(decision, Returned(life.now)))
    assert life.run.visit == visit + 1
    assert life.run.status == "running", "it goes on with what is there"
    assert life.returns(name).taken == last.id


def test_timers_count_anew_and_what_was_accepted_stays_through_any_number_of_loops() -> None:
    life = Life(Loop)
    life.returns("begin")
    said = [life.signal("say").id for _ in range(3)]
    life.passes(9)
    assert [life.returns("say").taken for _ in said] == said
    life.passes(9)
    assert not life.claimable
    life.passes(1)
    life.returns("remind")
    life.signal("stop")
    life.returns("stop")
    assert life.where == ("waiting", "closing")


class Meeting(Workflow):
    """What ends it is declared first."""

    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def stop(self) -> None: ...

    @transition("open", "open", wait=True)
    async def say(self) -> None: ...

    @transition("open", "open", wait=True, keep=True)
    async def note(self) -> None: ...


@pytest.mark.parametrize("name", ["say", "note"])
def test_through_loops_signals_are_taken_in_the_order_in_which_they_came(name: str) -> None:
    life = Life(Meeting)
    life.returns("begin")
    said = [life.signal(name).id for _ in range(3)]
    life.signal("stop")
    assert [life.returns(name).taken for _ in said] == said
    life.returns("stop")


def test_what_was_accepted_during_a_loop_is_void_when_the_place_is_left_at_last() -> None:
    life = Life(Loop)
    life.returns("begin")
    life.signal("say")
    life.returns("say")
    life.signal("say")
    left = life.signal("over", event=True)
    life.returns("say")
    life.passes(0.001)
    life.put(left._replace(id="second"))
    life.returns("over")
    assert life.signals["second"].state == "void"


def test_coming_back_to_a_place_from_another_is_a_stay_of_its_own() -> None:
    life = Life(Loop)
    life.returns("begin")
    life.signal("say")
    life.returns("say")
    assert life.run.stay is not None
    life.signal("stop")
    decision = life.next("stop")
    late = life.signal("say", unseen=True)
    life.apply(life.settle(decision, Returned(life.now)))
    assert life.signals[late.id].state == "void"
    life.signal("reopen")
    life.returns("reopen")
    assert life.run.stay is None
    assert life.where == ("waiting", "open")


class Detoured(Workflow):
    @transition(target="work")
    async def begin(self) -> None: ...

    @transition("work", "work", wait=True)
    async def say(self) -> None: ...

    @transition("work", END, wait=True, retry=Retry(retries=2, delay=timedelta(0)), retry_target="repair")
    async def finish(self) -> None: ...

    @transition("repair", "repair", wait=True)
    async def more(self) -> None: ...

    @transition("repair", "work", wait=True)
    async def done(self) -> None: ...


def test_a_detour_keeps_what_belongs_to_the_interrupted_stay() -> None:
    life = Life(Detoured)
    life.returns("begin")
    life.signal("say")
    life.returns("say")
    stay = life.run.arrived
    bound = life.signal("finish")
    life.raises("finish")
    life.ready()
    life.apply(life.unexecuted(life.decide()))
    assert life.run.place == "repair"
    life.signal("more")
    life.returns("more")
    done = life.signal("done")
    assert life.returns("done").taken == done.id
    assert life.run.arrived == stay
    assert life.returns("finish").taken == bound.id


# -- code that doesn't know what is in the inbox ----------------------------------------------------------------------


class Older(Workflow):
    """`Review` before it could be approved."""

    @transition(target="review")
    async def draft(self) -> None: ...

    @transition("review", END, wait=True)
    async def reject(self) -> None: ...

    @transition("review", END, after=SECOND)
    async def expire(self) -> None: ...


@pytest.mark.parametrize("kind", ["signal", "event", "child"])
def test_a_run_whose_inbox_holds_what_the_code_does_not_know_is_left_as_it_is(kind: Literal["signal", "event"]) -> None:
    life = Life(Older)
    unknown = life.signal("reject")._replace(id="unknown", name="approve", kind=kind)
    life.put(unknown)
    life.passes(10)
    decision = life.decide()
    assert isinstance(decision, Unfit)
    assert "'approve', and Older has no such transition" in decision.reason
    assert life.cancel() is not None


def test_a_signal_and_an_event_of_one_name_are_two() -> None:
    life = Life(Older)
    life.put(life.signal("reject")._replace(id="unknown", kind="event"))
    assert isinstance(life.decide(), Unfit)


# -- what isn't used leaves a trace -----------------------------------------------------------------------------------


def test_what_becomes_void_has_a_row_that_says_who_sent_it_and_why_it_was_not_used() -> None:
    life = Life(Review)
    life.returns("draft")
    life.signal("reject")
    late = life.signal("approve", unseen=True)
    life.returns("reject")
    row = life.history[-1]
    assert (row.version, row.transition, row.source, row.target) == (life.run.version, "approve", "review", None)
    assert (row.status, row.attempt, row.signal_id, row.started_at) == ("void", 0, late.id, late.accepted_at)
    assert life.unused == ["The signal 'approve' of u2 was not used: 'reject' left 'review' first"]
    life.returns("redraft")
    life.signal("approve")
    life.returns("approve")
    assert [row.version for row in life.history] == list(range(len(life.history)))


def test_what_was_kept_when_the_run_ends_has_a_row_too() -> None:
    life = Life(Loop)
    life.signal("reopen")
    life.child_ends("say")
    life.signal("over", event=True)
    life.cancel("enough")
    assert life.unused == [
        "The signal 'reopen' of u2 was not used: the run was cancelled first",
        "The end of a child for 'say' of run child was not used: the run was cancelled first",
        "The event for 'over' of u2 was not used: the run was cancelled first",
    ]


def test_of_many_alike_one_row_tells_the_number_and_who_sent_them() -> None:
    life = Life(Chat)
    life.returns("begin")
    for _ in range(100):
        life.signal("message")
    life.cancel()
    assert life.unused == ["100 signals 'message' of u2 (100) were not used: the run was cancelled first"]


def test_a_run_that_fails_keeps_what_it_has() -> None:
    life = Life(Review)
    life.signal("approve")
    life.raises("draft")
    assert life.run.status == "failed"
    assert life.unused == []
