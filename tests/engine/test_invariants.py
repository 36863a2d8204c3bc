"""Random workflows, random lives: what must hold whatever happens (rules 3a, 7 and 29).

A definition is drawn: places, guards, signals, timers, events, retries, detours and error places at random. Then it is
lived through: outcomes, signals, ends of children, crashes that lose a commit, commits delivered twice or too late,
cancels and retries, in any order. After every commit all invariants are checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import new_class
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.life import Life, Lost
from stepwell import END, Event, Retry, Workflow, transition
from stepwell.definition.authoring.workflow import definition_of
from stepwell.engine.choose import PARKED, AskGuards, Execute, Fail, Move, Park, Rules, decide, fires
from stepwell.engine.commit import Commit, DocumentWrite, Effects, Outcome, Raised, Returned
from stepwell.engine.control import Request, begin, cancel, retry, set_aside, worn_out
from stepwell.engine.run import RunRow, SignalRow, names_in
from stepwell.errors import AlreadyAnswered, NonRetryable, PayloadTooLarge, RetryAfter, RunFinished, UnknownTransition

RULES = Rules(max_transitions=6, max_takeovers=3, max_kept_signals=8)
NAMES = ("alpha", "beta")
CHECKED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

ARROWS = {
    # What a commit of the engine may make of a status. A claim leads from the first three to `running`.
    "pending": {"canceled"},
    "waiting": {"canceled"},
    "retrying": {"canceled", "retrying", "running", "waiting", "completed", "failed"},  # the last four: held in delay
    "running": {"running", "waiting", "retrying", "completed", "failed", "canceled", "pending"},
    "failed": {"retrying", "canceled"},
    "completed": set(),
    "canceled": set(),
}

# -- a random workflow ------------------------------------------------------------------------------------------------


def guard(self: Any) -> bool:
    """What it says is drawn when it is asked."""
    raise AssertionError("the engine calls no guards")


@st.composite
def workflows(draw: st.DrawFn) -> type[Workflow[Any, Any, Any]]:
    """A class that passes the checks: every place is reached, and has a way out."""
    places = ["start", *(f"p{n}" for n in range(1, draw(st.integers(2, 5))))]
    chosen = st.sampled_from(places)
    seconds = st.integers(0, 3).map(lambda n: timedelta(seconds=n))
    policies = st.builds(
        Retry,
        retries=st.integers(0, 2),
        delay=seconds,
        backoff=st.just("fixed"),
        give_up_on=st.sampled_from([(), (KeyError,)]),
    )
    ways = {
        "retry": st.none() | policies,
        "retry_target": st.none() | chosen,
        "error_place": st.none() | chosen,
    }
    members: dict[str, Any] = {}

    def leave(place: str, target: str, **options: Any) -> None:
        async def method(self: Any) -> None: ...

        options.update({option: draw(strategy) for option, strategy in ways.items()})
        options["retry_target"] = options["retry_target"] if options["retry"] else None
        members[f"m{len(members)}"] = transition(place, target, **options)(method)

    for n, place in enumerate(places):
        targets = iter([places[n + 1]] if n + 1 < len(places) else [])
        target = lambda: next(targets, None) or draw(chosen | st.just(END))  # noqa: E731, B023
        guarded = draw(st.integers(0, 2))
        for _ in range(guarded):
            leave(place, target(), when=guard, priority=draw(st.none() | st.integers(0, 2)))
        match draw(
            st.sampled_from(["automatic", "waiting", "waiting", "guards"] if guarded else ["automatic", "waiting"])
        ):
            case "automatic":
                leave(place, target())
            case "waiting":
                for name in draw(st.lists(st.sampled_from([*NAMES, "tick"]), min_size=1, max_size=3, unique=True)):
                    kind = {"after": draw(seconds)} if name == "tick" else {"wait": True, "keep": draw(st.booleans())}
                    if name != "tick" and draw(st.integers(0, 3)) == 0:
                        kind = {"on": Event("happened")}
                    leave(place, target(), name=name, **kind)
            case _:
                pass
    return new_class("Random", (Workflow,), exec_body=lambda namespace: namespace.update(members))


# -- its life, under watch --------------------------------------------------------------------------------------------


@dataclass
class Watched(Life):
    """A life whose every commit is checked before and after it is applied."""

    committed: set[int] = field(default_factory=set)
    visits_left: set[int] = field(default_factory=set)
    stale: list[Commit] = field(default_factory=list)

    def apply(self, commit: Commit) -> RunRow:
        before, inbox = self.run, {signal.id for signal in self.inbox}
        after = super().apply(commit)
        self.stale.append(commit)
        assert after.status in ARROWS[before.status], f"{before.status} -> {after.status}"
        self._check_versions(commit, before, after)
        self._check_effects(commit, before, after)
        self._check_signals(commit, before, inbox)
        self._check_rest(after)
        return after

    def _check_versions(self, commit: Commit, before: RunRow, after: RunRow) -> None:
        traces = [row for row in self.history if row.status == "void" and row.version > before.version]
        assert after.version == before.version + (commit.history is not None) + len(traces)
        assert after.claim >= before.claim
        assert after.claim > before.claim or after.owner == before.owner is not None, "released without a new claim"
        assert PARKED <= after.automatic <= RULES.max_transitions + 1
        if commit.history is not None:
            assert commit.history.version == after.version - len(traces)
            assert commit.history.version not in self.committed
            self.committed.add(commit.history.version)
        assert [row.version for row in self.history] == list(range(len(self.history)))

    def _check_effects(self, commit: Commit, before: RunRow, after: RunRow) -> None:
        row = commit.history
        if row is None or row.status != "committed":
            assert (after.state, after.result, after.children) == (before.state, before.result, before.children)
            assert (commit.effects.children, commit.effects.emissions, commit.listeners) == ((), (), None)
            errors = [document.name for document in commit.effects.documents]
            assert errors == (["error"] if row is not None and row.status == "failed" else [])
        if row is not None and row.status == "failed":
            assert row.error == after.error
        if row is not None and row.transition is not None and row.status != "canceled":
            assert row.attempt == before.attempt + 1
        assert len(self.told) <= 1
        assert (len(self.told) == 1) == (after.told_at is not None)
        assert commit.ends_children <= after.finished

    def _check_signals(self, commit: Commit, before: RunRow, inbox: set[str]) -> None:
        if commit.taken is not None:
            assert commit.taken in inbox, "taken twice, or void"
            taken = self.signals[commit.taken]
            assert taken.visit in (None, before.arrived), "taken by a visit that it doesn't belong to"
            assert taken.visit not in self.visits_left
            assert taken.version == commit.run.version
        self.visits_left.update(commit.left)
        assert not [s for s in self.inbox if s.visit in commit.left], "not void, although its place was left"
        if not self.run.finished:
            assert self.run.arrived not in self.visits_left
        if commit.history is not None and self.run.place == before.place and not self.run.finished:
            given_up = {visit for visit in commit.left if visit == before.arrived}
            assert not given_up, "void, although the run is still at its place"
        for signal in self.signals.values():
            if signal.state == "void":
                assert signal.kind != "child"
                closed = signal.kind == "signal" and signal.name in names_in(self.run.callbacks)
                assert signal.visit is not None or closed
        told = {row.signal_id for row in self.history if row.status == "void"}
        void = {s.id for s in self.signals.values() if s.state == "void" or (s.state == "open" and self.run.finished)}
        assert void == told or len(void) > 10, "what isn't used has left no trace"
        bound = self.run.bound_signal
        assert bound is None or bound in {signal.id for signal in self.inbox}

    def _check_rest(self, run: RunRow) -> None:
        """What nobody executes is either over, or somebody will come back to it."""
        if run.owner is not None:
            assert run.status in ("running", "retrying")
            return
        assert run.status not in ("running",)
        if run.finished or run.status == "failed":
            assert (run.ready_at, run.due_at) == (None, None)
            assert (run.finished_at is not None) == run.finished
        elif run.status != "waiting":
            assert run.ready_at is not None or run.due_at is not None, "nobody will ever come back to it"
        elif run.ready_at is None:
            place = self.definition.places[run.place]
            slept_over = fires(place, run, self.inbox, self.now)
            assert slept_over is None or run.due_at is not None, f"{slept_over} is slept over"
            timers = [t for t in place.waiting if t.kind == "timer"]
            assert not timers or run.due_at is not None, "its timer never rings"

    # -- what may happen ----------------------------------------------------------------------------------------------

    def work(self, draw: st.DrawFn, *, crash: bool = False, outcome: Callable[[RunRow], Outcome] | None = None) -> bool:
        """One decision and its commit, if the run is claimable; a crash loses the commit. False: nothing to do."""
        if self.run.owner is None:
            if not self.claimable:
                return False
            self.claim()
        elif self.run.status == "retrying":
            assert self.run.due_at is not None
            self.now = max(self.now, self.run.due_at)  # a held run's worker waits out the delay
        commit = self._next(draw, outcome or (lambda run: draw(outcomes(run, self.now))))
        if crash:
            self.stale.append(commit)
            self.die()
        else:
            self.apply(commit)
        return True

    def _next(self, draw: st.DrawFn, outcome: Callable[[RunRow], Outcome]) -> Commit:
        if self.run.takeovers >= RULES.max_takeovers:
            return worn_out(self.definition, self.run, self.now)
        verdicts: dict[int, bool] = {}
        while isinstance(
            decision := decide(self.definition, self.run, self.inbox, verdicts, self.now, RULES), AskGuards
        ):
            assert decision.transition.order not in verdicts, "asked twice"
            verdict = draw(st.sampled_from([True, False, None]))
            if verdict is None:
                return self.settle(Execute(decision.transition), Raised(self.now, ValueError("guard")))
            verdicts[decision.transition.order] = verdict
        match decision:
            case Execute(chosen, signal):
                self._check_choice(chosen.name, signal)
                return self.settle(decision, outcome(self.run))
            case Park() | Fail() | Move():
                return self.unexecuted(decision)
        raise AssertionError(f"{decision}: the code fits")

    def _check_choice(self, name: str, signal: SignalRow | None) -> None:
        run = self.run
        assert run.bound in (None, name), "another one fires while one holds the place"
        if run.bound is not None:
            assert run.bound_signal == (signal.id if signal is not None else None), "not the same signal"
        elif signal is not None:
            assert signal.kind != "signal" or name not in names_in(run.callbacks), "a person answers for a child"
            rivals = [
                s for s in self.inbox if s.name == signal.name and s.visit == signal.visit and s.kind == signal.kind
            ]
            reserved = run.detours or ""
            assert signal == next(s for s in rivals if f'"{s.id}"' not in reserved), "not the oldest"

    def arrives(self, name: str, kind: str) -> None:
        """A signal, an event or the end of a child; what is refused changes nothing."""
        before = self.run, dict(self.signals)
        try:
            if kind != "child":
                self.signal(name, event=kind == "event")
            elif not self.run.finished and name in self.definition.signals:
                self.child_ends(name)
        except (RunFinished, UnknownTransition, PayloadTooLarge, AlreadyAnswered):
            assert before == (self.run, self.signals)

    def intervene(self, what: str) -> None:
        """A person cancels or retries; what is refused changes nothing."""
        run = self.run
        try:
            commit = (
                cancel(run, "because", None, self.now) if what == "cancel" else retry(self.definition, run, self.now)
            )
        except RunFinished:
            assert run.status == "completed" if what == "cancel" else run.status not in ("failed", "retrying")
            return
        assert (commit is None) == (what == "cancel" and run.status == "canceled")
        if commit is not None:
            self.apply(commit)

    def deliver_again(self) -> None:
        """Every commit that was applied, or lost in a crash, is too late now. A move to where the run is may be repeated."""
        before = self.run, list(self.history), dict(self.signals), list(self.documents)
        for commit in self.stale:
            moved = commit.history is None and commit.run == self.run._replace(inbox=commit.run.inbox)
            if moved and commit.run.claim == commit.claim:
                Life.apply(self, commit)
            else:
                with pytest.raises(Lost):
                    Life.apply(self, commit)
        assert before == (self.run, self.history, self.signals, self.documents)


class AChild(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


A_CHILD = begin(
    definition_of(AChild),
    Request("c", "app", "u1", "w", "null", "{}", parent_id="child", callback=NAMES[0]),
    1_000_000_000,
)


def outcomes(run: RunRow, now: int) -> st.SearchStrategy[Outcome]:
    """What a method may do."""
    document = DocumentWrite("notes", None, "{}", "[]", None, None, 0, "m")
    errors = st.sampled_from([ValueError("v"), KeyError("k"), NonRetryable("n"), RetryAfter(timedelta(seconds=2))])
    returned = st.builds(
        Returned,
        st.just(now),
        st.sampled_from([None, f'{{"n":{run.version}}}']),
        st.sampled_from([None, '"r"']),
        st.sampled_from([Effects(), Effects((document,)), Effects(children=(A_CHILD,))]),
    )
    return returned | st.builds(Raised, st.just(now), errors, repeatable=st.booleans())


OFTEN = ["work", "work", "work", "work", "work", "signal", "signal", "crash", "time", "again"]
HAPPENINGS = st.sampled_from([*OFTEN, "signal", "event", "child", "retry", "aside", "cancel"])


def a_life(draw: st.DrawFn) -> Watched:
    asked_to = {"id": "child", "parent_id": "parent", "callback": "done", "owner": draw(st.sampled_from(["me", None]))}
    return Watched(draw(workflows()), rules=RULES, request=asked_to, hold=draw(st.booleans()))


def happens(life: Watched, draw: st.DrawFn, what: str) -> None:
    match what:
        case "work" | "crash":
            life.work(draw, crash=what == "crash")
        case "signal" | "event" | "child":
            life.arrives(draw(st.sampled_from(NAMES)), what)
        case "time":
            life.passes(draw(st.sampled_from([0, 1, 2, 5])))
        case "again":
            life.deliver_again()
        case "aside" if life.run.owner is not None:
            life.apply(set_aside(life.run, life.now))
        case "retry" | "cancel":
            life.intervene(what)


@CHECKED
@given(data=st.data())
def test_whatever_happens(data: st.DataObject) -> None:
    draw: Any = data.draw
    life = a_life(draw)
    for what in draw(st.lists(HAPPENINGS, min_size=5, max_size=60)):
        happens(life, draw, what)
    life.deliver_again()


@CHECKED
@given(data=st.data())
def test_whatever_fails_comes_to_rest(data: st.DataObject) -> None:
    """Where every attempt fails and only retries' delays go by, the run ends up failed or waiting."""
    draw: Any = data.draw
    life = a_life(draw)
    for what in draw(st.lists(HAPPENINGS, max_size=30)):
        happens(life, draw, what)
    for _ in range(3000):
        if life.run.status == "retrying" and life.run.due_at is not None:
            life.now = max(life.now, life.run.due_at)
        if not life.work(draw, outcome=lambda run: Raised(life.now, ValueError("no"))):
            break
    else:
        raise AssertionError(f"it never rests: {life.path[-20:]}")
    assert life.run.status in ("failed", "waiting", "pending", "completed", "canceled")


