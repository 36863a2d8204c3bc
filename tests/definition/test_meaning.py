"""Equal meaning, whatever the text: what lets an idempotency key come again for the same thing (rule 49)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from stepwell.definition.values.codec import codec_for
from stepwell.definition.values.inputs import same_meaning


class Line(BaseModel):
    sku: str
    id: UUID = Field(default_factory=uuid4)
    tags: set[str] = set()


class Order(BaseModel):
    lines: list[Line] = []
    weight: float | int = 0
    total: Decimal = Decimal(0)
    due: datetime | None = None
    notes: list[str] = Field(default_factory=list)
    extra: Any = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Names(RootModel[set[str]]):
    pass


@dataclass
class Part:
    sku: str
    id: UUID = field(default_factory=uuid4)
    tags: list[str] = field(default_factory=list)


class Strict(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def positive(cls, n: int) -> int:
        if n < 0:
            raise RuntimeError("a validator of the user's may raise anything")
        return n


NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR_AHEAD = timezone(timedelta(hours=1))

MADE = '{"sku":"x","id":"00000000-0000-0000-0000-000000000001"}'
"""With an id that the first caller left out."""

SAME: dict[str, tuple[Any, str, object]] = {
    "sets have no order": (set[str], '["b","a"]', ["a", "b"]),
    "sets in models": (
        Line,
        MADE[:-1] + ',"tags":["b","a"]}',
        {"sku": "x", "tags": {"a", "b"}},
    ),
    "frozen sets in lists": (list[frozenset[int]], "[[2,1]]", [[1, 2]]),
    "a root model": (Names, '["b","a"]', {"a", "b"}),
    "keys have no order": (dict[str, Any], '{"b":1,"a":{"d":1,"c":2}}', {"a": {"c": 2, "d": 1}, "b": 1}),
    "a whole float is its int": (Any, '{"n":1}', {"n": 1.0}),
    "in a union too": (Order, '{"weight":1}', {"weight": 1.0}),
    "zeros": (Any, "[0]", [-0.0]),
    "decimals by value": (Order, '{"total":"1.00"}', {"total": "1.0"}),
    "moments by value": (Order, '{"due":"2026-01-05T12:00:00Z"}', {"due": NOON.astimezone(HOUR_AHEAD)}),
    "a default left out or given": (Order, '{"lines":[],"weight":0}', {}),
    "a generated default left out": (Line, MADE, {"sku": "x"}),
    "of an instance": (Line, MADE, Line(sku="x")),
    "of a nested model": (
        Order,
        '{"lines":[' + MADE + "]}",
        {"lines": [{"sku": "x"}]},
    ),
    "of a nested instance": (
        Order,
        '{"lines":[' + MADE + "]}",
        Order(lines=[Line(sku="x")]),
    ),
    "of a dataclass": (Part, MADE, {"sku": "x"}),
    "extra fields": (Open, '{"a":[1]}', {"a": [1.0]}),
    "nothing": (Any, "null", None),
}

DIFFERENT: dict[str, tuple[Any, str, object]] = {
    "another value": (Line, MADE, {"sku": "y"}),
    "another generated value, given": (
        Line,
        MADE,
        {"sku": "x", "id": UUID(int=2)},
    ),
    "a constant default": (Order, '{"notes":["a"]}', {}),
    "of a dataclass": (Part, MADE[:-1] + ',"tags":["a"]}', {"sku": "x"}),
    "true isn't one": (Any, "[true]", [1]),
    "a text isn't a number": (Any, '["1"]', [1]),
    "lists have an order": (list[str], '["b","a"]', ["a", "b"]),
    "a longer list": (list[str], '["a"]', ["a", "b"]),
    "another key": (dict[str, int], '{"a":1}', {"b": 1}),
    "one set is larger": (set[str], '["a"]', ["a", "b"]),
    "another extra field": (Open, '{"a":1}', {"b": 1}),
    "what can't be loaded any more": (Strict, '{"n":-1}', {"n": -1}),
    "null isn't empty": (Any, "null", {}),
}


@pytest.mark.parametrize("case", SAME)
def test_these_mean_the_same(case: str) -> None:
    type_, earlier, later = SAME[case]
    assert same_meaning(codec_for(type_), earlier, later)


@pytest.mark.parametrize("case", DIFFERENT)
def test_these_mean_something_else(case: str) -> None:
    type_, earlier, later = DIFFERENT[case]
    assert not same_meaning(codec_for(type_), earlier, later)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_whatever_is_stored_means_what_was_given(value: Any) -> None:
    codec = codec_for(Any)
    assert same_meaning(codec, codec.dump(value), value)
    assert not same_meaning(codec, codec.dump([value]), value)
