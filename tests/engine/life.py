"""One run, lived through by the engine alone: a model store with a fence, an inbox and a history, and a clock to set.

The verbs are those of the specification. What the model does to a row is what the store does to it; what the engine
decides is nowhere repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from stepwell import Workflow
from stepwell.definition.authoring.workflow import definition_of
from stepwell.engine.choose import DEFAULT_RULES, AskGuards, Decision, Execute, Fail, Move, Park, Rules, decide
from stepwell.engine.commit import NOTHING, Commit, DocumentWrite, Effects, Outcome, Raised, Returned
from stepwell.engine.control import Request, begin, cancel, retry
from stepwell.engine.run import HistoryRow, Inbox, RunRow, SignalRow, claimed, freed, signalled, unless_signalled
from stepwell.engine.settle import fail, move, park, settle
from stepwell.engine.signals import Arrival, First, Kept, Unused, accept, is_void, rivals, traces
from stepwell.engine.visits import reserved

START_OF_TIME = 1_000_000_000


class Lost(Exception):
    """The commit came too late: nothing of it was applied."""


@dataclass
class Life:
    """A run of `workflow` and everything that commits have made true of it. `me` is the worker that claims it."""

    workflow: type[Workflow[Any, Any, Any]]
    rules: Rules = DEFAULT_RULES
    args: str = "null"
    request: Mapping[str, Any] = field(default_factory=dict)
    hold: bool = False
    now: int = START_OF_TIME
    history: list[HistoryRow] = field(default_factory=list)
    signals: dict[str, SignalRow] = field(default_factory=dict)
    documents: list[DocumentWrite] = field(default_factory=list)
    children: list[Commit] = field(default_factory=list)
    told: list[SignalRow] = field(default_factory=list)
    guards: dict[str, bool | Exception] = field(default_factory=dict)
    """What the guard of a transition says; True where nothing is given."""
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.definition = definition_of(self.workflow)
        wanted = {"id": "run", "app_name": "app", "user_id": "u1", "workspace_id": "w", "owner": "me", **self.request}
        self.creation = begin(
            self.definition, Request(args=self.args, state=self.definition.new_state(), **wanted), self.now
        )
        self.run = self.creation.run
        assert self.creation.history is not None
        self.history.append(self.creation.history)

    # -- the store --------------------------------------------------------------------------------------------------

    @property
    def inbox(self) -> Inbox:
        """The open signals, oldest first."""
        return tuple(signal for signal in self.signals.values() if signal.state == "open")

    def apply(self, commit: Commit) -> RunRow:
        """The commit is true, all of it. Raises Lost, and nothing of it is."""
        if (commit.version, commit.claim) != (self.run.version, self.run.claim):
            raise Lost
        self.run = run = unless_signalled(commit.run, self.run.inbox)._replace(inbox=self.run.inbox)
        self.history += [commit.history] if commit.history is not None else []
        self.documents += commit.effects.documents
        self.children += commit.effects.children
        self.told += [commit.tell] if commit.tell is not None else []
        unused = []
        for signal in self.inbox:
            if signal.id == commit.taken:
                self.signals[signal.id] = signal._replace(state="taken", version=run.version)
            elif is_void(commit, signal):
                self.signals[signal.id] = signal._replace(state="void", version=run.version)
                unused.append(signal)
            elif run.finished:
                unused.append(signal)  # it stays as it is, and has its trace
        seen = [Unused(s.id, s.run_id, s.name, s.kind, s.user_id, s.sender, s.accepted_at) for s in unused]
        rows = traces(commit, seen)
        self.history += rows
        self.run = run._replace(version=run.version + len(rows))
        return self.run

    def put(self, signal: SignalRow) -> SignalRow:
        """The signal is in the inbox, and a run that waits is ready."""
        self.signals[signal.id] = signal
        self.run = signalled(self.run, self.now)
        return signal

    @property
    def claimable(self) -> bool:
        """Ready, or due by now."""
        run = self.run
        return run.owner is None and (run.ready_at is not None or (run.due_at is not None and run.due_at <= self.now))

    def claim(self) -> None:
        """The run is mine. It has to be ready."""
        assert self.claimable, f"{self.run.status} run: ready_at={self.run.ready_at}, due_at={self.run.due_at}"
        self.run = claimed(self.run, "me", self.now)

    def die(self) -> None:
        """The worker dies, and the run is taken over."""
        self.run = freed(self.run, self.now, deaths=1)

    # -- the worker -------------------------------------------------------------------------------------------------

    def decide(self) -> Decision:
        """What the engine wants, with the guards asked on the way as it asks for them."""
        verdicts: dict[int, bool] = {}
        while True:
            decision = decide(self.definition, self.run, self.inbox, verdicts, self.now, self.rules)
            if not isinstance(decision, AskGuards):
                return decision
            self.asked.append(decision.transition.name)
            verdict = self.guards.get(decision.transition.name, True)
            assert isinstance(verdict, bool)
            verdicts[decision.transition.order] = verdict

    def settle(self, decision: Execute, outcome: Outcome) -> Commit:
        """The commit of an attempt, not yet applied."""
        return settle(self.definition, self.run, decision, outcome, self.inbox, self.now, hold=self.hold)

    def unexecuted(self, decision: Decision) -> Commit:
        """The commit of a decision that calls no method."""
        match decision:
            case Park():
                return park(self.run, decision, self.now)
            case Move(place):
                return move(self.run, place, self.now)
            case Fail():
                return fail(self.run, decision, self.now, self.now)
        raise AssertionError(f"{decision} can't be committed")

    def ready(self) -> None:
        """The run is mine, claimed if it has to be, and through its moves."""
        if self.run.owner is None:
            self.claim()
        if self.run.moves_to is not None and isinstance(decision := self.decide(), Move):
            self.apply(self.unexecuted(decision))

    def next(self, name: str) -> Execute:
        """The decision to execute `name`, which is what has to come next."""
        self.ready()
        decision = self.decide()
        assert isinstance(decision, Execute), decision
        assert decision.transition.name == name, f"{decision.transition.name} comes first"
        return decision

    def returns(
        self, name: str, *, state: str | None = None, result: str | None = None, effects: Effects = NOTHING
    ) -> Commit:
        """`name` comes next, and returns."""
        commit = self.settle(self.next(name), Returned(self.now, state, result, effects))
        self.apply(commit)
        return commit

    def raises(self, name: str, error: BaseException | None = None, *, repeatable: bool = True) -> Commit:
        """`name` comes next, and raises."""
        error = ValueError("no") if error is None else error
        commit = self.settle(self.next(name), Raised(self.now, error, "the traceback", repeatable=repeatable))
        self.apply(commit)
        return commit

    def rests(self) -> Commit:
        """Nothing is to be executed now: the run parks or fails."""
        self.ready()
        decision = self.decide()
        assert isinstance(decision, Park | Fail), decision
        commit = self.unexecuted(decision)
        self.apply(commit)
        return commit

    # -- the world --------------------------------------------------------------------------------------------------

    def passes(self, duration: timedelta | float) -> None:
        """Time goes by: a timedelta, or seconds."""
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        self.now += round(seconds * 1_000_000)

    def signal(self, name: str, data: str = "null", *, event: bool = False, unseen: bool = False) -> SignalRow:
        """Somebody signals, and it is accepted. `unseen`: by an older version, which didn't ask what came first."""
        self.passes(0.001)
        arrival = Arrival(f"{name}-{len(self.signals)}", name, data, "event" if event else "signal", "u2")
        kept = self.kept(arrival)
        if unseen:
            kept = kept._replace(first=None)
        accepted = accept(self.definition, self.run, arrival, kept, self.now, self.rules)
        return self.put(accepted)

    def kept(self, arrival: Arrival) -> Kept:
        """What the store says of the inbox to one that arrives."""
        counted = [signal for signal in self.inbox if signal.kind != "child"]
        here = [s for s in self.inbox if s.visit in (None, self.run.arrived) and s.id not in reserved(self.run)]
        same = sum((s.kind, s.name) == (arrival.kind, arrival.name) for s in here)
        wanted = rivals(self.definition, self.run, arrival)
        first = next(
            (First(s.name, s.kind, s.user_id, s.accepted_at) for s in here if (s.kind, s.name) in wanted), None
        )
        return Kept(len(counted), same, sum(s.size for s in counted), first)

    def child_ends(
        self, name: str, status: Literal["completed", "failed", "canceled"] = "completed", data: str = "null"
    ) -> SignalRow:
        """A child that calls back to `name` has ended."""
        self.passes(0.001)
        error = None if status == "completed" else "it broke"
        ended = SignalRow(
            f"child-{len(self.signals)}:end", self.run.id, name, "child", data, status, error, "child", None, None, None,
            None, self.now, "open", None,
        )  # fmt: skip
        return self.put(ended)

    def cancel(self, reason: str | None = None, executing: str | None = None) -> Commit | None:
        """A person cancels."""
        commit = cancel(self.run, reason, executing, self.now)
        if commit is not None:
            self.apply(commit)
        return commit

    def retry(self) -> Commit:
        """A person retries."""
        commit = retry(self.definition, self.run, self.now)
        self.apply(commit)
        return commit

    # -- what is told of it -----------------------------------------------------------------------------------------

    @property
    def path(self) -> list[str]:
        """The history as one line per attempt: transition, places, number and status."""
        return [
            f"{row.transition}#{row.attempt} {row.source}->{row.target} {row.status}"
            for row in self.history[1:]
            if row.status != "void"
        ]

    @property
    def unused(self) -> list[str]:
        """What the history tells of signals that weren't used."""
        return [row.error or "" for row in self.history if row.status == "void"]

    @property
    def where(self) -> tuple[str, str]:
        """Status and place."""
        return self.run.status, self.run.place
