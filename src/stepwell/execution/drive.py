"""The life of a run in one process, until it parks, ends, or is lost to another. Each stage hands a value to the next.

    decided   engine.decide          -> Decision: what is to be done next
    called    execution.call         -> Outcome: what the method did
    settled   engine.settle          -> Commit: what that makes of the run
    stored    storage.commit         -> RunRow: the row as it is now

`_drive_on`, `_called` and `_concluded` are that pipeline. What most transitions don't need has methods of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, assert_never

from stepwell.definition.model import Definition, Transition
from stepwell.definition.text import is_a, kind_of, told
from stepwell.engine.choose import AskGuards, AskTimers, Decision, Execute, Fail, Move, Park, Unfit, Verdicts, decide
from stepwell.engine.commit import Commit, Outcome, Raised, Returned
from stepwell.engine.control import handed_back, set_aside, worn_out
from stepwell.engine.run import Inbox, RunRow, SignalRow
from stepwell.engine.settle import fail, move, park, settle
from stepwell.engine.signals import is_void
from stepwell.errors import LeaseLost, StatelessError, StoreUnavailable, TransitionTimeout
from stepwell.execution.attempt import Attempt
from stepwell.execution.begun import end, still_open
from stepwell.execution.call import Interrupted, ask, call
from stepwell.execution.clock import sleep_unless
from stepwell.execution.inbox import with_whole_signal
from stepwell.execution.info import log_failure
from stepwell.execution.migrating import carry_on
from stepwell.execution.scope import Limit, LoopLimits, Reason, Scope
from stepwell.execution.shared import Shared
from stepwell.execution.storage import Journal, Storage, patiently
from stepwell.execution.timers import with_timers, with_timers_here
from stepwell.execution.user_errors import logged, trace_of
from stepwell.execution.versions import fitted

log = logging.getLogger("stepwell.execution")

_UNASKED: Final[Verdicts] = MappingProxyType({})


@dataclass(slots=True)
class Pass:
    """One run in the hands of this process. `drive` takes it on; `stop` ends it from outside."""

    shared: Shared
    storage: Storage
    run: RunRow
    inbox: Inbox = ()
    journal: Journal = field(default_factory=dict)
    hold: bool = False
    """Wait out the delays of retries instead of releasing the run."""
    fresh: bool = False
    """Made by this process a moment ago: its args and state fit this code."""
    more: bool = False
    """The inbox holds only the first ones of some kinds of signals; the database has more."""
    extra: bool = False
    """It takes no slot of the worker's."""
    waits_for: list[str] = field(default_factory=list)
    """Runs for whose end its transition waits."""
    attempt: Attempt | None = None
    """The attempt of a guard or a method, until its outcome is stored."""
    decision: Execute | None = None
    """The transition that it executes, until its checkpoint is stored."""
    stopped: Reason | None = None
    paused: bool = False
    """Its workflow is paused: it is handed back at its next checkpoint."""
    blocked: Callable[[], str] | None = None
    """Return the text of the failure. Set by the thread of the heartbeat if this pass blocks the loop for too long."""
    on_checkpoint: Callable[[], None] | None = None
    """Called after each turn that leaves the run without suspicion, or lost; may be called again."""
    on_unfit: Callable[[RunRow, str], None] = lambda run, reason: None
    task: asyncio.Task[Any] = field(init=False)
    limits: LoopLimits = field(init=False)

    # -- from outside -------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """End the pass after the present transition; `worker.loop.Shutdown` releases the run then."""
        self.stopped = self.stopped or "drain"

    def stop(self, reason: Reason) -> None:
        """Cancel the method or guard that it executes; what has returned is still stored, if the fence holds."""
        self.stopped = reason
        if self.attempt is not None:
            self.attempt.scope.stop(reason)

    def drive(self) -> Coroutine[Any, Any, RunRow | None]:
        """Return the run where it parked or ended; None if lost or stopped. Must be called in the pass's own task."""
        task = asyncio.current_task()
        assert task is not None  # it is awaited
        self.task = task
        self.limits = self.shared.time_limits.here()
        definition = self.shared.registry.find(self.run.app_name, self.run.workflow_name)
        found = self.run if self.fresh and definition else fitted(definition, self.run)
        if definition is None or isinstance(found, Unfit):
            assert isinstance(found, Unfit)  # nothing fits where there is no definition
            return self._stored(self._aside(found.reason))
        if not self.fresh and (definition.renamed or found is not self.run):
            carry_on(self, definition, found)
        if self.run.takeovers >= self.shared.rules.max_takeovers:
            return self._stored(worn_out(definition, self.run, self.shared.clock.now()))
        return self._drive_on(definition)

    async def drive_after(self, error: BaseException) -> RunRow | None:
        """Continue where a GeneratorExit or RuntimeError in user code has closed `drive`: that attempt has failed."""
        attempt = self.attempt
        assert attempt is not None  # only user code can do that
        attempt.over = True
        if attempt.inside is not None:
            await end(attempt.inside, still_open(attempt.calls or ()), self.shared.limits.cleanup_seconds, self._what)
        if attempt.held is not None:
            await attempt.held.close()
        decision = Execute(attempt.transition, attempt.signal)
        run = await self._failure_stored(attempt.definition, decision, self.shared.clock.now(), error)
        return await self._drive_on(attempt.definition) if await self._continues_here(run) else run

    @property
    def in_user_code(self) -> bool:
        """True if a guard or a method of the run hasn't come to its end."""
        return self.attempt is not None and not self.attempt.over

    @property
    def sleeps_until(self) -> int | None:
        """The moment until which it waits out the delay of a retry, of the transition's or a step's; None if it doesn't."""
        if self.run.status == "retrying":
            return self.run.due_at
        return None if self.attempt is None or self.attempt.over else self.attempt.sleeps_until

    @property
    def executing(self) -> Transition | None:
        """The transition whose method it executes now, or whose checkpoint is being stored."""
        return None if self.decision is None else self.decision.transition

    @property
    def method(self) -> str:
        """The method that it executes now, as its author knows it."""
        definition = self.shared.registry.find(self.run.app_name, self.run.workflow_name)
        name = definition.workflow.__name__ if definition is not None else self.run.workflow_name
        return f"{name}.{self.executing.method}" if self.executing else f"a guard of {name}"

    def _what(self) -> str:
        transition = self.executing.name if self.executing else "a guard"
        return f"{transition} of run {self.run.id} ({self.run.workflow_name})"

    # -- the pipeline -------------------------------------------------------------------------------------------------

    async def _drive_on(self, definition: Definition) -> RunRow | None:
        while self.stopped is None and not self.paused:
            now = self.shared.clock.now()
            first = decide(definition, self.run, self.inbox, _UNASKED, now, self.shared.rules)
            try:
                if type(first) is Execute and first.signal is None:
                    outcome = await self._called(definition, first, now)
                    run = await self._concluded(definition, first, outcome)
                else:
                    run = await self._drive_prepared(definition, first)
            except Interrupted:
                run = None
            finally:
                self.decision = None
                if self.attempt is not None and self.attempt.held is not None:
                    await self.attempt.held.close()
            self.attempt = None
            if self.on_checkpoint is not None and (run is None or run.suspicion is None):
                self.on_checkpoint()
            if run is not None and run.owner is not None and run.status == "running":
                self.run = run
            elif not await self._continues_here(run):
                return run
        return await self._stored(handed_back(self.run, self.shared.clock.now())) if self.stopped is None else None

    async def _called(self, definition: Definition, decision: Execute, started_at: int) -> Outcome:
        """Call the method and return its outcome. Raises Interrupted if it was stopped from outside."""
        self.decision = decision
        self.attempt = attempt = self._attempt(definition, decision.transition, self.journal, decision.signal)
        try:
            outcome = await call(self.shared, attempt, started_at)
        except Interrupted:
            if self.blocked is None:  # else it was stopped because it has kept the lease from being renewed
                raise
            outcome = self.failure_of_blocking(self.blocked())
        attempt.over = True
        if definition.timed and type(outcome) is Returned and decision.transition.target in definition.timed:
            return with_timers(self.shared, definition, self.run, decision, outcome)
        return outcome

    async def _concluded(self, definition: Definition, decision: Execute, outcome: Outcome) -> RunRow | None:
        """Return the run after this outcome: settled, stored."""
        if self.blocked is not None:
            outcome = self.failure_of_blocking(self.blocked())
            self.blocked = None  # what this pass executes next, at an error place for one, has blocked nothing
        attempt = self.attempt
        assert attempt is not None  # the outcome is that of its method, or of a guard
        held = attempt.held
        if type(outcome) is Raised:
            attempt.error = outcome.error
            if held is not None and held.database_away:
                return await self._after_broken_transaction(outcome.error)
            if not self.storage.durable and is_a(outcome.error, StatelessError):
                raise outcome.error  # the caller asked for the impossible: no retry and no place mends that
        try:
            commit = self._settled(definition, decision, outcome)
            if held is None:
                try:
                    run = await self.storage.commit(commit)
                except StoreUnavailable as error:
                    return await self._stored(commit, error)
                if (
                    type(outcome) is Returned
                    and not (commit.taken or commit.outdated)
                    and self.run.detours is None
                    and run.visit != self.run.visit
                ):
                    self.journal = {}  # all that `_gone_on` would do, without its call
                    return run
            elif type(outcome) is Returned and held.open:
                try:
                    run = await held.commit(commit)
                except StoreUnavailable as error:
                    return await self._after_broken_transaction(error)
            else:
                await held.close()
                return await self._stored(commit)
            return await self._gone_on(commit, run)
        except LeaseLost as error:
            log.info("%s", error)
            return None
        except Exception as error:  # noqa: BLE001 - else the transition would run again, and break here again, for ever
            log.warning("run %s: its checkpoint can't be stored: %s", self.run.id, told(error))
            if held is not None:
                await held.close()
            return await self._failure_stored(definition, decision, outcome.started_at, error)

    def _settled(self, definition: Definition, decision: Execute, outcome: Outcome) -> Commit:
        run, now = self.run, self.shared.clock.now()
        if run.deadline is not None and now >= run.deadline and type(outcome) is Raised:
            late = decide(definition, run, self.inbox, _UNASKED, now, self.shared.rules)
            assert isinstance(late, Fail)  # past its deadline a run can only fail
            return fail(run, late, outcome.started_at, now, decision.transition.name)
        return settle(definition, run, decision, outcome, self.inbox, now, hold=self.hold)

    async def _stored(self, commit: Commit, unavailable: StoreUnavailable | None = None) -> RunRow | None:
        """Return the run after this commit, once the database can be written. None if it is lost, or stopped before."""
        try:
            # The user's code has run: its checkpoint is worth waiting for as long as the run is ours.
            what = f"run {self.run.id}: its checkpoint"
            run = await patiently(lambda: self.storage.commit(commit), what, self.is_stopped, unavailable)
        except (LeaseLost, StoreUnavailable) as error:
            log.info("%s", error)
            return None
        return await self._gone_on(commit, run)

    async def _gone_on(self, commit: Commit, run: RunRow) -> RunRow | None:
        """Return the run after its commit, with the inbox and the journal that belong to it now."""
        if commit.history is not None and commit.history.status == "failed":
            log_failure(commit, self.attempt.error if self.attempt else None)
        if (commit.taken is not None or commit.outdated) and self.inbox:
            self.inbox = tuple(s for s in self.inbox if s.id != commit.taken and not is_void(commit, s))
        if run.visit != self.run.visit:
            self.journal = {}
            if self.run.detours is not None and run.visit < self.run.visit and run.owner is not None:
                # Back from a detour an earlier visit is resumed, and with it what it has journaled.
                try:
                    what = f"run {run.id}: its journal"
                    self.journal = await patiently(lambda: self.storage.journal(run.id), what, self.is_stopped)
                except StoreUnavailable:  # what was committed is true: only its sequel isn't for here
                    return None
        return run

    async def _continues_here(self, run: RunRow | None) -> bool:
        """Return whether the run is to go on here; a delay before its next try is over then."""
        if run is None or run.owner is None:
            return False
        self.run = run
        if run.status == "retrying" and run.due_at is not None:
            await sleep_unless(lambda: self.paused or self.is_stopped(), self.shared.clock, run.due_at)
        return True

    # -- what most transitions don't need -----------------------------------------------------------------------------

    async def _drive_prepared(self, definition: Definition, first: Decision) -> RunRow | None:
        """Return the run after this decision: with a guard to ask, a signal, or nothing to execute."""
        decision, outcome = await self._prepared(definition, first)
        if decision is None:
            return self.run
        if not isinstance(decision, Execute):
            return await self._stored(self._unexecuted(definition, decision))
        if outcome is None:
            outcome = await self._called(definition, decision, self.shared.clock.now())
        self.decision = decision
        return await self._concluded(definition, decision, outcome)

    async def _prepared(self, definition: Definition, decision: Decision) -> tuple[Decision | None, Outcome | None]:
        """Return the decision (None: decide again) with guards answered and its signal read, and what a guard has raised."""
        raised: Raised | None = None
        if isinstance(decision, AskGuards):
            decision, raised = await self._guarded(definition, decision)
        if isinstance(decision, AskTimers):
            run, failure = await with_timers_here(definition, self.run, decision.place, self._stored)
            if run is None:
                raise Interrupted("lost")
            self.run = run
            return failure, None
        if isinstance(decision, Execute) and decision.signal is not None and (self.more or decision.signal.unread):
            try:
                return await with_whole_signal(self, decision, decision.signal), None
            except StoreUnavailable as error:
                raise Interrupted(self.stopped or "") from error
        return decision, raised

    async def _guarded(self, definition: Definition, decision: Decision) -> tuple[Decision, Raised | None]:
        verdicts: dict[int, bool] = {}
        while isinstance(decision, AskGuards):
            self.attempt = attempt = self._attempt(definition, decision.transition, {})
            attempt.asks = True
            verdict = await ask(self.shared, attempt)
            attempt.over = True
            if isinstance(verdict, Raised):
                return Execute(decision.transition), verdict  # a guard that raises is a failed attempt (rule 1)
            verdicts[decision.transition.order] = verdict
            decision = decide(definition, self.run, self.inbox, verdicts, self.shared.clock.now(), self.shared.rules)
        return decision, None

    def _attempt(
        self, definition: Definition, transition: Transition, journal: Journal, signal: SignalRow | None = None
    ) -> Attempt:
        """Return an attempt that may begin now. Raises Interrupted where none may."""
        if self.stopped is None and not self.storage.holds():
            self.stopped = "lost"
        if self.stopped is not None:
            raise Interrupted(self.stopped)
        shared, run, seconds = self.shared, self.run, transition.timeout
        limit = self.limits[shared.limits.transition_timeout if seconds is None else seconds.total_seconds()]
        if run.deadline is not None:
            left = max(run.deadline - shared.clock.now(), 1) / 1_000_000
            if limit is None or left < limit.seconds:
                limit = Limit(left, lasting=False)  # that duration won't come again: it has a timer of its own
        scope = Scope(self.task, limit, self._what, shared.limits.cleanup_seconds)
        return Attempt(shared, self.storage, definition, run, transition, signal, journal, scope, self.limits.thread)

    def failure_of_blocking(self, text: str) -> Raised:
        """Return the failure of an attempt that has blocked the event loop for too long."""
        return Raised(self.run.updated_at, TransitionTimeout(text), None, self.shared.random())

    async def _failure_stored(
        self, definition: Definition, decision: Execute, started_at: int, error: BaseException
    ) -> RunRow | None:
        """Fail the transition, whose outcome can't be stored; fail the run if that failure can't be stored either."""
        self.decision = decision
        if self.attempt is not None:
            self.attempt.error = error
        try:
            failure = Raised(started_at, error, trace_of(error), self.shared.random())
            return await self._stored(self._settled(definition, decision, failure))
        except Exception as second:
            log.error("%s: its failure can't be settled", self._what(), exc_info=logged(second))
            reason = Fail(f"{self.method}: its failure can't be settled: {kind_of(second)}")
            now, name = self.shared.clock.now(), decision.transition.name
            return await self._stored(fail(self.run, reason, started_at, now, name))

    async def _after_broken_transaction(self, error: BaseException) -> RunRow:
        # Nothing of the transaction remains, as if the process had died here: the transition runs again, as after a crash.
        log.warning("run %s: its transaction broke with the database, trying again: %s", self.run.id, error)
        await asyncio.sleep(1.0)
        return self.run

    def _unexecuted(
        self, definition: Definition, decision: AskGuards | AskTimers | Fail | Move | Park | Unfit
    ) -> Commit:
        run, now = self.run, self.shared.clock.now()
        match decision:
            case Park():
                return park(run, decision, now)
            case Fail():
                return fail(run, decision, now, now)
            case Move(place):
                return move(run, place, now)
            case Unfit(reason):
                return self._aside(reason)
            case AskGuards() | AskTimers():
                raise AssertionError("guards and timers are asked for before")
            case _ as never:
                assert_never(never)

    def _aside(self, reason: str) -> Commit:
        self.on_unfit(self.run, reason)  # before it is ready again: this process mustn't be the one to claim it
        return set_aside(self.run, self.shared.clock.now())

    def is_stopped(self) -> bool:
        """Return whether it is to end here."""
        return self.stopped is not None
