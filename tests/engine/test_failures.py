"""Failed attempts: traces, budgets, error places, detours to a retry_target, children that failed. Rules 6, 7, 13, 18."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from engine.life import Life
from stepwell import END, NonRetryable, Retry, RetryAfter, Workflow, transition
from stepwell.engine.commit import DocumentWrite, Effects, Raised
from stepwell.engine.control import Request, begin

SECOND = timedelta(seconds=1)


class Pay(Workflow):
    @transition(target="paid", retry=Retry(retries=2, delay=SECOND))
    async def charge(self) -> None: ...

    @transition("paid", END, retry=Retry(retries=1, delay=SECOND))
    async def ship(self) -> None: ...


def fails_for_good(life: Life, name: str, tries: int) -> None:
    for _ in range(tries):
        life.raises(name)
        life.passes(60)


def test_a_failed_attempt_is_told_by_a_history_row_and_one_error_document() -> None:
    life = Life(Pay)
    commit = life.raises("charge", KeyError("card"))
    row = life.history[-1]
    assert (row.version, row.transition, row.source, row.target, row.attempt) == (1, "charge", "start", None, 1)
    assert (row.status, row.error, row.trace, row.state) == (
        "failed", "Pay.charge: KeyError: 'card'", "the traceback", None,
    )  # fmt: skip
    [document] = commit.effects.documents
    assert (document.name, document.tags, document.transition, document.key) == ("error", '["error"]', "charge", None)
    assert json.loads(document.content) == {
        "message": "Pay.charge: KeyError: 'card'", "transition": "charge", "attempt": 1, "type": "KeyError",
    }  # fmt: skip


def test_a_failed_attempt_changes_neither_state_nor_result_and_has_no_other_effects() -> None:
    life = Life(Pay)
    before = life.run
    commit = life.raises("charge")
    assert (life.run.state, life.run.result) == (before.state, before.result)
    assert (len(commit.effects.documents), commit.effects.children, commit.effects.emissions) == (1, (), ())
    assert (commit.left, commit.taken, commit.listeners, commit.ends_children) == ((), None, None, False)


def test_a_retry_waits_for_its_delay_in_nobody_s_hands() -> None:
    life = Life(Pay)
    claim = life.run.claim
    life.raises("charge")
    run = life.run
    assert (run.status, run.place, run.owner, run.claim, run.ready_at) == ("retrying", "start", None, claim + 1, None)
    assert run.due_at == life.now + 1_000_000
    assert run.error == "Pay.charge: ValueError: no"


def test_a_held_run_stays_with_its_worker_through_the_delay() -> None:
    life = Life(Pay, hold=True)
    claim = life.run.claim
    life.raises("charge")
    run = life.run
    assert (run.status, run.owner, run.claim, run.due_at) == ("retrying", "me", claim, life.now + 1_000_000)
    life.passes(1)
    life.returns("charge")
    assert (life.run.status, life.run.due_at) == ("running", None)


def test_attempts_count_from_1_within_a_visit() -> None:
    life = Life(Pay)
    life.raises("charge")
    life.passes(60)
    life.returns("charge")
    life.raises("ship")
    assert life.path == [
        "charge#1 start->None failed",
        "charge#2 start->paid committed",
        "ship#1 paid->None failed",
    ]


def test_a_committed_transition_clears_the_error() -> None:
    life = Life(Pay)
    life.raises("charge")
    life.passes(60)
    life.returns("charge")
    assert (life.run.error, life.run.attempt, life.run.failing, life.run.failures) == (None, 0, None, 0)


def test_the_run_fails_at_its_place_when_the_budget_is_spent() -> None:
    life = Life(Pay)
    fails_for_good(life, "charge", 3)
    assert life.where == ("failed", "start")
    assert (life.run.owner, life.run.ready_at, life.run.due_at, life.run.attempt) == (None, None, None, 3)


def test_a_manual_retry_refills_the_budget_while_attempt_counts_on() -> None:
    life = Life(Pay)
    fails_for_good(life, "charge", 3)
    life.retry()
    assert life.claimable
    fails_for_good(life, "charge", 3)
    assert life.run.status == "failed"
    assert [row.attempt for row in life.history[1:]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("error", "status"),
    [(NonRetryable("no"), "failed"), (ValueError("no"), "retrying"), (RetryAfter(timedelta(minutes=5)), "retrying")],
)
def test_errors_may_end_retries_or_set_the_delay(error: Exception, status: str) -> None:
    life = Life(Pay)
    life.raises("charge", error)
    assert life.run.status == status
    if isinstance(error, RetryAfter):
        assert life.run.due_at == life.now + 300_000_000


def test_a_take_over_is_not_an_attempt() -> None:
    life = Life(Pay)
    life.next("charge")
    life.die()
    life.raises("charge")
    assert life.path == ["charge#1 start->None failed"]


def test_an_error_that_cannot_be_told_does_not_hide_that_it_happened() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    life = Life(Pay)
    life.raises("charge", Mute())
    assert life.run.error == "Pay.charge: Mute: (its message can't be read: __str__ raises)"


def test_what_no_database_stores_is_written_out() -> None:
    life = Life(Pay)
    life.apply(life.settle(life.next("charge"), Raised(life.now, ValueError("a\udce4\0"), "trace \udce4")))
    assert life.run.error == "Pay.charge: ValueError: a\\udce4\\x00"
    assert life.history[-1].trace == "trace \\udce4"


def test_a_long_error_is_cut() -> None:
    life = Life(Pay)
    life.raises("charge", ValueError("x" * 20_000))
    assert life.run.error is not None
    assert len(life.run.error) < 10_100
    assert life.run.error.endswith(" ... (cut)")


# -- error_place ----------------------------------------------------------------------------------------------------


class Routed(Workflow):
    @transition(target="done", error_place="broken", retry=Retry(retries=1, delay=SECOND))
    async def attempt(self) -> None: ...

    @transition("broken", "mended")
    async def mend(self) -> None: ...

    @transition(["mended", "done"], END)
    async def end(self) -> None: ...


def test_the_error_place_comes_after_the_last_retry_in_the_same_pass() -> None:
    life = Life(Routed)
    life.raises("attempt")
    assert life.where == ("retrying", "start")
    life.passes(1)
    commit = life.raises("attempt")
    assert life.where == ("running", "broken")
    assert life.run.owner == "me"
    assert commit.left == (0,)
    assert life.path == ["attempt#1 start->None failed", "attempt#2 start->broken failed"]


def test_the_error_stays_over_the_move_and_is_cleared_by_the_next_committed_transition() -> None:
    life = Life(Routed)
    fails_for_good(life, "attempt", 2)
    assert life.run.error == "Routed.attempt: ValueError: no"
    life.returns("mend")
    assert life.run.error is None
    assert life.path[-1] == "mend#1 broken->mended committed"


class Parking(Workflow):
    @transition(target=END, error_place="ask")
    async def attempt(self) -> None: ...

    @transition("ask", "start", wait=True)
    async def again(self) -> None: ...


def test_an_error_place_that_waits_parks_the_run_in_the_same_commit() -> None:
    life = Life(Parking)
    life.raises("attempt")
    assert life.where == ("waiting", "ask")
    assert life.run.owner is None


# -- one budget per transition ---------------------------------------------------------------------------------------


def either(self: Any) -> bool:
    return True


class Alternating(Workflow):
    @transition(target=END, when=either, retry=Retry(retries=2, delay=SECOND))
    async def left(self) -> None: ...

    @transition(target=END, retry=Retry(retries=2, delay=SECOND))
    async def right(self) -> None: ...


def test_each_transition_of_a_visit_has_a_budget_of_its_own() -> None:
    life = Life(Alternating)
    for left in (True, False, True, False):
        life.guards["left"] = left
        life.raises("left" if left else "right")
        life.passes(60)
    assert life.run.status == "retrying"
    life.guards["left"] = True
    life.raises("left")
    assert life.run.status == "failed"


# -- detours to a retry_target ---------------------------------------------------------------------------------------


class Detour(Workflow):
    @transition(target="use")
    async def fetch(self) -> None: ...

    @transition("use", "done", retry=Retry(retries=2, delay=5 * SECOND), retry_target="start")
    async def use(self) -> None: ...

    @transition("done", END)
    async def end(self) -> None: ...


def test_the_delay_is_waited_first_at_the_origin_and_the_move_writes_no_history() -> None:
    life = Life(Detour)
    life.returns("fetch")
    life.raises("use")
    assert life.where == ("retrying", "use")
    assert life.run.due_at == life.now + 5_000_000
    version = life.run.version
    life.passes(5)
    life.ready()
    assert life.where == ("running", "start")
    assert life.run.version == version
    assert life.history[-1].target is None


def test_the_target_has_a_visit_of_its_own_and_coming_back_resumes_the_origin_s() -> None:
    life = Life(Detour)
    life.returns("fetch")
    origin = life.run
    life.raises("use")
    life.passes(5)
    life.ready()
    assert (life.run.attempt, life.run.failing) == (0, None)
    assert life.run.visit not in (0, origin.visit)
    life.returns("fetch")
    assert (life.run.visit, life.run.entered_at, life.run.attempt) == (origin.visit, origin.entered_at, 1)
    assert life.run.detours is None
    assert life.path == [
        "fetch#1 start->use committed",
        "use#1 use->None failed",
        "fetch#1 start->use committed",
    ]


def test_the_budget_outlives_the_detour() -> None:
    life = Life(Detour)
    life.returns("fetch")
    for _ in range(2):
        life.raises("use")
        life.passes(60)
        life.returns("fetch")
    life.raises("use")
    assert life.where == ("failed", "use")
    assert [row.attempt for row in life.history if row.transition == "use"] == [1, 2, 3]


class Elsewhere(Workflow):
    @transition(target="use")
    async def begin(self) -> None: ...

    @transition("use", END, retry=Retry(retries=1, delay=SECOND), retry_target="mend")
    async def use(self) -> None: ...

    @transition("mend", "apologise")
    async def give_up(self) -> None: ...

    @transition("apologise", END)
    async def apologise(self) -> None: ...


def test_a_detour_may_end_elsewhere() -> None:
    life = Life(Elsewhere)
    life.returns("begin")
    life.raises("use")
    life.passes(1)
    life.returns("give_up")
    life.returns("apologise")
    assert life.where == ("completed", "end")
    assert life.run.detours is None


class Nested(Workflow):
    @transition(target="outer")
    async def begin(self) -> None: ...

    @transition("outer", END, retry=Retry(retries=2, delay=SECOND), retry_target="inner")
    async def outer(self) -> None: ...

    @transition("inner", "outer", retry=Retry(retries=1, delay=SECOND), retry_target="innermost")
    async def inner(self) -> None: ...

    @transition("innermost", "inner")
    async def innermost(self) -> None: ...


def test_detours_nest() -> None:
    life = Life(Nested)
    life.returns("begin")
    for name in ("outer", "inner"):
        life.raises(name)
        life.passes(1)
    for name in ("innermost", "inner", "outer"):
        life.returns(name)
    assert life.path[1:] == [
        "outer#1 outer->None failed",
        "inner#1 inner->None failed",
        "innermost#1 innermost->inner committed",
        "inner#2 inner->outer committed",
        "outer#2 outer->end committed",
    ]


class Mutual(Workflow):
    @transition(target="b", retry=Retry(retries=3, delay=SECOND), retry_target="b")
    async def one(self) -> None: ...

    @transition("b", END, retry=Retry(retries=3, delay=SECOND), retry_target="start")
    async def two(self) -> None: ...


def test_detours_to_each_other_come_to_an_end() -> None:
    life = Life(Mutual)
    for _ in range(100):
        if life.run.status == "failed":
            break
        life.ready()
        life.raises("one" if life.run.place == "start" else "two")
        life.passes(60)
    assert life.where == ("failed", "start")
    assert [row.attempt for row in life.history if row.transition == "one"] == [1, 2, 3, 4]


class OwnPlace(Workflow):
    @transition(target=END, retry=Retry(retries=1, delay=SECOND), retry_target="start")
    async def go(self) -> None: ...


def test_a_retry_target_that_is_the_place_itself_is_a_retry() -> None:
    life = Life(OwnPlace)
    life.raises("go")
    life.passes(1)
    life.raises("go")
    assert life.where == ("failed", "start")
    assert [row.attempt for row in life.history[1:]] == [1, 2]
    assert life.run.detours is None


class SharedName(Workflow):
    @transition(target="use")
    async def begin(self) -> None: ...

    @transition("use", END, retry=Retry(retries=1, delay=SECOND), retry_target="mend", name="work")
    async def use(self) -> None: ...

    @transition("mend", "use", retry=Retry(retries=1, delay=SECOND), name="work")
    async def mend(self) -> None: ...


def test_a_transition_of_the_same_name_at_the_target_has_its_own_budget() -> None:
    life = Life(SharedName)
    life.returns("begin")
    life.raises("work")
    life.passes(1)
    life.raises("work")
    assert life.where == ("retrying", "mend")


class SignalDetour(Workflow):
    @transition(target="ask")
    async def begin(self) -> None: ...

    @transition("ask", END, wait=True, keep=True, retry=Retry(retries=1, delay=SECOND), retry_target="side")
    async def answer(self) -> None: ...

    @transition("side", "ask", wait=True, name="answer")
    async def aside(self) -> None: ...

    @transition("side", "ask", after=60 * SECOND)
    async def enough(self) -> None: ...


def test_a_detour_keeps_the_signal_of_its_origin_and_nobody_else_takes_it() -> None:
    life = Life(SignalDetour)
    life.returns("begin")
    signal = life.signal("answer")
    life.raises("answer")
    life.passes(1)
    life.ready()
    life.rests()
    assert life.where == ("waiting", "side")
    life.passes(60)
    life.returns("enough")
    assert life.next("answer").signal == signal


# -- children that failed, and what can't be repeated (rule 18) -------------------------------------------------------


class Parent(Workflow):
    @transition(target="wait")
    async def begin(self) -> None: ...

    @transition("wait", END, wait=True, retry=Retry(retries=3, delay=SECOND))
    async def plain(self) -> None: ...

    @transition("wait", END, wait=True, retry=Retry(retries=3, delay=SECOND), error_place="broken")
    async def routed(self) -> None: ...

    @transition(
        "wait", END, wait=True, retry=Retry(retries=1, delay=SECOND), retry_target="start", error_place="broken"
    )
    async def renewed(self) -> None: ...

    @transition("broken", END)
    async def mend(self) -> None: ...


def child_failed(name: str) -> Life:
    life = Life(Parent)
    life.returns("begin")
    life.child_ends(name, "failed")
    life.raises(name, repeatable=False)
    return life


def test_a_failed_child_is_not_retried_as_it_is() -> None:
    assert child_failed("plain").where == ("failed", "wait")
    assert child_failed("routed").where == ("running", "broken")


def test_the_run_that_failed_by_it_can_be_retried_with_the_same_end() -> None:
    # By then the payload type may fit; waiting for an end that can't come again would be waiting for ever.
    life = child_failed("plain")
    life.retry()
    life.returns("plain")
    assert life.run.status == "completed"


def test_a_retry_target_starts_a_new_child_and_waits_for_its_end() -> None:
    life = child_failed("renewed")
    assert life.where == ("retrying", "wait")
    [end] = life.signals.values()
    assert end.state == "taken"
    life.passes(1)
    life.returns("begin")
    assert life.where == ("waiting", "wait")
    assert life.run.attempt == 1
    life.child_ends("renewed")
    life.returns("renewed")
    assert life.run.status == "completed"


def test_without_budget_left_it_goes_to_the_error_place() -> None:
    life = child_failed("renewed")
    life.passes(1)
    life.returns("begin")
    life.child_ends("renewed", "canceled")
    life.raises("renewed", repeatable=False)
    assert life.where == ("running", "broken")


def test_nothing_of_what_a_failed_attempt_asked_for_is_in_its_commit() -> None:
    # An outcome that raised can't carry effects; those of one that returned are in its commit, all of them.
    life = Life(Pay)
    child = begin(life.definition, Request("child", "app", "u1", "w", "null", "{}", parent_id="run"), life.now)
    wanted = Effects((DocumentWrite("notes", None, "{}", "[]", None, None, 0, "charge"),), (child,))
    assert life.returns("charge", effects=wanted).effects == wanted
    assert life.run.children == 1
    assert not hasattr(Raised(life.now, ValueError()), "effects")
