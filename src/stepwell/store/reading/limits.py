"""The gates of limits as people look at them: what is held, by which runs, and what waits behind.

Every statement walks a bounded number of rows, however many runs hold or wait: a count says where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from stepwell.engine.gates import Gate, gates_of, group_gate, group_of
from stepwell.engine.run import Moment, RunRow, Status
from stepwell.store import tables
from stepwell.store.gate_rooms import TAKEN
from stepwell.store.tx import Tx, paired

COUNTED: Final = 1_000
"""Runs that are counted at one gate, at most."""
WALKED: Final = 2_000
"""Gates that are looked at for one page."""
_LOOKED_AT: Final = 100
"""Runs of a gate by which it is decided whose it is."""
_FIRST: Final = "["
"""Before the id of every gate."""
_HOLDS: Final = f"FROM pairs(?) l CROSS JOIN stepwell_slots s WHERE s.gate=l.a AND s.taken=1 AND {TAKEN}"
_SEEN: Final = "id, app_name, workflow_name, user_id, status, subject"
_SINCE: Final = "CASE WHEN h.held_by LIKE 'group:%' THEN h.updated_at ELSE h.held_rank+h.headstart END"
"""Since when a run is held: the rank of a group's run is its index, and nothing changes it while it is held."""
_BEHIND: Final = "FROM stepwell_runs h WHERE h.held_by=l.a"

LimitOf = Callable[[Gate], Gate]
"""A function that returns the gate with the limit of the code, where that has the rule."""


class GateUse(NamedTuple):
    """A gate, and how much of it is in use."""

    gate: Gate
    holding: int
    held: int
    held_since: Moment | None
    """Since when the first one is held."""
    opens_at: Moment | None
    """The time at which the next run may begin, where a rate is used up."""


class Holder(NamedTuple):
    """A run that holds a slot of a gate."""

    run_id: str
    app_name: str
    workflow_name: str
    user_id: str
    status: Status
    subject: str | None
    at: Moment


class Behind(NamedTuple):
    """A run that is held behind a gate."""

    run_id: str
    app_name: str
    workflow_name: str
    user_id: str
    status: Status
    subject: str | None
    since: Moment
    """Since when it is held."""


class Hold(NamedTuple):
    """The gate that holds a run, with its use, the first runs that hold it, and the place of the run behind it."""

    use: GateUse
    holders: Sequence[Holder]
    place: int
    """1: the next one."""
    since: Moment
    """Since when the run is held."""


# -- which gates there are ---------------------------------------------------------------------------------------------


def in_use(
    tx: Tx, after: str | None, limit: int, *, apps: Sequence[str] | None = None, only_held: bool = False
) -> tuple[list[str], str | None]:
    """Return ids of gates in order, those behind `after`, and where the next page begins; with `apps`, those of their runs.

    A page may have fewer than `limit`, and yet another one after it.
    """
    start = _FIRST if after is None else after
    found = set(_walked(tx, "runs", "held_by", start))
    if not only_held:
        found |= set(_walked(tx, "slots", "gate", start))
    walked = sorted(found)[:WALKED]
    seen = walked if apps is None else _seen(tx, walked, apps)
    page = [gate for gate in walked if gate in set(seen)][: limit + 1]
    if len(page) > limit:
        return page[:limit], page[limit - 1]
    return page, walked[-1] if len(walked) == WALKED else None


def _walked(tx: Tx, table: str, column: str, after: str) -> list[str]:
    """Return the next gates in this column: one look at its index for each. Those of look-ups are no limits' own."""
    following = f"SELECT min({column}) FROM stepwell_{table} WHERE {column} IS NOT NULL AND {column}>"
    sql = (
        f"WITH RECURSIVE g(gate) AS ({following}CAST(? AS TEXT)"
        f" UNION ALL SELECT ({following}CASE WHEN g.gate LIKE 'alive:%' THEN 'alive;' ELSE g.gate END)"
        " FROM g WHERE g.gate IS NOT NULL)"
        f" SELECT gate FROM g WHERE gate IS NOT NULL AND gate NOT LIKE 'alive:%' LIMIT {WALKED}"
    )
    return [row[0] for row in tx.rows(sql, after)]


