"""Taking and promising slots, for any limits, runs and slots that are held already (rule 54)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.engine.gates import Applicant, Gate, GateKind, Own, Room, needs_slot, promise, take

CHECKED = settings(max_examples=300, deadline=None)
KINDS: tuple[GateKind, ...] = ("executing", "run", "rate", "fair")


@dataclass
class Case:
    """Gates with what is held of them, and runs that come to them."""

    rooms: dict[str, Room]
    runs: list[tuple[Applicant, tuple[Gate, ...]]]
    own: Own


@st.composite
def cases(draw: st.DrawFn) -> Case:
    gates = [
        Gate(kind, f"{kind}{n}", 1 if kind == "fair" else draw(st.integers(1, 4)), 1_000 if kind == "rate" else None)
        for n, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4)))
    ]
    rooms = {}
    for gate in gates:
        taken = 0 if gate.kind == "fair" else draw(st.integers(0, gate.limit))
        rooms[gate.id] = Room(gate, taken, draw(st.integers(0, gate.limit - taken)), draw(st.booleans()))
    runs = []
    own = Own()
    for n in range(draw(st.integers(1, 8))):
        claim = draw(st.integers(0, 1))
        version = draw(st.integers(0, 1)) if claim else 0
        one = Applicant(f"r{n}", "shop", "job", 0, None, claim, version, draw(st.integers(0, 9)), 0)
        mine = tuple(draw(st.lists(st.sampled_from(gates), unique=True, min_size=1)))
        runs.append((one, mine))
        for gate in mine:
            room = rooms[gate.id]
            counted = sum(gate_id == gate.id for gate_id, _ in own.taken)
            if claim and gate.kind in ("run", "rate") and counted < room.taken and draw(st.booleans()):
                own.taken.add((gate.id, one.run_id))
    return Case(rooms, runs, own)


@CHECKED
@given(cases())
def test_no_more_is_taken_than_the_limit_and_all_or_nothing(case: Case) -> None:
    for one, gates in case.runs:
        before = deepcopy(case.rooms)
        full = take(one, gates, case.rooms, case.own)
        wanted = [gate for gate in gates if gate.kind != "fair" and needs_slot(gate, one, case.own)]
        if full is not None:
            assert case.rooms == before
            assert full in wanted
            assert before[full.id].taken + before[full.id].promised >= full.limit
        else:
            for gate_id, room in case.rooms.items():
                assert room.taken - before[gate_id].taken == sum(gate.id == gate_id for gate in wanted)
        assert all(room.taken <= room.gate.limit for room in case.rooms.values())


@CHECKED
@given(cases())
def test_what_is_promised_is_never_more_than_what_is_free(case: Case) -> None:
    for one, gates in case.runs:
        before = deepcopy(case.rooms)
        found = promise(one, gates, case.rooms, case.own)
        for gate_id, room in case.rooms.items():
            assert room.promised - before[gate_id].promised == sum(gate.id == gate_id for gate in found.gates)
            assert room.taken == before[gate_id].taken
            assert room.taken + room.promised <= max(room.gate.limit, before[gate_id].taken + before[gate_id].promised)
        if found.held is not None:
            assert {gate.kind for gate in found.gates} <= {"fair"}
            room = before[found.held.id]
            assert room.free == 0 or (room.held and one.claim == 0), "it was held back although there was room"
        else:
            turns = {gate for gate in gates if gate.kind == "fair" and one.claim == 0}
            needed = {gate for gate in gates if gate.kind != "fair" and needs_slot(gate, one, case.own)}
            assert set(found.gates) == turns | needed


@CHECKED
@given(cases(), st.randoms(use_true_random=False))
def test_all_that_is_promised_can_be_taken_in_any_order(case: Case, chance: object) -> None:
    promised = []
    for one, gates in case.runs:
        if (found := promise(one, gates, case.rooms, case.own)).held is None:
            case.own.promised |= {(gate.id, one.run_id) for gate in found.gates}
            promised.append((one, gates))
    chance.shuffle(promised)  # type: ignore[attr-defined]
    for one, gates in promised:
        assert take(one, gates, case.rooms, case.own) is None


@CHECKED
@given(cases())
def test_a_run_that_has_all_of_its_slots_is_held_back_by_none_of_them(case: Case) -> None:
    for one, gates in case.runs:
        lasting = tuple(gate for gate in gates if (gate.id, one.run_id) in case.own.taken)
        for gate in lasting:
            case.rooms[gate.id].promised = gate.limit
        before = deepcopy(case.rooms)
        assert take(one, lasting, case.rooms, case.own) is None
        assert promise(one, lasting, case.rooms, case.own).held is None
        assert case.rooms == before


@CHECKED
@given(cases())
def test_who_is_let_through_by_its_gate_goes_before_those_that_are_held_there(case: Case) -> None:
    """Otherwise the first of those that are held would be held back by the others, for ever."""
    for one, gates in case.runs:
        for gate in gates:
            room = case.rooms[gate.id]
            if room.free and room.held:
                found = promise(one, (gate,), case.rooms, case.own, behind=gate.id)
                assert found.held is None
