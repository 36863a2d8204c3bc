"""The verbs that steer runs which exist: signal, emit, cancel, retry."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Never, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, overload

from stepwell.definition.unset import UNSET
from stepwell.definition.values.misfit import shown
from stepwell.engine.commit import Emission
from stepwell.engine.run import RunRow
from stepwell.errors import InvalidArgs
from stepwell.execution.answering import Person
from stepwell.execution.emission import plan
from stepwell.execution.mending import Repair
from stepwell.execution.operations import CheckedPayload
from stepwell.runner.arguments import checked_groups, checked_name, checked_reason, refuse_reserved, run_id, users_key
from stepwell.runner.models import Emitted, Refused, Run, without_values
from stepwell.runner.pausing import Pausing
from stepwell.runner.start import payload_as_before, with_emission
from stepwell.store import runs
from stepwell.store.tx import OtherText, Tx

if TYPE_CHECKING:
    from stepwell.definition.authoring.context import Signal
    from stepwell.definition.authoring.workflow import Workflow
    from stepwell.runner.callers import AwaitedConnection

# Types of the methods that name a signal: a type checker takes the type of the payload from the method.

D = TypeVar("D")
D_contra = TypeVar("D_contra", contravariant=True)
W = TypeVar("W", bound="Workflow[Any, Any, Any]")
W_contra = TypeVar("W_contra", contravariant=True)

TakesNothing: TypeAlias = Callable[[W], object]
"""A method of a workflow without a payload."""


class Takes(Protocol[W_contra, D_contra]):
    """A method of a workflow whose payload is a `D`. Further parameters are for `Depends` to fill."""

    def __call__(self, run: W_contra, payload: D_contra, /, *args: Any, **kwargs: Any) -> object: ...


Data: TypeAlias = D | Callable[[D], Never]
"""A payload. Nothing is such a function: it has checkers look at the method first, and then at data as what that takes.

