"""Starts: everything is validated before anything is stored; and repeated use of an idempotency key.

The store compares the texts of a repeated start, signal or event, because validators are the user's code and mustn't
run in its writer. Where texts differ it raises `OtherText`; here the types decide whether they mean the same, and the
call is made again with the text that the key stands for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeVar, cast

from stepwell.definition.model import Definition, Transition
from stepwell.definition.values.codec import Codec, codec_for
from stepwell.definition.values.inputs import same_meaning
from stepwell.definition.values.misfit import shown
from stepwell.engine.commit import Commit, Emission, Resume
from stepwell.engine.control import begin
from stepwell.errors import IdempotencyConflict, InvalidArgs
from stepwell.execution.operations import CheckedPayload
from stepwell.execution.shared import Shared
from stepwell.execution.starts import Origin as Origin
from stepwell.execution.starts import Start as Start
from stepwell.execution.starts import requested as requested
from stepwell.store.tx import OtherText

T = TypeVar("T")

_TRIES: Final = 5
"""A key may be freed and used again meanwhile; not for ever."""


def listed(starts: Any, most: int | None = None) -> tuple[Start, ...]:
    """Return the starts as they are now, or the first `most`. Raises InvalidArgs for something else than starts."""
    if not isinstance(starts, Iterable) or isinstance(starts, str | bytes | Mapping):
        raise InvalidArgs(f"starts={shown(starts)}: give a list of Start(workflow, args).")
    found = tuple(islice(starts, most))
    for index, one in enumerate(found):
        if not isinstance(cast("object", one), Start):
            raise InvalidArgs(f"starts[{index}] is {shown(one)}: give a Start(workflow, args).")
    return found


def prepare(shared: Shared, start: Start, origin: Origin, owner: str | None = None) -> tuple[Definition, Commit]:
    """Return the commit that creates the run. Raises as `requested`."""
    now = shared.clock.now()
    definition, request = requested(shared, start, origin, now, owner)
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
