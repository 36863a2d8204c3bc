"""Runs of paused workflows at gates: no other run waits for them at a limit that several workflows share.

A limit of one workflow alone is left as it is while that is paused: nothing is let through, and nothing is to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from stepwell.engine.gates import Applicant, Gate, Room, lane_of
from stepwell.engine.pauses import PauseRow, covering
from stepwell.store import pauses
from stepwell.store.tx import Tx


class HeldThere(Protocol):
    """A run that is held behind a gate."""

    @property
    def run_id(self) -> str: ...
    @property
    def app_name(self) -> str: ...
    @property
    def workflow_name(self) -> str: ...
    @property
    def claim(self) -> int: ...
    @property
    def held_by(self) -> str: ...

    def applicant(self) -> Applicant:
        """Return it as it is before its gates."""
        ...


H = TypeVar("H", bound=HeldThere)

STILL_HELD: Final = "owner IS NULL AND status NOT IN ('completed', 'failed', 'canceled')"
"""The condition of a run that is held. Older code ends, and claims, such runs without knowing that they are."""
LET: Final = (
    f"UPDATE stepwell_runs SET ready_at=CASE WHEN {STILL_HELD} THEN CAST(? AS BIGINT) END, held_by=NULL, held_rank=NULL"
)
"""SQL that lets a run through that is held behind a gate."""


def at(tx: Tx, gate_ids: Iterable[str]) -> Sequence[PauseRow]:
    """Return all pauses, if one of the gates is shared by workflows."""
    return pauses.all_of(tx) if any(lane_of(gate_id) is None for gate_id in gate_ids) else ()


def own_of(
    one: Applicant, promised: Sequence[Gate], rooms: Mapping[str, Room], paused: Sequence[PauseRow]
) -> Sequence[Gate]:
    """Return the gates at which a run that becomes ready keeps its promise: paused, at none that others share."""
    if not covering(paused, one.app_name, one.workflow_name):
        return promised
    for gate in promised:
        if lane_of(gate.id) is None:
            rooms[gate.id].promised -= 1
    return [gate for gate in promised if lane_of(gate.id) is not None]


def let_by(tx: Tx, found: Sequence[H], paused: Sequence[PauseRow]) -> tuple[list[H], set[str]]:
    """Make the paused ones ready without a promise: others that share the gate come next.

    Return the other runs, and the gates behind which more may be held.
    """
    aside = {one.run_id for one in found if covering(paused, one.app_name, one.workflow_name)}
    gone = [one for one in found if one.run_id in aside]
    tx.each(
        f"{LET} WHERE id=? AND claim=? AND held_by=?",
        [(one.applicant().ready_at, one.run_id, one.claim, one.held_by) for one in gone],
    )
    return [one for one in found if one.run_id not in aside], {one.held_by for one in gone}
