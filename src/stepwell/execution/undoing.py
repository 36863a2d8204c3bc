"""Undoing steps: in the reverse order of their commits, over all visits of the run, each once (rule 58)."""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from stepwell.definition.compile.transitions import parameters_of
from stepwell.definition.compile.types import namespace_of
from stepwell.definition.model import Definition
from stepwell.definition.values.codec import Codec, codec_for
from stepwell.definition.values.inputs import summary
from stepwell.definition.values.misfit import ValueMisfit
from stepwell.engine.run import RunRow
from stepwell.errors import DefinitionError, TransitionFailed
from stepwell.execution.shared import Body, Shared
from stepwell.execution.steps import call
from stepwell.execution.storage import Storage
from stepwell.store.journal import JournalRow


class UndoMethod(NamedTuple):
    """The method that undoes a step, with the type of the value that it takes; or why it can't."""

    codec: Codec[Any] | None = None
    fault: str | None = None


def check_undo(definition: Definition, step: str, name: str) -> Codec[Any]:
    """Return the codec of what the method takes. Raises DefinitionError where it can't undo a step."""
    found = _undo_method(cast("Hashable", definition.workflow), name)
    if found.codec is None:
        raise DefinitionError(f"The step {step!r}", [found.fault or ""])
    return found.codec


@lru_cache(maxsize=4096)
def _undo_method(workflow: Any, name: str) -> UndoMethod:
    owner = workflow.__name__
    method = inspect.getattr_static(workflow, name, None)
    if not inspect.isfunction(method):
        return UndoMethod(
            fault=f"{owner} has no method {name!r}; write one that takes the step's value, or leave out undo=."
        )
    parameters = parameters_of(method, namespace_of(workflow))
    required = [one.name for one in parameters[1:] if one.required]
    if not parameters or required:
        found = "no value" if not parameters else f"also {', '.join(required)}"
        return UndoMethod(fault=f"{owner}.{name} takes {found}; its one parameter after self is the step's value.")
    if not parameters[0].resolved:
        return UndoMethod(
            fault=f"the type of {parameters[0].name!r} of {owner}.{name} can't be found; import it there."
        )
    return UndoMethod(codec_for(parameters[0].hint))


async def undo_all(shared: Shared, storage: Storage, definition: Definition, run: RunRow, workflow: object) -> None:
    """Call the undo of each step of the run that has one and wasn't undone. Raises what an undo raises, and stops there."""
    while rows := await storage.undoable(run.id):
        for row in rows:
            await _undo(shared, definition, row, workflow)
            await storage.record(run, row._replace(undone_at=shared.clock.now()), {})


async def _undo(shared: Shared, definition: Definition, row: JournalRow, workflow: object) -> None:
    assert row.undo is not None  # as the query says
    codec = check_undo(definition, row.name, row.undo)
    try:
        value = codec.load(row.value)
    except (ValidationError, ValueMisfit) as error:
        raise TransitionFailed(
            f"the value of the step {row.name!r} doesn't fit {definition.workflow.__name__}.{row.undo}: {summary(error)}"
        ) from error
    await call(shared, Body(getattr(workflow, row.undo), (value,), {}))
