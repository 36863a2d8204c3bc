"""What the command line makes of values and schemas, without a command."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter

from stepwell.console.cli.terminal.arguments import mapping
from stepwell.console.cli.terminal.output import duration, plain
from stepwell.console.cli.terminal.prompts import skeleton


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Node(BaseModel):
    name: str
    child: Node | None = None
    children: list[Node] = []


class Loop(BaseModel):
    inner: list[Loop] | Loop


class All(BaseModel):
    text: str
    number: int
    share: float
    sure: bool
    size: Size
    kind: Literal["a", "b"]
    day: date
    items: list[str]
    by_name: dict[str, int]
    node: Node
    maybe: str | None
    given: int = 7
    anything: Any


@pytest.mark.parametrize(
    ("type_", "begun"),
    [
        (
            All,
            {
                "text": "",
                "number": 0,
                "share": 0,
                "sure": False,
                "size": "small",
                "kind": "a",
                "day": "",
                "items": [],
                "by_name": {},
                "node": {"name": "", "child": None, "children": []},
                "maybe": None,
                "given": 7,
                "anything": None,
            },
        ),
        (Node, {"name": "", "child": None, "children": []}),
        (Loop, {"inner": []}),
        (list[Node], []),
        (Node | None, None),
        (str, ""),
    ],
    ids=str,
)
def test_a_skeleton_has_every_field(type_: Any, begun: Any) -> None:
    schema = TypeAdapter(type_).json_schema()
    assert skeleton(schema, schema) == begun


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("text=007", "007"),
        ("number=7", 7),
        ("number=x", "x"),
        ("size=large", "large"),
        ("kind=a", "a"),
        ("maybe=null", "null"),
        ("items=[1]", [1]),
        ("sure=true", True),
    ],
)
def test_a_pair_becomes_what_its_field_takes(pair: str, value: Any) -> None:
    schema = All.model_json_schema()
    assert mapping([pair], schema) == {pair.partition("=")[0]: value}


def test_pairs_of_a_model_that_refers_to_itself() -> None:
    assert mapping(["name=1", "children=[]"], Node.model_json_schema()) == {"name": "1", "children": []}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-0.01, "0 ms"),
        (0.0123, "12 ms"),
        (1.25, "1.2 s"),
        (59.9, "59.9 s"),
        (61, "1 min 01 s"),
        (3_720, "1 h 02 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_durations_are_in_one_or_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_what_steers_a_terminal_is_shown_and_does_nothing() -> None:
    assert plain("a\x1b]0;title\x07b\tc\nd\x9b31m\u00e9") == "a\ufffd]0;title\ufffdb\tc\nd\ufffd31m\u00e9"