def _seen(tx: Tx, gate_ids: Sequence[str], apps: Sequence[str]) -> list[str]:
    """Return those of the gates at which runs of these apps wait, or which they hold."""
    waits = f"SELECT h.app_name {_BEHIND} ORDER BY h.held_rank, h.id LIMIT {_LOOKED_AT}"
    holds = (
        "SELECT r.app_name FROM stepwell_slots s JOIN stepwell_runs r ON r.id=s.run_id WHERE s.gate=l.a"
        f" ORDER BY s.run_id DESC LIMIT {_LOOKED_AT}"
    )
    found = tx.rows(
        f"SELECT l.a FROM pairs(?) l WHERE EXISTS (SELECT 1 FROM ({waits}) w WHERE w.app_name IN list(?))"
        f" OR EXISTS (SELECT 1 FROM ({holds}) o WHERE o.app_name IN list(?))",
        paired((gate_id, "") for gate_id in gate_ids),
        tx.listed(apps),
        tx.listed(apps),
    )
    return [row[0] for row in found]


# -- how they are used -------------------------------------------------------------------------------------------------


def uses(tx: Tx, gate_ids: Sequence[str], limit_of: LimitOf, now: Moment) -> list[GateUse]:
    """Return how these gates are used, in this order; at most `COUNTED` runs are counted at each."""
    gates = _gates(tx, gate_ids, limit_of)
    given = paired((gate.id, str(now - (gate.per or 0))) for gate in gates)
    first = f"{_BEHIND} ORDER BY h.held_rank, h.id LIMIT 1"
    own = f"FROM stepwell_slots s WHERE s.gate=l.a AND s.taken=1 AND {TAKEN}"
    found = tx.rows(
        f"SELECT l.a, (SELECT count(*) FROM (SELECT 1 {own} LIMIT {COUNTED}) c),"
        f" (SELECT count(*) FROM (SELECT 1 {_BEHIND} LIMIT {COUNTED}) c),"
        f" (SELECT {_SINCE} {first}), (SELECT min(s.at) {own} AND s.kind='rate') FROM pairs(?) l",
        given,
    )
    by_id = {row[0]: row for row in found}
    return [_use(gate, *by_id[gate.id][1:]) for gate in gates]


def _use(gate: Gate, holding: int, held: int, since: Moment | None, first: Moment | None) -> GateUse:
    full = gate.kind == "rate" and first is not None and holding >= gate.limit
    opens_at = first + (gate.per or 0) if full and first is not None else None
    return GateUse(gate, holding, held, tables.moment(since), opens_at)


def _gates(tx: Tx, gate_ids: Sequence[str], limit_of: LimitOf) -> list[Gate]:
    """Return the gates as one of their runs, or their group, has kept them, with the limits of the code."""
    waits = f"SELECT h.gates {_BEHIND} ORDER BY h.held_rank, h.id LIMIT 1"
    holds = "SELECT r.gates FROM stepwell_slots s JOIN stepwell_runs r ON r.id=s.run_id WHERE s.gate=l.a LIMIT 1"
    kind = "SELECT s.kind FROM stepwell_slots s WHERE s.gate=l.a LIMIT 1"
    found = tx.rows(
        f"SELECT l.a, COALESCE(({waits}), ({holds})), ({kind}) FROM pairs(?) l",
        paired((gate_id, "") for gate_id in gate_ids),
    )
    texts = {row[0]: row[1:] for row in found}
    of_groups = _group_gates(tx, gate_ids)
    return [of_groups.get(gate_id) or limit_of(_kept(gate_id, *texts[gate_id])) for gate_id in gate_ids]


def _group_gates(tx: Tx, gate_ids: Sequence[str]) -> dict[str, Gate]:
    groups = [group for gate_id in gate_ids if (group := group_of(gate_id)) is not None]
    if not groups:
        return {}
    found = tx.rows("SELECT id, max_in_flight FROM stepwell_groups WHERE id IN list(?)", tx.listed(groups))
    return {gate.id: gate for gate in (group_gate(group_id, most or 0) for group_id, most in found)}


