"""The slots that runs hold, as the database itself notes them: each commit that takes or frees one, whoever made it.

Triggers write down what changes, so nothing here goes by a clock, nor by what a process believes of itself. A process that
stands still for longer than its lease, whatever the reason, has lost its runs: what its methods do after that is no
execution any more. Whether an attempt has its run it reads from the rows; one that hasn't must have been followed by
another claim.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from typing import NamedTuple

from acceptance import evidence
from stepwell.execution.begun import current_attempt

_ENDED = "status IN ('completed', 'failed', 'canceled')"
_CHANGED = (
    "OLD.claim<>NEW.claim OR (OLD.owner IS NULL)<>(NEW.owner IS NULL) OR OLD.owner<>NEW.owner OR OLD.status<>NEW.status"
)
_TAKEN = (
    "INSERT INTO test_slots (gate, run_id, kind, claim, at) VALUES (NEW.gate, NEW.run_id, NEW.kind, NEW.claim, NEW.at)"
)
_RUN = (
    "INSERT INTO test_slots (run_id, claim, executed, ended)"
    f" VALUES (NEW.id, NEW.claim, NEW.owner IS NOT NULL, NEW.{_ENDED})"
)
_TABLE = (
    "CREATE TABLE test_slots (seq {key}, gate TEXT, run_id TEXT NOT NULL, kind TEXT, claim BIGINT NOT NULL,"
    " at BIGINT, executed BOOLEAN, ended BOOLEAN);"
)
_TRIGGERS = [
    ("inserted", "INSERT ON stepwell_slots", "NEW.taken=1", _TAKEN),
    ("updated", "UPDATE ON stepwell_slots", "NEW.taken=1", _TAKEN),
    ("changed", "UPDATE ON stepwell_runs", _CHANGED, _RUN),
]


def watch() -> None:
    """From now on each slot that is taken, and each run that changes hands or ends, is noted in its own transaction."""
    if evidence.database_url().startswith("sqlite"):
        triggers = [
            f"CREATE TRIGGER test_{name} AFTER {event} WHEN {when} BEGIN {act}; END;"
            for name, event, when, act in _TRIGGERS
        ]
        evidence.write(_TABLE.format(key="INTEGER PRIMARY KEY AUTOINCREMENT") + "".join(triggers))
        return
    triggers = [
        f"CREATE FUNCTION test_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act}; RETURN NULL; END $$;"
        f"CREATE TRIGGER test_{name} AFTER {event} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION test_{name}();"
        for name, event, when, act in _TRIGGERS
    ]
    evidence.write(_TABLE.format(key="BIGSERIAL PRIMARY KEY") + "".join(triggers))


async def write_down(kind: str, key: str, run_id: str, step: str, seconds: float) -> None:
    """What a method does that executes for so long: it notes when it begins and ends, and whether it has its run then."""
    inside = current_attempt.get()
    assert inside is not None
    claim = inside.attempt.run.claim
    words = (kind, key, f"{run_id}/{step}", os.getpid(), claim)
    evidence.append("work", "begins", *words, await asyncio.to_thread(_has, run_id, claim))
    await asyncio.sleep(seconds)
    evidence.append("work", "ends", *words, await asyncio.to_thread(_has, run_id, claim))


def _has(run_id: str, claim: int) -> int:
    sql = "SELECT count(*) FROM stepwell_runs WHERE id=? AND claim=? AND owner IS NOT NULL"
    return evidence.number(sql, run_id, claim)


# -- the judgement -----------------------------------------------------------------------------------------------------


class Attempt(NamedTuple):
    """A line of what the methods wrote down."""

    what: str
    kind: str
    key: str
    run_id: str
    step: str
    claim: int
    has_run: bool


class _Change(NamedTuple):
    gate: str | None
    run_id: str
    kind: str | None
    claim: int
    at: int | None
    executed: bool
    ended: bool


def attempts(kind: str) -> list[Attempt]:
    """The beginnings and ends of this kind of method, in their order."""
    return [
        Attempt(what, k, key, *name.split("/"), int(claim), has == "1")
        for what, k, key, name, _, claim, has in evidence.lines("work")
        if k == kind
    ]


def most_held(kind: str) -> dict[str, int]:
    """The most slots of this kind that each gate had given at one moment."""
    held: dict[str, dict[str, int]] = defaultdict(dict)
    gates: dict[str, set[str]] = defaultdict(set)
    most: dict[str, int] = defaultdict(int)
    for one in _changes():
        if one.gate is None:
            for gate in [gate for gate in gates[one.run_id] if _over(one, kind, held[gate][one.run_id])]:
                del held[gate][one.run_id]
                gates[one.run_id].remove(gate)
        elif one.kind == kind:
            held[one.gate][one.run_id] = one.claim
            gates[one.run_id].add(one.gate)
            most[one.gate] = max(most[one.gate], len(held[one.gate]))
    assert not any(held.values()), f"slots that were never freed: {dict(held)}"
    return dict(most)


def rated() -> dict[str, list[int]]:
    """The moments of each rate limit's gate at which runs began, in microseconds. Of a run only the last one counts."""
    last = {(str(one.gate), one.run_id): int(one.at or 0) for one in _changes() if one.kind == "rate"}
    found: dict[str, list[int]] = defaultdict(list)
    for (gate, _), at in last.items():
        found[gate].append(at)
    return {gate: sorted(given) for gate, given in found.items()}


def judge(written: list[Attempt], slot: str | None = None) -> None:
    """Each attempt had its run until another claim followed, or a cancellation; and its slot, if it needs one of this kind.

    Of each transition that was committed one attempt had its run from its beginning to its end.
    """
    changes = _changes()
    latest = {one.run_id: one.claim for one in changes if one.gate is None}
    slots = {(one.run_id, one.claim if slot == "executing" else None) for one in changes if one.kind == slot}
    canceled = {run_id for (run_id,) in evidence.read("SELECT id FROM stepwell_runs WHERE status='canceled'")}
    for one in written:
        mine = (one.run_id, one.claim if slot == "executing" else None)
        assert slot is None or mine in slots, f"{one}: no slot was taken for it"
        assert one.has_run or one.claim < latest[one.run_id] or one.run_id in canceled, f"{one}: it has lost its run"
    begun = {(one.run_id, one.step) for one in written if one.what == "begins"}
    ended = {(one.run_id, one.step) for one in written if one.what == "ends" and one.has_run}
    assert {pair for pair in begun - ended if pair[0] not in canceled} == set()


def _changes() -> list[_Change]:
    sql = "SELECT gate, run_id, kind, claim, at, executed, ended FROM test_slots ORDER BY seq"
    return [_Change(*row) for row in evidence.read(sql)]


def _over(change: _Change, kind: str, claim: int) -> bool:
    return bool(change.ended) or (kind == "executing" and (not change.executed or change.claim != claim))
