"""Turns of runs that no code here can execute: they are given up, so that others of the key aren't held for ever (rule 54)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from stepwell.engine.gates import gates_of
from stepwell.engine.run import Moment
from stepwell.store.gate_rooms import PROMISED
from stepwell.store.gates import Gates
from stepwell.store.runs import Ready
from stepwell.store.tx import Tx, paired

Turn = tuple[str, str]
"""A gate, and the run that has its turn there."""

_KEPT: Final = (
    "SELECT gate, run_id FROM stepwell_slots WHERE (gate, run_id) IN (SELECT l.a, l.b FROM pairs(?) l)"
    " AND kind='fair' AND taken=0 AND at<=? ORDER BY gate, run_id LIMIT ?"
)
_AT_ONCE: Final = 200


def kept(tx: Tx, unfit: Iterable[Ready], now: Moment) -> Sequence[Turn]:
    """Return turns of these ready runs that other code had time to take, at most 200."""
    given = [(gate.id, run.id) for run in unfit for gate in gates_of(run.gates) if gate.kind == "fair"]
    return [(row[0], row[1]) for row in _kept(tx, given, now)] if given else []


def give_up(tx: Tx, gates: Gates, turns: Sequence[Turn], now: Moment) -> None:
    """End these turns, and let twice as many runs of each key through: the next ones may be unfit, too.

    The runs stay ready for the code that fits.
    """
    found = [(row[0], row[1]) for row in _kept(tx, turns, now, " FOR NO KEY UPDATE SKIP LOCKED")]
    tx.each("DELETE FROM stepwell_slots WHERE gate=? AND run_id=?", found)
    given_up = Counter(gate_id for gate_id, _ in found)
    for count in sorted(set(given_up.values())):
        gates.open(tx, [gate_id for gate_id, some in given_up.items() if some == count], turns=2 * count)


def _kept(tx: Tx, turns: Sequence[Turn], now: Moment, locked: str = "") -> Sequence[tuple[str, str]]:
    return tx.rows(f"{_KEPT}{locked}", paired(turns), now - PROMISED, _AT_ONCE)
