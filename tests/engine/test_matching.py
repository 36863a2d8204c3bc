"""Equal keys mean that an event is for a run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.definition.authoring.marks import Event
from stepwell.engine.matching import event_key, listening_key, lookup

PAID = Event("invoice.paid", match={"invoice.id": "args.invoice_id"})
CHARGED = Event("charged", match={"charge": "state.charge_id", "customer": "args.customer.id"})
JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def takes(event: Event, data: object, args_json: str, state_json: str) -> bool:
    wanted = listening_key(event, args_json, state_json)
    return wanted is not None and wanted == event_key(event, data)


@pytest.mark.parametrize(
    ("path", "data", "found"),
    [
        ("a", {"a": 1}, 1),
        ("a.b", {"a": {"b": None}}, None),
        ("a.b", {"a": [1]}, None),
        ("a.0", {"a": [1]}, None),
        ("b", {"a": 1}, None),
        ("a", None, None),
        ("a", "a", None),
    ],
)
def test_lookup(path: str, data: object, found: object) -> None:
    assert lookup(path, data) is found or lookup(path, data) == found


def test_without_a_match_every_event_is_for_every_run() -> None:
    assert listening_key(Event("e"), "null", "{}") == event_key(Event("e"), None) == "[]"


def test_a_run_listens_by_its_args_from_the_beginning() -> None:
    assert listening_key(PAID, '{"invoice_id": "i1"}', "{}") == '[["invoice.id","i1"]]'
    assert takes(PAID, {"invoice": {"id": "i1"}}, '{"invoice_id": "i1"}', "{}")
    assert not takes(PAID, {"invoice": {"id": "i2"}}, '{"invoice_id": "i1"}', "{}")


@pytest.mark.parametrize("state", ["{}", '{"charge_id": null}', "null"])
def test_a_run_listens_by_its_state_from_the_moment_it_is_set(state: str) -> None:
    args = '{"customer": {"id": 7}}'
    assert listening_key(CHARGED, args, state) is None
    assert not takes(CHARGED, {"charge": None, "customer": 7}, args, state)
    assert takes(CHARGED, {"customer": 7, "charge": "c"}, args, '{"charge_id": "c"}')


@pytest.mark.parametrize("data", [None, {}, [], "x", {"invoice": None}, {"invoice": {"id": None}}])
def test_an_event_that_lacks_the_value_is_for_nobody(data: object) -> None:
    assert event_key(PAID, data) is None


@given(value=JSON)
def test_equal_values_have_equal_keys(value: object) -> None:
    assert takes(PAID, {"invoice": {"id": value}}, json.dumps({"invoice_id": value}), "{}")


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (1, True), (0, False), ("a", "A"), ([1], 1), ("", [])])
def test_different_values_have_different_keys(one: object, other: object) -> None:
    assert not takes(PAID, {"invoice": {"id": one}}, json.dumps({"invoice_id": other}), "{}")


def test_a_whole_number_is_the_same_in_both_spellings() -> None:
    assert takes(PAID, {"invoice": {"id": {"n": [1.0]}}}, '{"invoice_id": {"n": [1]}}', "{}")
