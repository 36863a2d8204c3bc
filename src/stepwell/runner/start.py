"""Starts: everything is validated before anything is stored; and repeated use of an idempotency key.

The store compares the texts of a repeated start, signal or event, because validators are the user's code and mustn't
run in its writer. Where texts differ it raises `OtherText`; here the types decide whether they mean the same, and the
call is made again with the text that the key stands for.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stepwell.definition.model import Definition, Transition
from stepwell.definition.values.codec import Codec, codec_for
from stepwell.definition.values.inputs import args_json, same_meaning
from stepwell.engine.commit import Commit, Emission, Resume
from stepwell.engine.control import Request, begin
from stepwell.errors import IdempotencyConflict
from stepwell.execution.operations import CheckedPayload
from stepwell.execution.shared import Shared, new_id
from stepwell.runner.arguments import check_user, checked_key, checked_priority, due_at, labels_json, workspace_id
from stepwell.store.tx import OtherText
from stepwell.store.workspaces import workspace_of

if TYPE_CHECKING:
    from stepwell.definition.authoring.workflow import Workflow

T = TypeVar("T")

_TRIES: Final = 5
"""A key may be freed and used again meanwhile; not for ever."""


@dataclass(frozen=True, slots=True)
class Start:
    """One of the starts of `run_many`."""

    workflow: type[Workflow[Any, Any, Any]] | str
    args: Any = None
    labels: Sequence[str] = ()
    idempotency_key: str | None = None
    delay: timedelta | None = None
    at: datetime | None = None
    priority: int | None = None
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The app and the user for which a run starts."""

    app_name: str
    user_id: str
    internal: int = 0


def prepare(shared: Shared, start: Start, origin: Origin, owner: str | None = None) -> tuple[Definition, Commit]:
    """Return the commit that creates the run. Raises UnknownApp, UnknownWorkflow, InvalidArgs, PayloadTooLarge, ValueError."""
    definition = shared.registry.get(origin.app_name, start.workflow)
    check_user(origin.user_id)
    now = shared.clock.now()
    request = Request(
        new_id(),
        origin.app_name,
        origin.user_id,
        workspace_of(origin.app_name, origin.user_id)
        if start.workspace_id is None
        else workspace_id(start.workspace_id, origin.user_id),
        # A handler's args were bounded at the entry: a webhook's body may be larger than args.
        args_json(definition, start.args, sys.maxsize if origin.internal else shared.limits.args),
        definition.new_state(),
        labels_json(start.labels),
        checked_priority(start.priority),
        checked_key(start.idempotency_key),
        due_at(start.delay, start.at, now),
        owner,
        internal=origin.internal,
    )
    return definition, begin(definition, request, now)


async def with_starts(
    shared: Shared,
    starts: Sequence[Start],
    commits: tuple[Commit, ...],
    write: Callable[[tuple[Commit, ...]], Awaitable[T]],
) -> T:
    """Return the answer of `write` to the commits of these starts.

    Raises IdempotencyConflict for args that mean something else.
    """
    for _ in range(_TRIES * len(starts)):
        try:
            return await write(commits)
        except OtherText as error:
            index = next(n for n, commit in enumerate(commits) if commit.run.id == error.subject)
            again = _started_as_before(shared, commits[index], starts[index].args, error)
            commits = (*commits[:index], again, *commits[index + 1 :])
    return await write(commits)


def _started_as_before(shared: Shared, commit: Commit, args: object, error: OtherText) -> Commit:
    codec = shared.registry.get(commit.run.app_name, commit.run.workflow_name).args
    _check(codec, error, {} if args is None else args)
    return commit._replace(run=commit.run._replace(args=error.earlier))


def payload_as_before(data: object, error: OtherText) -> CheckedPayload:
    """Return the data that the signal's key stands for. Raises IdempotencyConflict if `data` means something else."""
    assert isinstance(error.subject, Transition)  # so it is where a signal is compared
    _check_payload(error.subject, data, error)
    return CheckedPayload(error.subject.method, error.earlier)


async def with_emission(
    shared: Shared, emission: Emission, data: object, write: Callable[[Emission], Awaitable[T]]
) -> T:
    """Return the answer of `write` to the event.

    Raises IdempotencyConflict where its id belongs to data that means something else.
    """
    for _ in range(_TRIES * (len(emission.starts) + len(emission.resumes))):
        try:
            return await write(emission)
        except OtherText as error:
            emission = _emitted_as_before(shared, emission, data, error)
    return await write(emission)


def _emitted_as_before(shared: Shared, emission: Emission, data: object, error: OtherText) -> Emission:
    resume = error.subject
    if not isinstance(resume, Resume):
        starts = tuple(
            _started_as_before(shared, one, data, error) if one.run.id == error.subject else one
            for one in emission.starts
        )
        return replace(emission, starts=starts)
    definition = shared.registry.get(resume.app_name, resume.workflow_name)
    _check_payload(next(t for t in definition.listening if t.name == resume.transition), data, error)
    again = replace(resume, data=error.earlier)
    return replace(emission, resumes=tuple(again if one == resume else one for one in emission.resumes))


def _check_payload(taker: Transition, data: object, error: OtherText) -> None:
    nothing = data is None and taker.payload is not None and not taker.payload.optional
    _check(None if taker.payload is None else taker.payload.codec, error, {} if nothing else data)


def _check(codec: Codec[Any] | None, error: OtherText, given: object) -> None:
    if not same_meaning(codec or codec_for(Any), error.earlier, given):
        raise IdempotencyConflict(str(error)) from None
