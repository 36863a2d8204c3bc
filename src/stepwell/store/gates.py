"""Gates in the database: slots that are counted from rows, promises, and the runs that are held back (rule 54).

A row of `stepwell_slots` counts only together with the row of its run: a slot that is taken while its run is executed by
the claim's number, one for a whole run by its status. So whatever ends a claim or a run ends its slots too.

Only claims have to be exact: they lock the gates whose slots they take. Elsewhere a transaction may see what another is
about to change. Then a run too many becomes ready, and its claim puts it back; or one too few, and the duty finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from stepwell.engine.choose import PARKED
from stepwell.engine.gates import Applicant, Gate, Own, Room, RuleLimits, gates_of, lane_of, promise, take
from stepwell.engine.pauses import PauseRow, covering
from stepwell.engine.run import BEGUN, Moment, RunRow
from stepwell.store import gate_rooms, openings, paused_gates, pauses, tables
from stepwell.store.tx import Tx, WakeUp, paired

_LET: Final = 200
"""Runs of one gate that are let through at once."""
_ROUNDS: Final = 8
_SECOND: Final = 1_000_000
_SLOT: Final = "INSERT INTO stepwell_slots (gate, run_id, kind, taken, claim, at) VALUES (?, ?, ?, ?, ?, ?)"
_TAKE: Final = (
    f"{_SLOT} ON CONFLICT (gate, run_id) DO UPDATE SET kind=excluded.kind, taken=excluded.taken, claim=excluded.claim,"
    " at=excluded.at"
)
_PROMISE: Final = (
    f"{_SLOT.replace('slots (', 'slots AS x (')} ON CONFLICT (gate, run_id) DO UPDATE SET kind=excluded.kind,"
    " taken=excluded.taken, claim=excluded.claim, at=excluded.at"
    " WHERE x.taken=0 OR x.kind='rate' OR x.claim<=excluded.claim"
)
# A start that comes again mustn't take from a run what it has got since.
_PROMISE_NEW: Final = f"{_SLOT} ON CONFLICT (gate, run_id) DO NOTHING"
_BACK: Final = (
    "UPDATE stepwell_runs SET owner=NULL, claim=claim-1, status=?, ready_at=?, due_at=NULL, held_by=?, held_rank=?,"
    " headstart=? WHERE id=?"
)
_HOLD: Final = (
    "UPDATE stepwell_runs SET ready_at=NULL, due_at=NULL, held_by=?, held_rank=? WHERE id=? AND claim=?"
    " AND ready_at IS NOT NULL"
)


class HeldRun(NamedTuple):
    """A run behind a gate."""

    run_id: str
    app_name: str
    workflow_name: str
    priority: int
    gates: str | None
    claim: int
    version: int
    held_rank: Moment
    headstart: Moment
    held_by: str

    def applicant(self) -> Applicant:
        """Return it as it is before its gates: ready since it was held back."""
        since = (tables.moment(self.held_rank) or 0) + (tables.moment(self.headstart) or 0)
        return Applicant(*self[:7], since, self.headstart)


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a claim: the runs that have their slots, and why the others are put back."""

    admitted: list[RunRow]
    held: int
    """Runs that are held behind a gate now."""
    contended: int
    """Runs that stay ready, because another transaction decides about one of their gates."""
    turns: Mapping[str, Moment]
    """Gates whose next run has its turn now, and since when the last run was ready that had one."""


