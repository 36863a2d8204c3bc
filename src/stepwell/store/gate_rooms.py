"""The room at gates: what runs hold of each, and what they are promised (rule 54)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from stepwell.engine.gates import Gate, Room
from stepwell.engine.run import Moment
from stepwell.store.tx import Tx, paired

PROMISED: Final = 10_000_000
"""Microseconds for which a promise counts: runs that no worker claims don't keep others back."""
_RUN: Final = "EXISTS (SELECT 1 FROM stepwell_runs r WHERE r.id=s.run_id AND"
_UNENDED: Final = f"{_RUN} r.status NOT IN ('completed', 'failed', 'canceled'))"
TAKEN: Final = (
    "CASE s.kind WHEN 'rate' THEN s.at>CAST(l.b AS BIGINT)"
    f" WHEN 'executing' THEN {_RUN} r.claim=s.claim AND r.owner IS NOT NULL)"
    f" WHEN 'run' THEN {_UNENDED} WHEN 'group' THEN {_UNENDED} ELSE 1=0 END"
)
# Who has its turn keeps it while another gate holds it back.
_PROMISED: Final = (
    f"CASE s.kind WHEN 'fair' THEN {_RUN} r.claim=s.claim AND r.owner IS NULL"
    " AND (r.ready_at IS NOT NULL OR (r.held_by IS NOT NULL AND r.held_by<>s.gate)))"
    f" ELSE s.at>CAST(? AS BIGINT) AND {_RUN} r.claim=s.claim AND r.ready_at IS NOT NULL) END"
)
_HELD: Final = "(SELECT 1 WHERE EXISTS (SELECT 1 FROM stepwell_runs h WHERE h.held_by=l.a))"
_ROOMS: Final = (
    f"SELECT l.a, (SELECT count(*) FROM stepwell_slots s WHERE s.gate=l.a AND s.taken=1 AND {TAKEN}),"
    f" (SELECT count(*) FROM stepwell_slots s WHERE s.gate=l.a AND s.taken=0 AND {_PROMISED}),"
    f" {_HELD} FROM pairs(?) l"
)
# Of a rate never more rows are read than it allows, however many its window has.
_OF_RATES: Final = (
    "SELECT l.a, (SELECT count(*) FROM (SELECT 1 FROM stepwell_slots s INDEXED BY stepwell_slots_rate"
    " WHERE s.gate=l.a AND s.kind='rate' AND s.taken=1 AND s.at>CAST(l.b AS BIGINT) ORDER BY s.at DESC LIMIT ?) t),"
    " (SELECT count(*) FROM stepwell_slots s INDEXED BY stepwell_slots_promised"
    f" WHERE s.gate=l.a AND s.kind='rate' AND s.taken=0 AND {_PROMISED}), {_HELD} FROM pairs(?) l"
)


def count(tx: Tx, gates: Mapping[str, Gate], now: Moment) -> dict[str, Room]:
    """Return the rooms of these gates. Of a rate no more counts as taken than its limit."""
    rooms = _counted(tx, [gate for gate in gates.values() if gate.kind != "rate"], now)
    rates = [gate for gate in gates.values() if gate.kind == "rate"]
    for limit in sorted({gate.limit for gate in rates}):
        rooms |= _counted(tx, [gate for gate in rates if gate.limit == limit], now, limit)
    return rooms


def _counted(tx: Tx, gates: Iterable[Gate], now: Moment, limit: int | None = None) -> dict[str, Room]:
    known = {gate.id: gate for gate in gates}
    if not known:
        return {}
    given = paired((gate.id, str(now - (gate.per or 0))) for gate in known.values())
    promised = now - PROMISED
    found = tx.rows(_ROOMS, promised, given) if limit is None else tx.rows(_OF_RATES, limit, promised, given)
    return {row[0]: Room(known[row[0]], row[1], row[2], row[3] is not None) for row in found}
