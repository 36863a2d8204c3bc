"""Gates: what they are called, and how a run keeps them (rule 54)."""

from __future__ import annotations

import pytest

from stepwell.definition.model import Rule
from stepwell.engine.gates import Gate, GateParts, gate_of, gates_json, gates_of, group_gate, parts_of


def test_rules_without_a_name_are_per_app_workflow_and_rule() -> None:
    gates = [
        gate_of(Rule("executing", index, 1), app, workflow, key, "u1")
        for index in (0, 1)
        for app in ("a", "b")
        for workflow in ("w", "v")
        for key in (None, "", "x")
    ]

    assert len({gate.id for gate in gates}) == len(gates)
    assert gate_of(Rule("rate", 0, 1, per=5), "a", "w", None, "u1").id not in {gate.id for gate in gates}


def test_a_name_is_shared_and_those_of_concurrency_and_rates_are_apart() -> None:
    one = gate_of(Rule("executing", 0, 2, name="crawler"), "a", "w", "k", "u1")

    assert one.id == gate_of(Rule("run", 3, 2, name="crawler"), "b", "v", "k", "u2").id
    assert one.id != gate_of(Rule("rate", 0, 2, per=1, name="crawler"), "a", "w", "k", "u1").id


def test_keys_are_per_user_for_skip_and_replace_without_a_name() -> None:
    def ids(rule: Rule) -> set[str]:
        return {gate_of(rule, "a", "w", "k", user).id for user in ("u1", "u2")}

    assert len(ids(Rule("run", 0, 1, on_conflict="skip"))) == 2
    assert len(ids(Rule("run", 0, 1, name="one", on_conflict="replace"))) == 1
    assert len(ids(Rule("run", 0, 1))) == 1


def test_an_id_tells_its_parts() -> None:
    assert parts_of(gate_of(Rule("run", 1, 1, on_conflict="skip"), "shop", "order", "k", "u1").id) == GateParts(
        "concurrency", "shop/order#1", "k", "u1"
    )
    assert parts_of(gate_of(Rule("rate", 0, 1, per=1, name="mail"), "shop", "order", None, "u1").id) == GateParts(
        "rate", "mail", None
    )
    assert parts_of(group_gate("g1", 2).id) == GateParts("group", "g1", None)
    assert parts_of("spoilt") is None
    assert parts_of('{"a": 1}') is None


def test_gates_are_loaded_as_they_were_kept() -> None:
    gates = (gate_of(Rule("rate", 0, 100, per=60_000_000), "a", "w", 'ü"x', "u1"), group_gate("g1", 5))

    assert gates_of(gates_json(gates)) == gates
    assert gates_json([]) is None
    assert gates_of(None) == ()


@pytest.mark.parametrize(
    "text", ["", "x", "{}", "5", "null", "[1]", "[[]]", '[["run","x","1",null]]', '[["new","x",1,null]]', "[" * 9999]
)
def test_a_spoilt_text_holds_no_gates(text: str) -> None:
    assert gates_of(text) == ()


def test_a_gate_is_a_value() -> None:
    assert Gate("run", "x", 1) == Gate("run", "x", 1, None)
