"""The pass of one run: decide, call, settle, commit, until it parks, ends, or is somebody else's."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, assert_never, cast

from stepwell.definition.model import Definition, Transition
from stepwell.engine.choose import decide
from stepwell.engine.commit import Commit
from stepwell.engine.control import set_aside, worn_out
from stepwell.engine.outcome import Ask, Decision, Execute, Fail, Move, Outcome, Park, Raised, Unfit
from stepwell.engine.run import Inbox, Run
from stepwell.engine.settle import fail, move, park, settle
from stepwell.errors import LeaseLost, StatelessError, StoreUnavailable
from stepwell.execution.attempt import Attempt
from stepwell.execution.call import Interrupted, ask, call, time_limit, trace_of
from stepwell.execution.scope import Reason, Scope
from stepwell.execution.shared import Shared
from stepwell.execution.storage import Journal, OpenTransaction, Storage

log = logging.getLogger("stepwell.execution")

_LOOK_AGAIN = 30_000_000
"""After how many microseconds a run that the code doesn't fit is looked at again."""


@dataclass(slots=True)
class Pass:
    """One run in the hands of this process. `drive` takes it on; `stop` ends it from outside."""

    shared: Shared
    storage: Storage
    run: Run
    inbox: Inbox = ()
    journal: Journal = field(default_factory=dict)
    hold: bool = False
    """Wait out the delays of retries instead of releasing the run."""
    fresh: bool = False
    """Made by this process a moment ago: its args and state fit this code."""
    scope: Scope | None = None
    executing: Transition | None = None
    stopped: Reason | None = None
    task: asyncio.Task[Any] = field(init=False)

    def finish(self) -> None:
        """The transition that it executes is its last here: the run is handed on at its checkpoint."""
        self.stopped = self.stopped or "drain"

    def stop(self, reason: Reason) -> None:
        """Whatever it executes is cancelled; it commits nothing any more."""
        self.stopped = reason
        if self.scope is not None:
            self.scope.stop(reason)

    async def drive(self) -> Run | None:
        """The run where it parked or ended; None if it was lost, or stopped from outside."""
        self.task = cast("asyncio.Task[Any]", asyncio.current_task())
        definition = self.shared.registry.find(self.run.app_name, self.run.workflow_name)
        unfit = _unfit(definition, self.run, self.fresh)
        if definition is None or unfit:
            return await self._commit(self._aside(unfit or "no such workflow is registered"))
        if self.run.takeovers >= self.shared.rules.max_takeovers:
            return await self._commit(worn_out(definition, self.run, self.shared.clock.now()))
        while self.stopped is None:
            run = await self._advance(definition)
            if run is None or run.owner is None:
                return run
            self.run = run
            if run.status == "retrying" and run.due_at is not None:
                await self._wait(run.due_at)
        return None

    async def _advance(self, definition: Definition) -> Run | None:
        shared, early = self.shared, None
        decision = decide(definition, self.run, self.inbox, {}, shared.clock.now(), shared.rules)
        try:
            if isinstance(decision, Ask):
                decision, early = await self._guarded(definition, decision)
            if isinstance(decision, Execute):
                return await self._execute(definition, decision, early)
            return await self._commit(self._unexecuted(definition, decision))
        except Interrupted:
            return None

    async def _guarded(self, definition: Definition, decision: Decision) -> tuple[Decision, Raised | None]:
        verdicts: dict[int, bool] = {}
        while isinstance(decision, Ask):
            verdict = await self._ask(definition, decision.transition)
            if isinstance(verdict, Raised):
                return Execute(decision.transition), verdict  # a guard that raises is a failed attempt (semantics 1)
            verdicts[decision.transition.order] = verdict
            now = self.shared.clock.now()
            decision = decide(definition, self.run, self.inbox, verdicts, now, self.shared.rules)
        return decision, None

    async def _ask(self, definition: Definition, transition: Transition) -> bool | Raised:
        attempt = Attempt(self.shared, self.storage, definition, self.run, transition, {})
        scope = self._scope(definition, transition)
        try:
            return await ask(self.shared, definition, transition, attempt, scope)
        finally:
            self.scope = None

    def _scope(self, definition: Definition, transition: Transition) -> Scope:
        if self.stopped is None and not self.storage.holds():
            self.stopped = "lost"
        if self.stopped is not None:
            raise Interrupted(self.stopped)
        seconds = time_limit(self.shared, transition)
        limit = self.shared.time_limits.of(seconds)
        if self.run.deadline is not None:
            left = max(self.run.deadline - self.shared.clock.now(), 1) / 1_000_000
            if not seconds or left < seconds:
                limit = self.shared.time_limits.of(left, shared=False)
        self.scope = Scope(self.task, limit, self._what)
        return self.scope

    def _what(self) -> str:
        transition = self.executing.name if self.executing else "a guard"
        return f"{transition} of run {self.run.id} ({self.run.workflow_name})"

    async def _execute(self, definition: Definition, decision: Execute, early: Raised | None) -> Run | None:
        transition = decision.transition
        attempt = Attempt(self.shared, self.storage, definition, self.run, transition, self.journal)
        self.executing = transition
        try:
            if early is None:
                attempt.scope = scope = self._scope(definition, transition)
                outcome = await call(self.shared, definition, self.run, decision, attempt, scope)
            else:
                outcome = early
            self.scope = None
            if isinstance(outcome, Raised) and attempt.database_away:
                return await self._again(outcome.error)
            if isinstance(outcome, Raised) and isinstance(outcome.error, StatelessError) and not self.storage.durable:
                raise outcome.error  # the caller asked for the impossible: no retry and no place mends that
            return await self._conclude(definition, decision, outcome, attempt)
        finally:
            self.scope = None
            self.executing = None
            if attempt.transaction_ is not None:
                await attempt.transaction_.roll_back()

    async def _conclude(
        self, definition: Definition, decision: Execute, outcome: Outcome, attempt: Attempt
    ) -> Run | None:
        try:
            commit = self._settle(definition, decision, outcome)
            if attempt.transaction_ is None:
                return await self._commit(commit)
            if not isinstance(outcome, Raised) and not attempt.rolled_back:
                return await self._commit_with(attempt.transaction_, commit)
            await attempt.transaction_.roll_back()
            return await self._commit(commit)
        except Exception as error:  # noqa: BLE001 - else the transition would run again, and break here again, for ever
            log.warning("run %s: its checkpoint can't be stored: %r", self.run.id, error)
            if attempt.transaction_ is not None:
                await attempt.transaction_.roll_back()
            return await self._conclude_anyhow(definition, decision, outcome.started_at, error)

    async def _conclude_anyhow(
        self, definition: Definition, decision: Execute, started_at: int, error: Exception
    ) -> Run | None:
        """What can't be stored is a failure of its transition; what can't be handled as one is a failure of the run."""
        try:
            failure = Raised(started_at, error, trace_of(error), self.shared.random())
            return await self._commit(self._settle(definition, decision, failure))
        except Exception as second:
            log.exception("run %s: the failure of %s can't be settled", self.run.id, decision.transition.name)
            where = f"{definition.workflow.__name__}.{decision.transition.method}"
            reason = Fail(f"{where}: its failure can't be settled: {type(second).__name__}")
            now = self.shared.clock.now()
            return await self._commit(fail(self.run, reason, started_at, now, decision.transition.name))

    def _settle(self, definition: Definition, decision: Execute, outcome: Outcome) -> Commit:
        run, now = self.run, self.shared.clock.now()
        if isinstance(outcome, Raised) and run.deadline is not None and now >= run.deadline:
            late = decide(definition, run, self.inbox, {}, now, self.shared.rules)
            assert isinstance(late, Fail)  # past its deadline a run can only fail
            return fail(run, late, outcome.started_at, now, decision.transition.name)
        return settle(definition, run, decision, outcome, self.inbox, now, hold=self.hold)

    async def _commit_with(self, opened: OpenTransaction, commit: Commit) -> Run | None:
        try:
            run = await opened.commit(commit)
        except LeaseLost as error:
            log.info("%s", error)
            return None
        except StoreUnavailable as error:
            return await self._again(error)
        return await self._go_on(commit, run)

    async def _again(self, error: BaseException) -> Run:
        # Nothing of the transaction remains, as if the process had died here: the transition runs again, as after a crash.
        log.warning("run %s: its transaction broke with the database, trying again: %s", self.run.id, error)
        await asyncio.sleep(1.0)
        return self.run

    def _unexecuted(self, definition: Definition, decision: Ask | Fail | Move | Park | Unfit) -> Commit:
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
            case Ask():
                raise AssertionError("guards are asked before")
            case _ as never:
                assert_never(never)

    def _aside(self, reason: str) -> Commit:
        log.warning("run %s (%s) is left as it is: %s", self.run.id, self.run.workflow_name, reason)
        now = self.shared.clock.now()
        return set_aside(self.run, now + _LOOK_AGAIN, now)

    async def _commit(self, commit: Commit) -> Run | None:
        pause = 0.05
        while True:
            try:
                run = await self.storage.commit(commit)
            except LeaseLost as error:
                log.info("%s", error)
                return None
            except StoreUnavailable as error:
                # The user's code has run: its checkpoint is worth waiting for as long as the run is ours.
                log.warning("run %s: its checkpoint waits for the database: %s", self.run.id, error)
                if self.stopped is not None:
                    return None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            else:
                return await self._go_on(commit, run)

    async def _go_on(self, commit: Commit, run: Run) -> Run | None:
        """The run after its commit, with the inbox and the journal that belong to it now."""
        if commit.taken and self.inbox:
            self.inbox = tuple(signal for signal in self.inbox if signal.id != commit.taken)
        if run.visit != self.run.visit:
            # Back from a detour an earlier visit is resumed, and with it what it has journaled.
            resumed = self.run.detours is not None and run.visit < self.run.visit and run.owner is not None
            if resumed:
                return await self._resumed(run)
            self.journal = {}
        return run

    async def _resumed(self, run: Run) -> Run | None:
        pause = 0.05
        while True:
            try:
                self.journal = await self.storage.journal(run.id)
            except StoreUnavailable as error:
                # The commit is true: only its sequel waits.
                log.warning("run %s: its journal waits for the database: %s", run.id, error)
                if self.stopped is not None:
                    return None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            else:
                return run

    async def _wait(self, moment: int) -> None:
        sleeping = asyncio.ensure_future(self.shared.clock.sleep_until(moment))
        try:
            while not sleeping.done() and self.stopped is None:
                await asyncio.wait([sleeping], timeout=0.5)
        finally:
            sleeping.cancel()


def _unfit(definition: Definition | None, run: Run, fresh: bool) -> str | None:
    if definition is None:
        return "no such workflow is registered"
    if fresh:
        return None
    try:
        if definition.args is not None:
            definition.args.load(run.args)
        if run.state != definition.initial_state:
            definition.state.load(run.state)
    except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
        return f"its args or state no longer fit {definition.workflow.__name__}: {error}"
    return None