def _kept(gate_id: str, text: str | None, kind: str | None) -> Gate:
    for gate in gates_of(text):
        if gate.id == gate_id:
            return gate
    return Gate("run", gate_id, 0) if kind is None else Gate(kind, gate_id, 0)  # type: ignore[arg-type]


def holders(
    tx: Tx, gate: Gate, now: Moment, limit: int, *, apps: Sequence[str] | None = None, user_id: str | None = None
) -> list[Holder]:
    """Return the first runs that hold the gate (of these apps, or this user)."""
    only, given = _restricted("r", tx, apps, user_id)
    return tx.fetch(
        Holder._make,
        "SELECT r.id, r.app_name, r.workflow_name, r.user_id, r.status, r.subject, s.at"
        f" {_HOLDS.replace('stepwell_slots s', 'stepwell_slots s JOIN stepwell_runs r ON r.id=s.run_id')}{only}"
        " ORDER BY s.at, s.run_id LIMIT ?",
        paired([(gate.id, str(now - (gate.per or 0)))]),
        *given,
        limit,
    )


def behind(
    tx: Tx, gate: Gate, limit: int, *, apps: Sequence[str] | None = None, user_id: str | None = None
) -> list[Behind]:
    """Return the first runs that are held behind the gate (of these apps, or this user), in order."""
    only, given = _restricted("h", tx, apps, user_id)
    return tx.fetch(
        Behind._make,
        f"SELECT {_SEEN}, since FROM (SELECT {_SEEN}, held_rank, {_SINCE} AS since FROM stepwell_runs h WHERE held_by=?"
        f" ORDER BY held_rank, id LIMIT {COUNTED}) h"
        f" WHERE 1=1{only} ORDER BY h.held_rank, h.id LIMIT ?",
        gate.id,
        *given,
        limit,
    )


def _restricted(prefix: str, tx: Tx, apps: Sequence[str] | None, user_id: str | None) -> tuple[str, list[object]]:
    """Return the condition for runs of these apps and this user, and its parameters."""
    parts: list[tuple[str, object]] = []
    if apps is not None:
        parts.append((f" AND {prefix}.app_name IN list(?)", tx.listed(apps)))
    if user_id is not None:
        parts.append((f" AND {prefix}.user_id=?", user_id))
    return "".join(sql for sql, _ in parts), [value for _, value in parts]


# -- one run -----------------------------------------------------------------------------------------------------------


def hold_of(tx: Tx, run: RunRow, limit_of: LimitOf, now: Moment, few: int, user_id: str | None) -> Hold | None:
    """Return what holds the run, with a few of those that hold the gate; None if it isn't held."""
    if run.held_by is None:
        return None
    kept = next((gate for gate in gates_of(run.gates) if gate.id == run.held_by), None)
    [use] = uses(tx, [run.held_by], lambda gate: limit_of(gate if kept is None else kept), now)
    before = "held_by=? AND (held_rank<? OR (held_rank=? AND id<?))"
    ahead = tx.scalar(
        f"SELECT count(*) FROM (SELECT 1 FROM stepwell_runs WHERE {before} ORDER BY held_rank, id LIMIT {COUNTED}) c",
        run.held_by,
        run.held_rank,
        run.held_rank,
        run.id,
    )
    since = (tables.moment(run.held_rank) or 0) + (tables.moment(run.headstart) or 0)
    if use.gate.kind == "group":
        since = tables.moment(run.updated_at) or 0
    return Hold(use, holders(tx, use.gate, now, few, user_id=user_id), int(ahead) + 1, since)


def ahead(tx: Tx, run: RunRow) -> int | None:
    """Return how many ready runs of its workflow come before a ready run, at most `COUNTED`; None if it isn't ready."""
    if run.ready_at is None:
        return None
    found = tx.scalar(
        "SELECT count(*) FROM (SELECT 1 FROM stepwell_runs INDEXED BY stepwell_runs_ready WHERE app_name=?"
        f" AND workflow_name=? AND ready_at IS NOT NULL AND ready_at - headstart < CAST(? AS BIGINT) LIMIT {COUNTED}) c",
        run.app_name,
        run.workflow_name,
        run.ready_at - run.headstart,
    )
    return int(found)
