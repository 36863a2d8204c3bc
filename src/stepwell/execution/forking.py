"""Forks and repairs: what they are given is validated here, before anything is stored, against the code that is there.

The run as of then is migrated like any run that is loaded (rules 55, 56). User code runs here: not for the writer's thread.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from hashlib import sha256

from pydantic import ValidationError

from stepwell.definition.model import Definition
from stepwell.definition.text import message_of
from stepwell.definition.unset import UNSET
from stepwell.definition.values.codec import canonical
from stepwell.definition.values.inputs import args_json, bounded, details, same_meaning, summary
from stepwell.definition.values.misfit import ValueMisfit, shown
from stepwell.engine.choose import Unfit, misfit
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request
from stepwell.engine.forks import ForkOrigin, as_of, fork, leads_on
from stepwell.engine.run import HistoryRow, Moment, RunRow
from stepwell.errors import CheckpointGone, InvalidArgs, InvalidState
from stepwell.execution.limits import under_limits
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.versions import current
from stepwell.store.history import History


@dataclass(frozen=True, slots=True)
class Given:
    """Values for a fork instead of those of its origin; `UNSET`: the same."""

    state: object = UNSET
    args: object = UNSET
    labels: str | None = None
    key: str | None = None


def state_json(definition: Definition, state: object, limit: int) -> str:
    """Return a state that a caller gives as JSON. Raises InvalidState, PayloadTooLarge."""
    name = definition.workflow.__name__
    try:
        text = definition.state.checked(state)
    except (ValidationError, ValueMisfit) as error:
        raise InvalidState(f"The state doesn't fit {name}: {summary(error)}", details(error)) from error
    return bounded(text, limit, f"The state of {name}")


def forkable(run: RunRow, checkpoint: int, found: History | None) -> tuple[HistoryRow, str]:
    """Return the row of this checkpoint and the state of then. Raises InvalidArgs, CheckpointGone."""
    where = f"checkpoint={checkpoint} of run {run.id}"
    if run.internal:
        raise InvalidArgs(f"Run {run.id} is the handler of a tick or a delivery: it can't be forked.")
    if found is None:
        raise InvalidArgs(f"{where}: its history has no such row; it has those from 0 to {run.version}.")
    if not leads_on(found.row):
        target = "END" if found.row.target is not None and found.row.status != "void" else "no place"
        raise InvalidArgs(f"{where} leads to {target}: give a row whose target is a place, or start a new run.")
    if found.state is None:
        raise CheckpointGone(
            f"{where}: its state is no longer kept (Settings.history_states). Give a later row of the history."
        )
    return found.row, found.state


def then(definition: Definition, run: RunRow, row: HistoryRow, state: str) -> RunRow:
    """Return the run as of then, as this code sees it. Raises InvalidState where this code doesn't fit it."""
    before = as_of(run, row, state)
    newer = misfit(definition, before) if before.workflow_version > definition.version else None
    found = Unfit(newer) if newer is not None else current(definition, before)
    if isinstance(found, RunRow) and found.place not in definition.places:
        found = Unfit(f"{definition.workflow.__name__} has no place {found.place!r}")
    if isinstance(found, Unfit):
        raise InvalidState(f"Checkpoint {row.version} of run {run.id} doesn't fit this code: {found.reason}")
    return found


def forked(shared: Shared, definition: Definition, run: RunRow, row: HistoryRow, state: str, given: Given) -> Commit:
    """Return the commit that creates the fork. Raises InvalidArgs, InvalidState, PayloadTooLarge."""
    now, old = shared.clock.now(), then(definition, run, row, state)
    request = Request(
        new_id(),
        run.app_name,
        run.user_id,
        run.workspace_id,
        _args(shared, definition, old, given.args),
        _state(shared, definition, old, given.state),
        labels=run.labels if given.labels is None else given.labels,
        priority=run.priority,
        idempotency_key=given.key,
        ageing=shared.rules.ageing,
    )
    return fork(definition, _begun_now(definition, request, now), _origin(run, row, given, request), old.place, now)


def _begun_now(definition: Definition, request: Request, now: Moment) -> Request:
    """Return the request under the limits of its workflow: it isn't put off, and no start may put it off."""
    limited = under_limits(definition, request, now)
    conflicts = tuple(one for one in limited.conflicts if one.on_conflict != "debounce")
    return limited._replace(due_at=None, conflicts=conflicts, timers=None)


def _args(shared: Shared, definition: Definition, old: RunRow, args: object) -> str:
    if args is not UNSET:
        return args_json(definition, args, shared.limits.args)
    try:
        if definition.args is not None:
            definition.args.load(old.args)
    except BaseException as error:  # a validator of the user's may raise anything
        raise InvalidArgs(
            f"The args of run {old.id} no longer fit {definition.workflow.__name__}: {message_of(error)}. Give args=."
        ) from error
    return old.args


def _state(shared: Shared, definition: Definition, old: RunRow, state: object) -> str:
    if state is not UNSET:
        return state_json(definition, state, shared.limits.state)
    try:
        definition.state.load(old.state)
    except BaseException as error:  # as above
        raise InvalidState(
            f"The state of then no longer fits {definition.workflow.__name__}: {message_of(error)}. Give state=."
        ) from error
    return old.state


def _origin(run: RunRow, row: HistoryRow, given: Given, request: Request) -> ForkOrigin:
    state = None if given.state is UNSET else request.state
    return ForkOrigin(run.id, row.version, _digest(state, None if given.args is UNSET else request.args))


def _digest(state: str | None, args: str | None) -> str:
    """Return a digest of what a fork was given, as JSON; None: nothing."""
    return sha256(canonical(json.dumps([state, args])).encode("utf-8", "surrogatepass")).hexdigest()


def replays(
    shared: Shared, definition: Definition, earlier: RunRow, began: str | None, checkpoint: int, given: Given
) -> bool:
    """Return whether an earlier fork is what these values ask for, without its origin. Raises InvalidArgs, InvalidState."""
    state: str | None = None
    args: str | None = None
    if given.state is not UNSET:
        state = state_json(definition, given.state, shared.limits.state)
        if began is not None and same_meaning(definition.state, began, given.state):
            state = began
    if given.args is not UNSET:
        args = args_json(definition, given.args, shared.limits.args)
        if definition.args is not None and same_meaning(definition.args, earlier.args, given.args):
            args = earlier.args
    return earlier.forked_at == checkpoint and earlier.forked_with == _digest(state, args)


def same_fork(definition: Definition, earlier: RunRow, began: str | None, commit: Commit, given: Given) -> bool:
    """Return whether an earlier fork with this key means the same; `began` is the state with which it began, if that is kept."""
    run = commit.run
    if (earlier.forked_from, earlier.forked_at) != (run.forked_from, run.forked_at):
        return False
    if earlier.forked_with == run.forked_with:
        return True
    codec = definition.args
    same_args = earlier.args == run.args or (
        codec is not None and given.args is not UNSET and same_meaning(codec, earlier.args, given.args)
    )
    same_state = began == run.state or (
        began is not None and given.state is not UNSET and same_meaning(definition.state, began, given.state)
    )
    return same_args and same_state


def checked_checkpoint(given: object) -> int:
    """Return the version of a row of the history. Raises InvalidArgs."""
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= sys.maxsize:
        raise InvalidArgs(f"checkpoint={shown(given)}: give the version of a row of the history.")
    return given
