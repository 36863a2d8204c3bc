"""Types and values by Hypothesis: each is kept equal or refused, and a type that is called proven keeps them all."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, create_model

from stepwell.definition.values.codec import codec_for
from stepwell.definition.values.misfit import ValueMisfit, difference


class Base(BaseModel):
    n: int = 0


class Wider(Base):
    more: str = ""


TEXTS = st.text(max_size=5)
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXTS),
    (int, st.integers() | st.integers(min_value=10**4_298, max_value=10**4_302)),
    (bool, st.booleans()),
    (float, st.floats()),
    (bytes, st.binary(max_size=4)),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.none() | st.just(UTC) | st.timezones())),
    (time, st.times(timezones=st.none() | st.just(UTC))),
    (timedelta, st.timedeltas()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (Base, st.builds(Base, n=st.integers()) | st.builds(Wider, more=TEXTS)),
    (
        Any,
        st.recursive(st.none() | st.booleans() | st.floats() | TEXTS | st.binary(max_size=3), st.lists, max_leaves=5),
    ),
]
ODD = st.one_of(*(values for _, values in LEAVES)) | st.sampled_from([{1}, (1,), {1: 2}, print, 1j, frozenset()])


def _lists(one: tuple[Any, st.SearchStrategy[Any]]) -> tuple[Any, st.SearchStrategy[Any]]:
    return list[one[0]], st.lists(one[1], max_size=3)  # type: ignore[name-defined]


def _dicts(one: tuple[Any, st.SearchStrategy[Any]]) -> tuple[Any, st.SearchStrategy[Any]]:
    return dict[str, one[0]], st.dictionaries(TEXTS, one[1], max_size=3)  # type: ignore[name-defined]


def _optional(one: tuple[Any, st.SearchStrategy[Any]]) -> tuple[Any, st.SearchStrategy[Any]]:
    return one[0] | None, st.none() | one[1]


def _model(one: tuple[Any, st.SearchStrategy[Any]]) -> tuple[Any, st.SearchStrategy[Any]]:
    made = create_model("Made", it=(one[0], ...))
    return made, st.builds(dict, it=one[1]) | st.builds(made.model_construct, it=one[1])


def _union(one: tuple[Any, st.SearchStrategy[Any]], other: tuple[Any, st.SearchStrategy[Any]]) -> Any:
    return one[0] | other[0] if one[0] is not Any and other[0] is not Any else Any, one[1] | other[1]


LEAF = st.sampled_from(LEAVES)
TYPES = st.recursive(
    LEAF,
    lambda inner: (
        inner.map(_lists) | inner.map(_dicts) | inner.map(_optional) | inner.map(_model) | st.builds(_union, LEAF, LEAF)
    ),
    max_leaves=3,
)


@settings(max_examples=150)
@given(st.data())
def test_every_value_is_kept_equal_or_refused(data: st.DataObject) -> None:
    type_, values = data.draw(TYPES)
    value = data.draw(values | ODD if data.draw(st.integers(0, 5)) == 0 else values)
    codec = codec_for(type_)
    try:
        valid = codec.validate(value)
        text = codec.checked(value)
    except (ValueMisfit, ValidationError):
        return
    assert difference(valid, codec.load(text)) is None
    assert codec.kept(value)[0] == text
    assert "Infinity" not in text.replace('"', "") or isinstance(value, str | bytes | dict | list | BaseModel)


@settings(max_examples=100)
@given(st.data())
def test_a_state_that_was_changed_is_stored_equal_or_refused(data: st.DataObject) -> None:
    _, values = data.draw(TYPES)
    type_ = create_model("State", it=(data.draw(TYPES)[0] | None, None), n=(float | None, None))
    codec = codec_for(type_)
    before = codec.checked({})
    state = codec.load(before)
    state.it = data.draw(values | st.none())
    state.n = data.draw(st.none() | st.floats())
    try:
        text = codec.changed(state, before)
    except (ValueMisfit, ValidationError):
        return
    assert difference(state, codec.load(text or before)) is None
    assert state.n is None or math.isfinite(state.n)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (list[str | Decimal], [0]),  # loads as [Decimal("0")], whose own text loads as ["0"]
        (dict[str, str | Decimal], {"a": 1.5}),
        (str | Decimal, 7),
    ],
)
def test_a_changed_state_is_refused_if_the_text_of_an_equal_value_loads_as_another(type_: Any, value: object) -> None:
    codec = codec_for(create_model("State", it=(type_ | None, None)))
    before = codec.checked({})
    state = codec.load(before)
    state.it = value
    with pytest.raises(ValueMisfit, match=r"^it.*comes back as"):
        codec.changed(state, before)
