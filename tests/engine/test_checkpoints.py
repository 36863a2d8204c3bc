"""The creation of a run, and what a success makes of it: row, history, parking, ends, listeners. Rules 3a, 4, 7, 16, 17."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from engine.life import Life
from stepwell import END, Event, Workflow, transition
from stepwell.engine.commit import Commit, Raised, Returned
from stepwell.engine.control import Request, begin
from stepwell.engine.run import RunRow
from stepwell.engine.settle import enter

# -- begin ----------------------------------------------------------------------------------------------------------


class Args(BaseModel):
    invoice_id: str = "i1"


class State(BaseModel):
    order: str | None = None


class Listening(Workflow[Args, State], priority=4, version=3):
    @transition(target="unpaid")
    async def bill(self) -> None: ...

    @transition(["unpaid", "late"], END, on=Event("invoice.paid", match={"invoice": "args.invoice_id"}))
    async def paid(self) -> None: ...

    @transition("unpaid", "late", on=Event("order.late", match={"order": "state.order"}))
    async def late(self) -> None: ...


ARGS = '{"invoice_id":"i1"}'


def test_the_creation_is_row_0_of_the_history() -> None:
    commit = Life(Listening, args=ARGS).creation
    assert commit.history is not None
    assert (commit.history.version, commit.run.version, commit.history.status) == (0, 0, "committed")
    assert (commit.history.transition, commit.history.source, commit.history.target) == (None, None, None)
    assert commit.history.state == '{"order":null}'


@pytest.mark.parametrize(
    ("request_", "row"),
    [
        ({"owner": None}, ("pending", None, 0, 100, None)),
        ({"owner": "me"}, ("running", "me", 1, None, None)),
        ({"owner": None, "due_at": 200}, ("pending", None, 0, None, 200)),
        ({"owner": "me", "due_at": 200}, ("pending", None, 0, None, 200)),
        ({"owner": None, "due_at": 100}, ("pending", None, 0, 100, None)),
    ],
)
def test_a_run_starts_ready_or_owned_or_later(request_: dict, row: tuple) -> None:  # type: ignore[type-arg]
    definition = Life(Listening, args=ARGS).definition
    run = begin(definition, Request("r", "app", "u", "w", ARGS, definition.new_state(), **request_), 100).run
    assert (run.status, run.owner, run.claim, run.ready_at, run.due_at) == row


@pytest.mark.parametrize(("given", "priority"), [(None, 4), (0, 0), (9, 9)])
def test_priority_is_the_workflow_s_unless_it_is_given(given: int | None, priority: int) -> None:
    life = Life(Listening, args=ARGS, request={"priority": given})
    assert (life.run.priority, life.run.workflow_version) == (priority, 3)


# -- listeners (rule 16) ----------------------------------------------------------------------------------------------


def heard(commit: Commit) -> list[tuple[str, str, str]] | None:
    """What the run listens to from that commit on; None: as before."""
    found = commit.listeners
    return None if found is None else [(listener.event, listener.transition, listener.matched) for listener in found]


PAID = ("invoice.paid", "paid", '[["invoice","i1"]]')


LATE = ("order.late", "late", '[["order","o7"]]')


def test_a_run_listens_from_its_creation_to_what_its_args_match_once_for_all_places() -> None:
    assert heard(Life(Listening, args=ARGS).creation) == [PAID]


def test_a_run_listens_from_the_checkpoint_that_sets_the_value() -> None:
    life = Life(Listening, args=ARGS)
    assert sorted(heard(life.returns("bill", state='{"order":"o7"}')) or ()) == [PAID, LATE]


def test_a_checkpoint_that_leaves_the_state_alone_leaves_the_listeners_alone() -> None:
    assert heard(Life(Listening, args=ARGS).returns("bill", state=None)) is None


def test_a_value_that_is_gone_is_not_listened_to_any_more() -> None:
    assert heard(Life(Listening, args=ARGS).returns("bill", state='{"order":null}')) == [PAID]


def test_an_early_event_is_kept_like_a_signal() -> None:
    life = Life(Listening, args=ARGS)
    assert life.signal("paid", event=True).visit is None
    life.returns("bill")
    life.returns("paid")
    assert life.run.status == "completed"


# -- checkpoints ------------------------------------------------------------------------------------------------------


class Steps(Workflow):
    @transition(target="a")
    async def one(self) -> None: ...

    @transition("a", "wait")
    async def two(self) -> None: ...

    @transition("wait", END, wait=True)
    async def end(self) -> None: ...


def test_a_success_is_one_version_and_one_history_row() -> None:
    life = Life(Steps)
    decision = life.next("one")
    started = life.now
    life.passes(2)
    commit = life.settle(decision, Returned(started, '{"x":1}'))
    life.apply(commit)
    row = life.history[-1]
    assert (commit.version, commit.run.version, row.version) == (0, 1, 1)
    assert (row.transition, row.source, row.target, row.attempt, row.status) == ("one", "start", "a", 1, "committed")
    assert (row.error, row.trace, row.state, row.signal_id) == (None, None, '{"x":1}', None)
    assert (row.started_at, row.finished_at) == (started, life.now)
    assert (life.run.state, life.run.visit, life.run.entered_at) == ('{"x":1}', 1, life.now)


def test_an_untouched_state_is_not_in_the_history_again() -> None:
    life = Life(Steps)
    life.returns("one", state='{"x":1}')
    life.returns("two")
    assert life.history[-1].state is None
    assert life.run.state == '{"x":1}'


def test_state_and_result_from_before_a_wait_are_there_after_it() -> None:
    life = Life(Steps)
    life.returns("one", state='{"x":1}', result='"so far"')
    life.returns("two")
    life.signal("end")
    life.returns("end")
    assert (life.run.state, life.run.result) == ('{"x":1}', '"so far"')


def test_a_run_goes_on_with_its_worker_where_something_automatic_leaves() -> None:
    life = Life(Steps)
    commit = life.returns("one")
    assert life.where == ("running", "a")
    assert (life.run.owner, life.run.claim, commit.parks) == ("me", 1, False)


def test_parking_happens_in_the_checkpoint_s_own_commit() -> None:
    life = Life(Steps)
    life.returns("one")
    commit = life.returns("two")
    assert life.where == ("waiting", "wait")
    run = life.run
    assert (commit.parks, run.owner, run.claim, run.ready_at, run.due_at) == (True, None, 2, None, None)
    assert len(life.history) == 3


def test_looking_in_vain_parks_without_a_history_row_or_a_version() -> None:
    life = Life(Steps)
    life.returns("one")
    life.returns("two")
    life.run = life.run._replace(ready_at=life.now)
    commit = life.rests()
    assert (commit.history, commit.left, life.run.version, life.run.visit) == (None, (), 2, 2)
    assert life.run.claim == 4  # claimed, and released


def test_the_end_completes_the_run() -> None:
    life = Life(Steps)
    life.returns("one")
    life.returns("two")
    life.signal("end")
    commit = life.returns("end", result='"done"')
    run = life.run
    assert (run.status, run.place, run.result, run.finished_at) == ("completed", "end", '"done"', life.now)
    assert (run.owner, run.ready_at, run.due_at, run.deadline) == (None, None, None, None)
    assert (commit.left, commit.listeners) == ((2,), None)


def test_a_stale_commit_is_refused_by_version_and_claim() -> None:
    life = Life(Steps)
    commit = life.settle(life.next("one"), Returned(life.now))
    life.die()
    assert (commit.version, commit.claim) != (life.run.version, life.run.claim)
    life.returns("one")
    assert (commit.version, commit.claim) != (life.run.version, life.run.claim)


# -- a parent is told once (rule 17) ----------------------------------------------------------------------------------


class Child(Workflow, run_timeout=timedelta(hours=1)):
    @transition(target=END)
    async def work(self) -> None: ...


def child() -> Life:
    return Life(
        Child, request={"id": "child", "parent_id": "parent", "callback": "child_done", "callback_meta": '{"n":1}'}
    )


def test_a_parent_gets_the_result_and_its_meta_back() -> None:
    life = child()
    life.returns("work", result='{"sum":3}')
    [told] = life.told
    assert (told.id, told.run_id, told.name, told.kind) == ("child:end", "parent", "child_done", "child")
    assert (told.data, told.status, told.error, told.sender, told.meta) == (
        '{"sum":3}', "completed", None, "child", '{"n":1}',
    )  # fmt: skip
    assert (told.visit, told.state, told.accepted_at) == (None, "open", life.now)


def test_a_parent_is_told_of_a_failure_for_good() -> None:
    life = child()
    life.raises("work")
    [told] = life.told
    assert (told.status, told.data, told.error) == ("failed", "null", "Child.work: ValueError: no")


def test_a_parent_is_told_of_a_cancel() -> None:
    life = child()
    life.cancel("too late")
    assert [(told.status, told.error) for told in life.told] == [("canceled", "canceled: too late")]


def test_a_parent_is_told_when_a_child_can_t_go_on() -> None:
    life = child()
    life.passes(3600)
    life.rests()
    assert [told.status for told in life.told] == ["failed"]


def test_a_child_retried_after_its_first_end_tells_nobody() -> None:
    life = child()
    life.raises("work")
    life.retry()
    life.returns("work")
    assert life.run.status == "completed"
    assert [told.status for told in life.told] == ["failed"]


def test_a_child_without_a_callback_tells_nobody() -> None:
    life = Life(Child, request={"parent_id": "parent"})
    life.returns("work")
    assert life.told == []
    assert life.run.told_at is None


def test_children_end_with_a_parent_that_completes_or_is_cancelled_but_not_with_one_that_fails() -> None:
    def parent() -> Life:
        life = Life(Child)
        life.run = life.run._replace(children=1)
        return life

    assert parent().returns("work").ends_children
    cancelled = parent().cancel()
    assert cancelled is not None
    assert cancelled.ends_children
    assert not parent().raises("work").ends_children


def test_children_outlive_a_checkpoint_that_ends_nothing() -> None:
    life = Life(Steps)
    life.run = life.run._replace(children=1)
    assert not life.returns("one").ends_children


def test_without_children_nothing_has_to_be_ended() -> None:
    assert not Life(Child).returns("work").ends_children


def test_a_late_failure_of_a_guard_is_no_different() -> None:
    life = child()
    life.apply(life.settle(life.next("work"), Raised(life.now, TimeoutError("the guard took too long"))))
    assert life.run.error == "Child.work: TimeoutError: the guard took too long"


# -- the row of a step ----------------------------------------------------------------------------------------------


def test_a_step_writes_its_row_field_by_field() -> None:
    life = Life(Listening, args=ARGS)
    full = RunRow(*(f"value of {name}" for name in RunRow._fields))._replace(  # type: ignore[arg-type]
        place="unpaid", version=7, claim=3, detours=None, stay=None, callback="called", told_at=None, canceling=None
    )
    given: dict[str, Any] = {"state": "state", "result": "result", "error": "error", "automatic": 5, "children": 6}
    new = {
        "version": 8, "visit": 8, "entered_at": 9, "updated_at": 9, "attempt": 0, "failing": None, "failures": 0,
        "bound": None, "bound_signal": None, "moves_to": None, "takeovers": 0, "suspicion": None, "due_at": None,
        "timers": None,
    }  # fmt: skip
    started = enter(life.definition, full, "start", (), 9, **given)
    assert started == full._replace(status="running", place="start", **new, **given)
    ended = {
        "status": "completed", "owner": None, "claim": 4, "ready_at": None, "deadline": None, "told_at": 9,
        "finished_at": 9, "place": "end",
    }  # fmt: skip
    assert enter(life.definition, full, END, (), 9, **given) == full._replace(**new, **given, **ended)
