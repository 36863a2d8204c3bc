"""Which transition fires next: rules 1 to 3a, 12 and 45, and the order of candidates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from engine.life import Life
from stepwell import END, Event, Retry, Workflow, transition
from stepwell.definition.authoring.workflow import definition_of
from stepwell.engine.choose import AskGuards, Execute, Fail, Park, Rules, Unfit, decide
from stepwell.engine.commit import Raised

SECOND = timedelta(seconds=1)


def says(self: Any) -> bool:
    """A guard; what it says is up to the test."""
    return True


class Candidates(Workflow):
    @transition(target=END, when=says)
    async def first_declared(self) -> None: ...

    @transition(target=END, when=says, priority=1)
    async def low(self) -> None: ...

    @transition(target=END, when=says, priority=9)
    async def high(self) -> None: ...

    @transition(target=END, when=says, priority=9)
    async def high_too(self) -> None: ...

    @transition(target=END)
    async def otherwise(self) -> None: ...


ORDER = ["high", "high_too", "low", "first_declared", "otherwise"]


def test_higher_priority_comes_first_then_those_without_one_each_as_declared() -> None:
    assert [t.name for t in definition_of(Candidates).places["start"].automatic] == ORDER


@pytest.mark.parametrize("fires", ORDER)
def test_the_first_candidate_whose_guard_is_true_or_absent_fires(fires: str) -> None:
    life = Life(Candidates, guards={name: name == fires for name in ORDER})
    life.returns(fires)


@pytest.mark.parametrize("fires", ORDER)
def test_guards_are_asked_one_at_a_time_and_only_as_far_as_needed(fires: str) -> None:
    life = Life(Candidates, guards={name: name == fires for name in ORDER})
    life.next(fires)
    guarded = ORDER[:-1]
    assert life.asked == guarded[: ORDER.index(fires) + 1]


def test_the_engine_asks_for_a_guard_and_decides_nothing_before_it_is_answered() -> None:
    life = Life(Candidates)
    decision = decide(life.definition, life.run, (), {}, life.now)
    assert decision == AskGuards(life.definition.places["start"].automatic[0])


class Guarded(Workflow):
    def is_large(self) -> bool: ...

    def is_small(self) -> bool: ...

    @transition(target="sorted", when=is_large)
    async def large(self) -> None: ...

    @transition(target="sorted", when=is_small)
    async def small(self) -> None: ...

    @transition("sorted", END)
    async def done(self) -> None: ...


def test_with_all_guards_false_and_nothing_waiting_the_run_fails_and_names_place_and_guards() -> None:
    life = Life(Guarded, guards={"large": False, "small": False})
    life.rests()
    assert life.where == ("failed", "start")
    assert life.run.error is not None
    assert life.run.error.startswith("Guarded: at 'start' no guard is true (is_large, is_small)")
    assert life.path == ["None#1 start->None failed"]
    assert [document.name for document in life.documents] == ["error"]


def test_retry_evaluates_the_guards_again() -> None:
    life = Life(Guarded, guards={"large": False, "small": False})
    life.rests()
    life.retry()
    life.guards["small"] = True
    life.returns("small")
    assert life.run.place == "sorted"
    assert life.asked == ["large", "small", "large", "small"]


def test_a_guard_that_raises_is_a_failed_attempt_of_its_transition() -> None:
    # The shell settles it as such: the engine takes an outcome for a transition that it has only asked for.
    life = Life(Guarded)
    [large, _] = life.definition.places["start"].automatic
    life.apply(life.settle(Execute(large), Raised(life.now, ZeroDivisionError("0"))))
    assert life.path == ["large#1 start->None failed"]
    assert life.run.error == "Guarded.large: ZeroDivisionError: 0"


class Circle(Workflow):
    @transition(target="a")
    async def go(self) -> None: ...

    @transition("a", "b")
    async def on(self) -> None: ...

    @transition("b", "a", when=says)
    async def back(self) -> None: ...

    @transition("b", "a", wait=True)
    async def resume(self) -> None: ...


def circle_at_its_limit(limit: int) -> Life:
    life = Life(Circle, Rules(max_transitions=limit))
    life.returns("go")
    for n in range(limit - 1):
        life.returns("back" if n % 2 else "on")
    return life


def test_automatic_transitions_in_a_row_are_limited() -> None:
    life = circle_at_its_limit(5)
    life.rests()
    assert life.where == ("failed", "a")
    assert life.run.error is not None
    assert "5 automatic transitions in a row without parking (at 'a'; max_transitions_per_pass is 5)" in life.run.error


def test_a_take_over_does_not_reset_the_count() -> None:
    life = circle_at_its_limit(5)
    life.die()
    life.rests()
    assert life.run.status == "failed"


def test_parking_resets_the_count() -> None:
    life = circle_at_its_limit(4)
    life.guards["back"] = False
    life.rests()
    assert life.where == ("waiting", "b")
    life.signal("resume")
    life.returns("resume")
    life.returns("on")
    assert life.run.automatic == 1


def test_a_manual_retry_resets_the_count() -> None:
    life = circle_at_its_limit(5)
    life.rests()
    life.retry()
    life.returns("on")


def test_a_guard_that_says_no_at_the_limit_lets_the_run_park() -> None:
    life = circle_at_its_limit(4)
    life.guards["back"] = False
    assert isinstance(life.decide(), Park)


class ErrorCircle(Workflow):
    @transition(target="a")
    async def go(self) -> None: ...

    @transition("a", END, error_place="a")
    async def fails(self) -> None: ...


def test_a_circle_of_error_places_is_limited_too() -> None:
    life = Life(ErrorCircle, Rules(max_transitions=3))
    life.returns("go")
    life.raises("fails")
    life.raises("fails")
    life.rests()
    assert life.where == ("failed", "a")


class GuardedErrorCircle(Workflow):
    @transition(target=END, error_place="start", when=says)
    async def fails(self) -> None: ...


def test_a_circle_by_a_guard_that_raises_is_limited_too() -> None:
    life = Life(GuardedErrorCircle, Rules(max_transitions=3))
    [fails] = life.definition.places["start"].automatic
    for _ in range(4):
        life.apply(life.settle(Execute(fails), Raised(life.now, ValueError("guard"))))
    assert isinstance(decide(life.definition, life.run, (), {}, life.now, life.rules), Fail)


class Counting(Workflow):
    """One automatic transition for each input, as a parent that counts its children."""

    @transition(target="open")
    async def go(self) -> None: ...

    @transition("open", "counted", wait=True)
    async def told(self) -> None: ...

    @transition("open", "counted", on=Event("told"))
    async def heard(self) -> None: ...

    @transition("counted", "open")
    async def again(self) -> None: ...


@pytest.mark.parametrize("kind", ["signal", "event", "child"])
def test_input_begins_the_count_anew_also_where_the_run_never_parks(kind: str) -> None:
    life = Life(Counting, Rules(max_transitions=2))
    name = "heard" if kind == "event" else "told"
    for _ in range(9):
        if kind == "child":
            life.child_ends(name)
        else:
            life.signal(name, event=kind == "event")
    life.returns("go")
    for _ in range(9):
        life.returns(name)
        life.returns("again")
    assert life.where == ("waiting", "open")


def test_input_that_fails_into_an_error_place_begins_the_count_anew_too() -> None:
    class Routed(Workflow):
        @transition(target="open")
        async def go(self) -> None: ...

        @transition("open", END, wait=True, keep=True, error_place="wrong")
        async def told(self) -> None: ...

        @transition("wrong", "open")
        async def again(self) -> None: ...

    life = Life(Routed, Rules(max_transitions=2))
    for _ in range(5):
        life.signal("told")
    life.returns("go")
    for _ in range(5):
        life.raises("told")
        life.returns("again")
    assert life.where == ("waiting", "open")


class Waking(Workflow):
    @transition(target="asleep")
    async def go(self) -> None: ...

    @transition("asleep", "one", after=timedelta(seconds=1))
    async def wake(self) -> None: ...

    @transition("one", "two")
    async def walk(self) -> None: ...

    @transition("two", "asleep")
    async def lie_down(self) -> None: ...


def test_a_timer_that_ended_a_wait_begins_the_count_anew() -> None:
    life = Life(Waking, Rules(max_transitions=2))
    life.returns("go")
    for _ in range(5):
        life.passes(1)
        life.returns("wake")
        life.returns("walk")
        life.returns("lie_down")
    assert life.where == ("waiting", "asleep")


class Restless(Workflow):
    """A timer that is due by the time at which the guard has been asked: the run never parks."""

    @transition(target="a")
    async def go(self) -> None: ...

    @transition("a", END, when=says)
    async def stop(self) -> None: ...

    @transition("a", "a", after=timedelta(microseconds=1))
    async def tick(self) -> None: ...


def test_a_circle_of_timers_that_are_due_before_it_parks_is_limited_too() -> None:
    life = Life(Restless, Rules(max_transitions=3))
    life.guards["stop"] = False
    life.returns("go")
    for _ in range(2):
        life.passes(0.001)
        life.returns("tick")
    life.passes(0.001)
    life.rests()
    assert life.where == ("failed", "a")


class Ticking(Workflow):
    @transition(target="a")
    async def go(self) -> None: ...

    @transition("a", "a", after=timedelta(0))
    async def tick(self) -> None: ...


def test_a_circle_of_timers_without_a_length_is_limited_too() -> None:
    life = Life(Ticking, Rules(max_transitions=3))
    life.returns("go")
    life.returns("tick")
    life.returns("tick")
    life.rests()
    assert life.where == ("failed", "a")


class Race(Workflow):
    @transition(target="wait")
    async def go(self) -> None: ...

    @transition("wait", "a", wait=True)
    async def first(self) -> None: ...

    @transition("wait", "b", wait=True)
    async def second(self) -> None: ...

    @transition("wait", "c", after=10 * SECOND)
    async def late(self) -> None: ...

    @transition("wait", "d", after=5 * SECOND)
    async def soon(self) -> None: ...

    @transition(["a", "b", "c", "d"], "wait")
    async def again(self) -> None: ...


@dataclass
class When:
    """What happens at which second after the place was entered, and who wins when a worker looks."""

    signals: dict[str, float]
    looks: float
    wins: str


@pytest.mark.parametrize(
    "when",
    [
        When({"first": 1, "second": 2}, looks=3, wins="first"),
        When({"second": 1, "first": 2}, looks=3, wins="second"),
        When({"first": 6}, looks=7, wins="soon"),
        When({"second": 4}, looks=60, wins="second"),
        When({}, looks=5, wins="soon"),
        When({}, looks=60, wins="soon"),
    ],
    ids=str,
)
def test_the_earlier_moment_wins(when: When) -> None:
    life = Life(Race)
    life.returns("go")
    entered = life.now
    for name, at in when.signals.items():
        life.now = entered + round(at * 1_000_000)
        life.signal(name, unseen=True)
    life.now = entered + round(when.looks * 1_000_000)
    life.returns(when.wins)


def test_of_equal_moments_the_first_declared_wins() -> None:
    life = Life(Race)
    life.signal("second")
    life.signal("first")
    life.returns("go")  # both were kept: their moment is the entry of the place
    life.returns("first")


class Timers(Workflow):
    @transition(target="wait")
    async def go(self) -> None: ...

    @transition("wait", END, after=5 * SECOND)
    async def soon(self) -> None: ...

    @transition("wait", END, after=9 * SECOND, retry=Retry(retries=1, delay=SECOND))
    async def late(self) -> None: ...


def test_a_timer_counts_from_entering_the_place_and_wakes_the_run() -> None:
    life = Life(Timers)
    life.passes(3)
    life.returns("go")
    assert life.run.due_at == life.now + 5_000_000
    life.passes(4.999)
    assert not life.claimable
    life.passes(0.001)
    life.returns("soon")


def test_looking_before_a_timer_is_due_parks_the_run_again() -> None:
    life = Life(Timers)
    life.returns("go")
    due_at = life.run.due_at
    life.run = life.run._replace(ready_at=life.now)
    life.passes(1)
    life.rests()
    assert life.run.due_at == due_at
    assert life.run.version == 1


# -- code that doesn't fit (rule 34) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"place": "gone"}, "its place 'gone' isn't in Race any more"),
        ({"moves_to": "gone"}, "the place 'gone' that it is to move to isn't in Race any more"),
        ({"bound": "gone"}, "the transition 'gone' that it is to retry doesn't leave 'wait' any more"),
        (
            {"bound": "first", "bound_signal": "x"},
            "the signal that 'first' is to retry with isn't in its inbox any more",
        ),
    ],
)
def test_a_run_whose_place_or_bound_transition_the_code_lacks_is_unfit(change: dict[str, Any], reason: str) -> None:
    life = Life(Race)
    life.returns("go")
    life.run = life.run._replace(**change)
    assert life.decide() == Unfit(reason)


# -- run_timeout ----------------------------------------------------------------------------------------------------


class Bounded(Workflow, run_timeout=timedelta(minutes=1)):
    @transition(target="wait", retry=Retry(retries=5, delay=timedelta(hours=1), max_delay=timedelta(hours=1)))
    async def go(self) -> None: ...

    @transition("wait", END, wait=True)
    async def end(self) -> None: ...

    @transition("wait", END, after=timedelta(hours=1))
    async def expire(self) -> None: ...


def test_a_run_wakes_at_its_run_timeout_and_fails() -> None:
    life = Life(Bounded)
    life.returns("go")
    assert life.run.due_at == life.creation.run.created_at + 60_000_000
    life.passes(60)
    life.rests()
    assert life.where == ("failed", "wait")
    assert life.run.error == "Bounded: run_timeout of 60 s is over"


def test_run_timeout_does_not_wait_for_the_delay_of_a_retry() -> None:
    life = Life(Bounded)
    life.raises("go")
    assert life.run.due_at == life.run.deadline
    life.passes(60)
    life.rests()
    assert life.where == ("failed", "start")


def test_a_retry_gives_the_whole_run_timeout_again() -> None:
    life = Life(Bounded)
    life.passes(60)
    life.rests()
    life.retry()
    life.passes(59)
    life.returns("go")


def test_run_timeout_counts_from_a_delayed_start() -> None:
    life = Life(Bounded, request={"due_at": 2_000_000_000, "owner": None})
    assert life.run.deadline == 2_060_000_000
    assert (life.run.status, life.run.ready_at, life.run.due_at) == ("pending", None, 2_000_000_000)
