"""Retries with other data or another state: validated here, before anything is stored, against the code that is there.

User code runs here: not for the writer's thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stepwell.definition.model import Definition
from stepwell.definition.unset import UNSET
from stepwell.definition.values.inputs import payload_json
from stepwell.engine.choose import Unfit
from stepwell.engine.commit import Commit
from stepwell.engine.control import retry
from stepwell.engine.questions import asked_here
from stepwell.engine.run import Moment, RunRow
from stepwell.errors import InvalidArgs, InvalidState
from stepwell.execution.answering import asked_of
from stepwell.execution.forking import state_json
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.versions import current
from stepwell.store import signals
from stepwell.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Repair:
    """Values for a retry instead of those with which the run failed; `UNSET`: the same."""

    data: object = UNSET
    state: object = UNSET
    by: str | None = None
    """The user who repairs it, if it is one with rights of their own; None: the application."""
    everybody: bool = False
    """They may repair the runs of all users."""

    @property
    def nothing(self) -> bool:
        """True if it changes nothing."""
        return self.data is UNSET and self.state is UNSET


NO_REPAIR = Repair()


class Mending(NamedTuple):
    """A repair as JSON, checked for a run as it stood at a version, with the signal that was bound then."""

    version: int
    bound_signal: str | None
    data: str | None
    state: str | None

    def is_for(self, run: RunRow) -> bool:
        """Return whether the run still stands as it did."""
        return (self.version, self.bound_signal) == (run.version, run.bound_signal)


def mending(shared: Shared, definition: Definition, run: RunRow, repair: Repair) -> Mending:
    """Return the repair as JSON. Raises InvalidArgs, InvalidPayload, InvalidState, PayloadTooLarge; RunFinished."""
    retry(definition, run, 0)  # a run that can't be retried is told that first
    data = None if repair.data is UNSET else _data(shared, definition, run, repair.data)
    state = None if repair.state is UNSET else state_json(definition, repair.state, shared.limits.state)
    return Mending(run.version, run.bound_signal, data, state)


def _data(shared: Shared, definition: Definition, run: RunRow, data: object) -> str:
    if run.bound is None or run.bound_signal is None:
        raise InvalidArgs(
            f"data= replaces the payload of the signal that a failed transition took, and at {run.place!r} run {run.id} "
            "has failed without one. Give state=, or fork it."
        )
    name = definition.current(run.bound)
    named = definition.named(name)
    if not named:
        raise InvalidArgs(f"{definition.workflow.__name__} has no transition {name!r}, which took the signal.")
    taker = next((t for t in named if t.source == run.place), named[0])
    return payload_json(definition, taker, data, shared.limits.payload, run.args)


def replace_data(tx: Tx, definition: Definition, run: RunRow, repair: Repair, data: str, commit: Commit) -> Commit:
    """Return the commit with the run bound to this data: a signal of its own, from who repairs it. The first one stays as it was.

    Raises InvalidArgs for what another person has answered, unless it is done for another user's run, or by the application.
    """
    signal = signals.one(tx, run.bound_signal or "")
    if signal is None or run.bound is None:
        return commit
    if signal.kind != "signal":
        signals.replace(tx, signal.id, data)
        return commit
    name = definition.current(run.bound)
    stored = not asked_here(run).isdisjoint(definition.all_names([name]))
    own = repair.by is not None and not (repair.everybody and repair.by != run.user_id)
    if own and signal.user_id != repair.by and (stored or asked_of(definition, name)):
        raise InvalidArgs(
            f"data= would replace the answer {name!r} to run {run.id}, which user {repair.by!r} hasn't given, in their own run. "
            "Retry it without data=, or have the application or an admin do it."
        )
    again = signal._replace(id=new_id(), data=data, size=len(data.encode()), user_id=repair.by, idempotency_key=None)
    signals.stand_in(tx, signal, again, run.version)
    return commit._replace(run=commit.run._replace(bound_signal=again.id))


def repaired(definition: Definition, run: RunRow, mended: Mending, now: Moment) -> Commit:
    """Return the commit that retries the run; with another state as this code sees it. Raises RunFinished, InvalidState."""
    if mended.state is None:
        return retry(definition, run, now)
    found = current(definition, run)
    if isinstance(found, Unfit):
        raise InvalidState(f"Run {run.id} doesn't fit this code: {found.reason}")
    commit = retry(definition, found, now, mended.state)
    return commit._replace(migrated=found.workflow_version != run.workflow_version)