@CHECKED
@given(data=st.data())
def test_a_crash_before_any_commit_changes_nothing_but_the_claim(data: st.DataObject) -> None:
    """The lost commit and the one after the take-over are the same but for claims: what a crash loses is done again."""
    draw: Any = data.draw
    life = a_life(draw)
    for what in draw(st.lists(HAPPENINGS, max_size=30)):
        happens(life, draw, what)
    if life.run.owner is None:
        if not life.claimable:
            return
        life.claim()
    elif life.run.due_at is not None:  # its worker waits out the delay of a retry, and executes nothing before
        life.now = max(life.now, life.run.due_at)
    outcome = draw(outcomes(life.run, life.now))
    said: dict[int, bool] = {}

    def attempt() -> Commit | None:
        while isinstance(decision := decide(life.definition, life.run, life.inbox, said, life.now, RULES), AskGuards):
            said[decision.transition.order] = draw(st.booleans())
        return life.settle(decision, outcome) if isinstance(decision, Execute) else None

    lost = attempt()
    life.die()
    life.claim()
    again = attempt()
    if lost is None or again is None:
        assert lost is again
        return
    assert again.history == lost.history
    assert again.effects == lost.effects
    assert again.run._replace(claim=0) == lost.run._replace(claim=0)
    with pytest.raises(Lost):
        Life.apply(life, lost)


def test_a_started_child_is_a_run_of_its_own() -> None:
    """The model's children are commits of `begin`: created with the parent's checkpoint or not at all."""

    class Family(Workflow):
        @transition(target=END)
        async def go(self) -> None: ...

    life = Life(Family)
    child = begin(life.definition, Request("c", "app", "u1", "w", "null", "{}", parent_id="run"), life.now)
    decision = life.next("go")
    life.settle(decision, Returned(life.now, effects=Effects(children=(child,))))
    assert life.children == []
    life.returns("go", effects=Effects(children=(child,)))
    assert [commit.run.id for commit in life.children] == ["c"]