def applicant(run: RunRow) -> Applicant:
    """Return the run as it is before its gates."""
    return Applicant(
        run.id, run.app_name, run.workflow_name, run.priority, run.gates, run.claim, run.version,
        tables.moment(run.ready_at) or 0, tables.moment(run.headstart) or 0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates, with the limits that this process's code has."""

    limits: RuleLimits
    now: Callable[[], Moment]

    # -- becoming ready -------------------------------------------------------------------------------------------

    def promise_or_hold(self, tx: Tx, applicants: Sequence[Applicant], *, new: bool = False) -> dict[str, str]:
        """Promise slots to runs that become ready; return the gate of each for which there is none, to be held behind."""
        now = self.now()
        wanted = {one.run_id: self._of(one.gates) for one in applicants}
        known = {gate.id: gate for gates in wanted.values() for gate in gates}
        rooms, paused = gate_rooms.count(tx, known, now), paused_gates.at(tx, known)
        own = Own() if new else self._own(tx, [one for one in applicants if one.claim], wanted, now)
        held: dict[str, str] = {}
        slots: list[tuple[Any, ...]] = []
        for one in sorted(applicants, key=_order):
            promised = promise(one, wanted[one.run_id], rooms, own)
            gates = promised.gates if not paused else paused_gates.own_of(one, promised.gates, rooms, paused)
            slots += [(gate.id, one.run_id, gate.kind, 0, one.claim, now) for gate in gates]
            if promised.held is not None:
                held[one.run_id] = promised.held.id
                rooms[promised.held.id].held = True
        tx.each(_PROMISE_NEW if new else _PROMISE, slots)
        self._held_back(tx, {rooms[gate_id].gate for gate_id in held.values()}, rooms, now)
        return held

    def hold_ready(self, tx: Tx, applicants: Iterable[Applicant]) -> None:
        """Hold those of these runs behind a gate that are ready, and for which there is no slot."""
        latest = {one.run_id: one for one in applicants}
        held = self.promise_or_hold(tx, list(latest.values()))
        tx.each(
            _HOLD, [(gate, latest[run_id].rank, run_id, latest[run_id].claim) for run_id, gate in sorted(held.items())]
        )
        tx.hints.ready = [wake_up for wake_up in tx.hints.ready if wake_up.run_id not in held]

    # -- claims ---------------------------------------------------------------------------------------------------

    def admit(self, tx: Tx, found: Sequence[RunRow]) -> Admission:
        """Take the slots of runs that were claimed in this transaction, and put back those for which there are none."""
        now = self.now()
        wanted = {run.id: self._of(run.gates) for run in found}
        counted = {gate.id: gate for gates in wanted.values() for gate in gates if gate.kind != "fair"}
        locked = tx.dialect.lock_gates(tx.driver, counted)
        gated = [run for run in found if wanted[run.id]]
        decided = [run for run in gated if all(gate.id in locked for gate in wanted[run.id] if gate.kind != "fair")]
        rooms = gate_rooms.count(tx, counted, now)
        before = {run.id: _before(run) for run in gated}
        slots = {run_id: [gate for gate in gates if gate.kind != "fair"] for run_id, gates in wanted.items()}
        own = self._own(tx, list(before.values()), slots, now)
        held: dict[str, str] = {}
        for run in sorted(decided, key=lambda run: (not _is_promised(run, wanted, own), _order(before[run.id]))):
            if (full := take(before[run.id], wanted[run.id], rooms, own)) is not None:
                held[run.id] = full.id
        back = {run.id for run in gated if run.id in held or run not in decided}
        admitted = [run for run in found if run.id not in back]
        self._take(tx, admitted, wanted, now)
        tx.each(_BACK, [_put_back(run, before[run.id], held.get(run.id)) for run in gated if run.id in back])
        turns = dict(
            sorted(
                (gate.id, before[run.id].ready_at) for run in admitted for gate in wanted[run.id] if gate.kind == "fair"
            )
        )
        self._held_back(tx, {counted[gate_id] for gate_id in held.values()}, rooms, now)
        self._note_openings(tx, [room for room in rooms.values() if room.held], now)
        return Admission(admitted, len(held), len(back) - len(held), turns)

    def _take(self, tx: Tx, admitted: Sequence[RunRow], wanted: Mapping[str, tuple[Gate, ...]], now: Moment) -> None:
        slots: list[tuple[Any, ...]] = []
        turns: list[tuple[str, str]] = []
        for run in admitted:
            for gate in wanted[run.id]:
                if gate.kind == "fair":
                    turns.append((gate.id, run.id))
                elif gate.kind != "rate":
                    slots.append((gate.id, run.id, gate.kind, 1, run.claim, now))
                elif run.version == 0:
                    # The length of the window in its `claim`: so old rows are known from what they say themselves.
                    slots.append((gate.id, run.id, gate.kind, 1, -(-(gate.per or 0) // _SECOND), now))
        tx.each(_TAKE, slots)
        tx.each("DELETE FROM stepwell_slots WHERE gate=? AND run_id=?", turns)

    # -- releases -------------------------------------------------------------------------------------------------

    def release(self, tx: Tx, released: Sequence[RunRow]) -> None:
        """Free the slots of these runs, which no worker executes any more, and let others through that are held."""
        ended = {run.id for run in released if run.status in ("completed", "failed", "canceled")}
        freed = [
            (gate.id, run.id)
            for run in released
            for gate in gates_of(run.gates)
            # A turn has ended with the first claim, if there was one before this number.
            if gate.kind == "executing" or (run.id in ended and not (gate.kind == "fair" and run.claim > 1))
        ]
        tx.each("DELETE FROM stepwell_slots WHERE gate=? AND run_id=? AND NOT (kind='rate' AND taken=1)", freed)
        tx.hints.freed.update(gate_id for gate_id, _ in freed)

    def settle(self, tx: Tx) -> None:
        """Decide about the runs that became ready in this transaction, and let through those that are held at what it freed."""
        applied, tx.hints.applied = tx.hints.applied, []
        if applied:
            self.hold_ready(tx, applied)
        freed, tx.hints.freed = tx.hints.freed, set()
        if freed:
            self.open(tx, freed)

    def open(
        self, tx: Tx, gate_ids: Iterable[str], *, turns: int = 0, after: Mapping[str, Moment] = MappingProxyType({})
    ) -> None:
        """Let through as many of the runs that are held behind these gates as there are slots; with `turns`, so many turns.

        A run that gets its turn stands behind those that were ready at the moment that `after` has for its gate.
        """
        last = dict(after)
        now, left = self.now(), {gate_id for gate_id in gate_ids if not gate_id.startswith("group:")}
        moved: set[str] = set()
        for _ in range(_ROUNDS):
            gates, paused = self._first_held(tx, left) if left else ({}, ())
            left = set()
            if not gates:
                return
            rooms = gate_rooms.count(tx, gates, now)
            for room in rooms.values():
                room.promised -= max(turns - 1, 0)
            # Behind runs for which another gate has no room there may be some for which all have.
            wanted = [(g, _LET if g in moved else min(room.free, _LET)) for g, room in rooms.items() if room.free]
            held = [rooms[gate_id] for gate_id in gates]
            if wanted:
                found = [HeldRun._make(row) for row in tx.dialect.held(tx.driver, wanted)]
                found, left = paused_gates.let_by(tx, found, paused) if paused else (found, left)
                passed = self._let_through(tx, found, rooms, now, last) if found else set()
                moved |= {gate_id for gate_id in passed if rooms[gate_id].gate.kind != "fair"}
                left |= passed | {gate_id for gate_id, count in wanted if count == _LET and found}
            turns = 0
            self._note_openings(tx, held, now)
        tx.hints.gates |= left

    def with_room(self, tx: Tx, gate_ids: Sequence[str]) -> list[str]:
        """Return those of these gates behind which runs are held although there are slots, or no window is to open."""
        given = [gate_id for gate_id in gate_ids if not gate_id.startswith("group:")]
        gates = self._first_held(tx, given)[0] if given else {}
        found = {gate_id for gate_id, room in gate_rooms.count(tx, gates, self.now()).items() if room.free}
        if rates := {gate_id for gate_id, gate in gates.items() if gate.kind == "rate"}:
            found |= rates - openings.noted(tx, rates)
        return sorted(found)

    def _first_held(self, tx: Tx, gate_ids: Iterable[str]) -> tuple[dict[str, Gate], Sequence[PauseRow]]:
        """Return those of these gates behind which runs are held, as the first of each has it, but of what is paused; and
        the pauses."""
        first = "FROM stepwell_runs r WHERE r.held_by=l.a ORDER BY r.held_rank, r.id LIMIT 1"
        found = tx.rows(
            f"SELECT l.a, (SELECT r.id {first}), (SELECT r.gates {first}), EXISTS (SELECT 1 FROM stepwell_pauses)"
            " FROM pairs(?) l",
            paired((gate_id, "") for gate_id in sorted(gate_ids)),
        )
        paused = pauses.all_of(tx) if found and found[0][3] else ()
        gates: dict[str, Gate] = {}
        for gate_id, run_id, text, _ in found:
            lane = lane_of(gate_id) if paused else None
            if run_id is None or (lane is not None and covering(paused, *lane)):
                continue
            gate = next((gate for gate in self._of(text) if gate.id == gate_id), None)
            # A row in which a person has written doesn't keep others back.
            gates[gate_id] = Gate("run", gate_id, 2**31) if gate is None else gate
        return gates, paused

    def _let_through(
        self, tx: Tx, found: Sequence[HeldRun], rooms: dict[str, Room], now: Moment, last: dict[str, Moment]
    ) -> set[str]:
        """Make these runs ready, or hold them behind another of their gates; return the gates that have room left."""
        wanted = {one.run_id: self._of(one.gates) for one in found}
        others = {g.id: g for gates in wanted.values() for g in gates if g.id not in rooms}
        rooms |= gate_rooms.count(tx, others, now)
        applicants = {one.run_id: one.applicant() for one in found}
        # Of the gate that it is held behind, a run that hasn't begun has nothing.
        known = {one.run_id: [g for g in wanted[one.run_id] if one.claim or g.id != one.held_by] for one in found}
        own = self._own(tx, list(applicants.values()), known, now)
        ready: list[tuple[Any, ...]] = []
        moved: list[tuple[Any, ...]] = []
        slots: list[tuple[Any, ...]] = []
        left: set[str] = set()
        for one in sorted(found, key=lambda one: _order(applicants[one.run_id])):
            run = applicants[one.run_id]
            promised = promise(run, wanted[one.run_id], rooms, own, behind=one.held_by)
            slots += [(gate.id, one.run_id, gate.kind, 0, one.claim, now) for gate in promised.gates]
            since = run.ready_at
            if any(gate.kind == "fair" and gate.id == one.held_by for gate in wanted[one.run_id]):
                # A run that has waited for its turn has it at the end of the line, also while the clock stands still.
                since = last[one.held_by] = max(now, min(last.get(one.held_by, 0) + 1, now + _SECOND))
            if promised.held is None:
                ready.append((since, one.run_id, one.claim, one.held_by))
                tx.hints.ready.append(WakeUp(*one[:4], now))
            elif promised.held.id != one.held_by:
                moved.append((promised.held.id, since - run.headstart, one.run_id, one.claim, one.held_by))
                left.add(one.held_by)
        tx.each(_PROMISE, slots)
        same = "WHERE id=? AND claim=? AND held_by=?"
        tx.each(f"{paused_gates.LET} {same}", ready)
        tx.each(f"UPDATE stepwell_runs SET held_by=?, held_rank=? {same}", moved)
        self._held_back(tx, {rooms[row[0]].gate for row in moved}, rooms, now)
        return left

    # -- what is held ---------------------------------------------------------------------------------------------

    def _of(self, text: str | None) -> tuple[Gate, ...]:
        return tuple({gate.id: self.limits.of(gate) for gate in gates_of(text)}.values()) if text else ()

    def _own(self, tx: Tx, applicants: Sequence[Applicant], wanted: Mapping[str, Sequence[Gate]], now: Moment) -> Own:
        """Return the slots that these runs have already."""
        own, claims = Own(), {one.run_id: one.claim for one in applicants}
        pairs = [(gate.id, run_id) for run_id in claims for gate in wanted[run_id]]
        if not pairs:
            return own
        kinds = {gate.id: gate for run_id in claims for gate in wanted[run_id]}
        mine = "FROM stepwell_slots s WHERE s.gate=l.a AND s.run_id=l.b"
        found = tx.rows(
            f"SELECT l.a, l.b, (SELECT s.taken {mine}), (SELECT s.claim {mine}), (SELECT s.at {mine}) FROM pairs(?) l",
            paired(pairs),
        )
        for gate_id, run_id, taken, claim, moment in found:
            gate, at = kinds[gate_id], tables.moment(moment) or 0
            if taken == 0 and claim == claims[run_id] and (gate.kind == "fair" or at > now - gate_rooms.PROMISED):
                own.promised.add((gate_id, run_id))
            elif taken == 1 and (gate.kind in ("run", "group") or (gate.kind == "rate" and at > now - (gate.per or 0))):
                own.taken.add((gate_id, run_id))
        return own

    def _held_back(self, tx: Tx, gates: Iterable[Gate], rooms: Mapping[str, Room], now: Moment) -> None:
        """Note that runs are held behind these gates from now on."""
        held = list(gates)
        if held and not tx.dialect.alone:
            # Another transaction may be freeing a slot, and have seen that no run was held.
            tx.hints.gates.update(gate.id for gate in held)
        self._note_openings(tx, [rooms[gate.id] for gate in held], now)

    def _note_openings(self, tx: Tx, rooms: Iterable[Room], now: Moment) -> None:
        """Store when the windows of rates open behind which runs are held."""
        if tx.dialect.borrowed:
            # Others would wait for these rows until it ends: who hears of the gate afterwards stores them.
            return
        full = [room for room in rooms if room.gate.kind == "rate" and room.gate.per is not None]
        openings = []
        for room in full:
            per = room.gate.per or 0
            at = tx.scalar(
                "SELECT at FROM stepwell_slots INDEXED BY stepwell_slots_rate WHERE gate=? AND kind='rate' AND taken=1"
                " AND at>? ORDER BY at DESC LIMIT 1 OFFSET ?",
                room.gate.id,
                now - per,
                max(room.gate.limit - 1, 0),
            )
            # Promised slots are taken soon, or count no longer.
            opens = now + gate_rooms.PROMISED if at is None or room.taken < room.gate.limit else at + per
            openings.append((room.gate.id, opens))
        tx.each(
            "INSERT INTO stepwell_gates (gate, due_at) VALUES (?, ?) ON CONFLICT (gate) DO UPDATE SET due_at=excluded.due_at",
            sorted(openings),
        )


def _order(one: Applicant) -> tuple[Moment, str]:
    return one.rank, one.run_id


def _before(run: RunRow) -> Applicant:
    """Return a run that was claimed as it was before: its claim has left in `held_rank` since when it was ready."""
    headstart = (tables.moment(run.headstart) or 0) - (BEGUN if run.claim == 1 else 0)
    since = tables.moment(run.held_rank) or 0
    return applicant(run)._replace(claim=run.claim - 1, ready_at=since, headstart=headstart)


def _is_promised(run: RunRow, wanted: Mapping[str, Sequence[Gate]], own: Own) -> bool:
    return any((gate.id, run.id) in own.promised for gate in wanted[run.id])


def _put_back(run: RunRow, before: Applicant, held_by: str | None) -> tuple[Any, ...]:
    tried = run.moves_to is not None or run.failing is not None
    status = "retrying" if tried else "waiting" if run.automatic == PARKED else "pending"
    rank = None if held_by is None else before.rank
    return status, before.ready_at if held_by is None else None, held_by, rank, before.headstart, run.id