Otherwise mypy infers `D` from data by itself: `str` of `"yes"`, where the method takes `Literal["yes", "no"]`.
"""


class SignalOptions(TypedDict, total=False):
    """The keywords of `runner.signal`."""

    user_id: str | None
    idempotency_key: str | None
    answered_by: str | None
    groups: Collection[str]
    connection: AwaitedConnection | None


class Steering(Pausing):
    """The verbs that change a run, or tell runs of an event."""

    @overload
    async def signal(
        self, workflow_id: str, name: TakesNothing[W], data: None = None, **options: Unpack[SignalOptions]
    ) -> Run: ...
    @overload
    async def signal(
        self, workflow_id: str, name: Takes[W, Signal[D]], data: Data[D], **options: Unpack[SignalOptions]
    ) -> Run: ...
    @overload
    async def signal(
        self, workflow_id: str, name: Takes[W, D | None], data: Data[D] | None = None, **options: Unpack[SignalOptions]
    ) -> Run: ...
    @overload
    async def signal(
        self, workflow_id: str, name: Takes[W, D], data: Data[D], **options: Unpack[SignalOptions]
    ) -> Run: ...
    @overload
    async def signal(self, workflow_id: str, name: str, data: Any = None, **options: Unpack[SignalOptions]) -> Run: ...
    async def signal(
        self,
        workflow_id: str,
        name: str | Callable[..., object],
        data: Any = None,
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
        answered_by: str | None = None,
        groups: Collection[str] = (),
        connection: AwaitedConnection | None = None,
    ) -> Run:
        """Return the run, with the signal stored: taken by its place, or kept until the run comes there.

        `name` is the transition's name, or its method, as in `ProcessOrder.decide`: a type checker then checks `data`.
        `answered_by` is the user who answered, where that isn't the user to whom the call is restricted; `groups` are theirs.
        Where a person is asked for the signal, they must be one who may answer, as in `answer`, and a restricted runner sends
        it as its own user only.

        Raises WorkflowNotFound, RunFinished, AlreadyAnswered, UnknownTransition, InvalidPayload, PayloadTooLarge,
        IdempotencyConflict, StoreUnavailable; the run is untouched then.
        """
        only = self._only(user_id)
        by = only if answered_by is None else checked_name("answered_by", answered_by)
        teams = checked_groups(groups)
        if by is None and teams:
            raise InvalidArgs(
                f"groups={shown(groups)} are a user's: say whose, as in user_id='u1' or answered_by='u1'."
            )
        person = None if by is None else Person(by, teams, acts=self.only)
        return await self.send(workflow_id, name, data, only, person, idempotency_key, connection)

    async def send(
        self,
        workflow_id: str,
        name: str | Callable[..., object],
        data: Any,
        only: str | None,
        person: Person | None,
        idempotency_key: str | None,
        connection: AwaitedConnection | None = None,
    ) -> Run:
        """Return the run, with the signal of this person stored; without its values if only their question reaches it."""
        operations, checked = self.core.operations, None  # that it isn't open is said first
        workflow_id = run_id(workflow_id, only)
        key = users_key(idempotency_key) or self._derived_key("signal", workflow_id, name, data)
        if connection is None:
            # Validators are user code: they run here, not in the thread that writes for all.
            found = await self.read(
                lambda tx: operations.reached(tx, runs.load_one(tx, workflow_id), workflow_id, name, only, person)
            )
            checked = operations.payload(found[0], name, data, key)

        def operation(checked: CheckedPayload | None) -> Callable[[Tx], RunRow]:
            return operations.signal(workflow_id, name, data, only, key, checked, person)

        try:
            row = await self.core.write(operation(checked), connection)
        except OtherText as error:
            known = payload_as_before(data, error)
            row = await self.core.write(operation(known), connection)
        found_run = self._model(row)
        reader = person.user_id if person is not None and person.answers else only
        return found_run if reader in (None, row.user_id) else without_values(found_run)

    async def emit(
        self,
        name: str,
        data: Any = None,
        *,
        user_id: str | None = None,
        event_id: str | None = None,
        connection: AwaitedConnection | None = None,
    ) -> Emitted:
        """Return what the event started and resumed, all in one transaction. With `user_id` it reaches that user's runs only.

        The same `event_id` again starts and resumes nothing twice. Raises InvalidArgs, InvalidPayload, PayloadTooLarge,
        IdempotencyConflict (the same `event_id` with other data), StoreUnavailable; no run is reached then.
        """
        core = self.core
        refuse_reserved("event_id", event_id)
        if event_id is None:
            event_id = self._derived_key("emit", name, data, self._only(user_id))
        only = self._only(user_id)
        emission, refused = plan(core.shared, name, data, only, event_id, only_user=only)
        now = core.shared.clock.now()
        if connection is not None:
            await core.prepare_starts(emission.starts, connection)

        async def write(emission: Emission) -> tuple[list[str], list[str]]:
            return await core.write(lambda given: core.store.applier.emit(given, emission, now), connection)

        started, resumed = await with_emission(core.shared, emission, data, write)
        return Emitted(
            started=tuple(started),
            resumed=tuple(resumed),
            refused=tuple(
                Refused(app_name=r.app_name, workflow_name=r.workflow_name, transition=r.transition, reason=r.reason)
                for r in refused
            ),
        )

    async def cancel(
        self,
        workflow_id: str,
        *,
        user_id: str | None = None,
        reason: str | None = None,
        force: bool = False,
        connection: AwaitedConnection | None = None,
    ) -> Run:
        """Return the run, cancelled; what it was executing is stopped, and its children follow.

        With `on_cancel` it is at that place, clears up from there, and is cancelled when it comes to END; `force` cancels it
        at once. A run that is cancelled, or on its way, is returned unchanged. Raises WorkflowNotFound, RunFinished
        (completed), StoreUnavailable.
        """
        core = self.core
        workflow_id = run_id(workflow_id, self._only(user_id))
        executing = core.passes.executing.get(workflow_id)
        only, why = self._only(user_id), checked_reason(reason)
        if not isinstance(force, bool):
            raise InvalidArgs(f"force={force!r} is neither True nor False.")
        operation = core.operations.cancel(workflow_id, only, why, executing, force=force)
        row = await core.write(operation, connection)
        return self._model(row)

    async def retry(
        self, workflow_id: str, *, data: Any = UNSET, state: Any = UNSET, user_id: str | None = None
    ) -> Run:
        """Return the failed or retrying run, ready, with a full retry budget.

        `data` replaces the payload of the signal that the failed transition took, `state` the state of the run, which then
        has a row of the history. What a person has answered isn't replaced for a user, whose call is restricted to their runs.

        Raises WorkflowNotFound, RunFinished, InvalidArgs (`data` where no signal was taken, or a person's answer),
        InvalidPayload, InvalidState, PayloadTooLarge, StoreUnavailable; the run is untouched then.
        """
        only = self._only(user_id)
        return await self.retry_as(workflow_id, Repair(data, state, by=only), user_id)

    async def retry_as(self, workflow_id: str, repair: Repair, user_id: str | None = None) -> Run:
        """Return the run as `retry`, with this repair."""
        core = self.core
        workflow_id = run_id(workflow_id, self._only(user_id))
        # Validators are user code: they run here, not in the thread that writes for all.
        checked = None if repair.nothing else core.operations.mending(await self.row(workflow_id, user_id), repair)
        operation = core.operations.retry(workflow_id, self._only(user_id), repair, checked)
        return self._model(await core.write(operation, None))

    def _derived_key(self, *what: Any) -> str | None:
        """Return the key of a call that was given none. Handlers of ticks and deliveries have one for each (rule 38)."""
        return None
