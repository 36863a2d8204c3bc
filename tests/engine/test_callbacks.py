"""A callback is fired by ends of children only (rule 50)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.life import Life
from stepwell import END, Retry, Workflow, transition
from stepwell.definition.authoring.workflow import definition_of
from stepwell.engine.choose import Execute
from stepwell.engine.commit import Effects, Returned
from stepwell.engine.control import Request, begin
from stepwell.errors import UnknownTransition


class Pays(Workflow):
    @transition(target=END)
    async def pay(self) -> None: ...


def children(*callbacks: str | None) -> Effects:
    """As many children as there are callbacks."""
    made = [
        begin(
            definition_of(Pays), Request(f"c{n}", "app", "u1", "w", "null", "{}", parent_id="run", callback=callback), 1
        )
        for n, callback in enumerate(callbacks)
    ]
    return Effects(children=tuple(made))


class Order(Workflow):
    @transition(target="paying")
    async def order(self) -> None: ...

    @transition("paying", "packing", wait=True, keep=True)
    async def paid(self) -> None: ...

    @transition("paying", END, wait=True)
    async def give_up(self) -> None: ...

    @transition("packing", "paying")
    async def pay_more(self) -> None: ...


def test_a_signal_to_a_callback_is_refused_from_the_first_child_on_for_ever() -> None:
    life = Life(Order)
    life.returns("order", effects=children("paid"))
    for _ in range(2):
        before = life.run
        with pytest.raises(
            UnknownTransition, match=r"'paid' is the callback.*child's end fires it.*: give_up\."
        ) as error:
            life.signal("paid")
        assert error.value.http_status == 409
        assert life.run == before
        life.child_ends("paid")
        life.returns("paid")
        life.returns("pay_more")
    life.signal("give_up")


def test_without_a_child_it_is_a_signal_like_any_other() -> None:
    life = Life(Order)
    life.returns("order", effects=children(None))
    life.signal("paid")
    life.returns("paid")


def test_a_signal_kept_before_there_was_a_child_never_answers_for_it() -> None:
    life = Life(Order)
    forged = life.signal("paid", '"forged"')
    other = life.signal("give_up")
    life.returns("order", effects=children("paid", "paid"))
    assert life.signals[forged.id].state == "void"
    assert life.signals[other.id].state == "open"


def test_a_signal_accepted_while_the_child_is_being_started_never_answers_for_it() -> None:
    life = Life(Order)
    decision = life.next("order")
    commit = life.settle(decision, Returned(life.now, effects=children("paid")))
    forged = life.signal("paid")
    life.apply(commit)
    assert life.signals[forged.id].state == "void"
    life.claim()
    life.rests()
    end = life.child_ends("paid")
    assert life.returns("paid").taken == end.id


def test_what_an_older_version_kept_for_a_callback_is_never_taken() -> None:
    life = Life(Order)
    forged = life.signal("paid")
    life.returns("order", effects=children("paid"))
    life.put(forged)
    life.ready()
    life.rests()
    end = life.child_ends("paid")
    life.ready()
    decision = life.decide()
    assert isinstance(decision, Execute)
    assert decision.signal == end


class Repairs(Workflow):
    @transition(target="asking")
    async def go(self) -> None: ...

    @transition("asking", END, wait=True, retry=Retry(retries=3, delay=timedelta(0)), retry_target="repairing")
    async def answer(self) -> None: ...

    @transition("repairing", "asking")
    async def repair(self) -> None: ...


def test_what_an_interrupted_visit_is_bound_to_was_taken_before_there_was_a_child() -> None:
    life = Life(Repairs)
    life.returns("go")
    bound = life.signal("answer")
    life.raises("answer")
    life.returns("repair", effects=children("answer"))
    assert life.returns("answer").taken == bound.id


def test_a_commit_names_only_the_callbacks_that_are_new() -> None:
    life = Life(Order)
    assert life.returns("order", effects=children("paid", None)).closed == ("paid",)
    life.child_ends("paid")
    life.returns("paid")
    assert life.returns("pay_more", effects=children("paid")).closed == ()
    assert life.run.callbacks == '["paid"]'


def test_what_is_void_because_a_child_fires_it_says_so() -> None:
    life = Life(Order)
    life.signal("paid")
    life.returns("order", effects=children("paid"))
    assert life.unused == [
        "The signal 'paid' of u2 was not used: it is the callback of a child since version 1, which the child's end alone "
        "fires"
    ]
