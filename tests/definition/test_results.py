"""What a transition into END says that it returns has to fit the workflow's result."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from itertools import product
from pathlib import Path
from types import new_class
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NoReturn, TypeVar
from uuid import UUID, uuid4

import pytest
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    Field,
    RootModel,
    ValidationError,
    model_validator,
)
from typing_extensions import TypedDict

from stepwell import END, App, Document, Workflow, transition
from stepwell.definition.compile.results import fits
from stepwell.definition.values.codec import codec_for
from stepwell.definition.values.misfit import ValueMisfit
from stepwell.errors import DefinitionError

T = TypeVar("T")


class Outcome(BaseModel):
    text: str = ""


class Better(Outcome):
    grade: int = 1


class Other(BaseModel):
    number: int = 0


class Receipt(Document):
    text: str = ""


class Row(TypedDict):
    text: str


@dataclass
class Record:
    text: str = ""


class Pair(NamedTuple):
    first: int
    second: int


class Box(BaseModel, Generic[T]):
    item: T


class Texts(RootModel[list[str]]):
    pass


class Lenient(BaseModel):
    text: str

    @model_validator(mode="before")
    @classmethod
    def of_anything(cls, given: Any) -> Any:
        return {"text": str(given)}


class Attributes(BaseModel, from_attributes=True):
    text: str


class Colour(Enum):
    RED = "red"


class Size(StrEnum):
    LARGE = "large"


class Grade(IntEnum):
    BEST = 1


OrderId = NewType("OrderId", str)


def returning(returned: Any, result: Any) -> type:
    """A workflow whose one method returns this type."""

    async def go(self: Any) -> Any: ...

    go.__annotations__["return"] = returned
    base: Any = Workflow[None, None, result]
    return new_class("Shop", (base,), exec_body=lambda body: body.update(go=transition(target=END)(go)))


REFUSED = [
    (int, str),
    (str, int),
    (bool, str),
    (float, str),
    (str, float),
    (datetime, str),
    (Path, str),
    (str | int, list[str]),
    (Literal["yes"], int),
    (str, None),
    (str, Outcome),
    (list[str], Outcome),
    (str, dict[str, Any]),
    (str, list[str]),
    (list[str], str),
    (list[str], list[int]),
    (dict[str, str], dict[str, int]),
    (list[Other], list[Outcome]),
    (list[str], dict[str, Any]),
    (dict[str, Any], list[str]),
    (dict[str, Any], str),
    (dict[str, Any], int | list[int]),
    (Outcome, str),
    (Outcome, dict[str, Any]),
    (Outcome, Row),
    (Outcome, Other),
    (Receipt, Outcome),
    (Box[int], Outcome),
    (Record, Outcome),
    (Outcome, Record),
    (Outcome | None, Other),
    (Annotated[int, Field(gt=1)], str),
    (int, Annotated[str, Field(min_length=2)]),
]
ACCEPTED = [
    (None, Outcome),
    (NoReturn, str),
    (Any, Outcome),
    (object, Outcome),
    (Outcome, Any),
    (Outcome, object),
    (Outcome, Outcome),
    (Better, Outcome),
    (Outcome, Better),
    (Outcome | None, Outcome),
    (Other | Outcome, Outcome),
    (Outcome, Other | Outcome),
    (dict[str, Any], Outcome),
    (dict, Outcome),
    (Mapping[str, object], Outcome),
    (Row, Outcome),
    (dict[str, str], Row),
    (dict[str, str], Record),
    (Row, dict[str, Any]),
    (dict[str, Any], dict[str, int]),
    (dict[str, object], dict[str, int]),
    (list[Any], list[int]),
    (list, list[int]),
    (tuple[int, ...], list[int]),
    (tuple[int, str], list[int]),
    (list[Better], list[Outcome]),
    (set[str], list[str]),
    (Sequence[str], list[str]),
    (list[str], Sequence[str]),
    (list[int], Pair),
    (Pair, list[int]),
    (list[str], Texts),
    (Texts, list[str]),
    (str, Lenient),
    (Other, Lenient),
    (Other, Attributes),
    (Box[int], Box[str]),
    (Box[int], Box),
    (Sequence[str], str),
    (int, float),
    (float, int),
    (bool, int),
    (int, bool),
    (Decimal, int),
    (str, Decimal),
    (str, datetime),
    (int, datetime),
    (date, datetime),
    (str, UUID),
    (UUID, str),
    (str, Path),
    (str, timedelta),
    (str, Colour),
    (Colour, str),
    (Size, str),
    (str, Size),
    (Grade, int),
    (Literal["a", 1], int),
    (str, Literal["a"]),
    (bytes, str),
    (OrderId, str),
    (str, OrderId),
    (str, AnyUrl),
    (T, str),
    (str, T),
    (int, Annotated[str, BeforeValidator(str)]),
    (str, Annotated[str, AfterValidator(str.strip)]),
]


@pytest.mark.parametrize(("returned", "result"), REFUSED)
def test_what_can_never_be_the_result_is_refused(returned: Any, result: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        returning(returned, result)
    [fault] = caught.value.faults
    assert fault.startswith("Shop.go: it leads to 'end' and returns ")
    assert "but the result of Shop is " in fault


@pytest.mark.parametrize(("returned", "result"), ACCEPTED)
def test_what_may_be_the_result_is_accepted(returned: Any, result: Any) -> None:
    assert fits(returned, result)
    if returned is not T and result is not T:
        returning(returned, result)


VALUES: dict[Any, list[Any]] = {
    str: ["", "a", "5", "2026-01-01", "red", "yes"],
    bytes: [b"a", b"5"],
    int: [0, 1, 1735689600],
    float: [0.0, 1.5, 1735689600.0],
    bool: [True, False],
    Decimal: [Decimal(0), Decimal("1.5")],
    datetime: [datetime(2026, 1, 1, tzinfo=UTC)],
    date: [date(2026, 1, 1)],
    timedelta: [timedelta(0), timedelta(hours=1)],
    UUID: [uuid4()],
    Path: [Path("a"), Path("5")],
    Colour: [Colour.RED],
    Size: [Size.LARGE],
    Grade: [Grade.BEST],
    list[Any]: [[], [1], ["a"], [["a", 1]]],
    set[Any]: [set(), {1}],
    tuple[Any, ...]: [(), (1, 2), ("a", "b")],
    dict[str, Any]: [{}, {"text": "a"}, {"number": 1}, {"first": 1, "second": 2}],
    Row: [{"text": "a"}],
    Outcome: [Outcome()],
    Better: [Better()],
    Other: [Other()],
    Record: [Record()],
    Pair: [Pair(1, 2)],
    Texts: [Texts([]), Texts(["a"])],
    Lenient: [Lenient(text="a")],
    Attributes: [Attributes(text="a")],
}


@pytest.mark.parametrize(
    ("returned", "result"), list(product(VALUES, VALUES)), ids=lambda one: getattr(one, "__name__", one)
)
def test_nothing_is_refused_that_a_run_could_store(returned: Any, result: Any) -> None:
    if fits(returned, result) or (returned in (str, bytes) and result in (int, float, bool)):
        return  # of all texts a few are numbers, which nobody means who writes `-> str`
    for value in VALUES[returned]:
        with pytest.raises((ValidationError, ValueMisfit)):
            codec_for(result).checked(value)


def test_only_ways_into_the_end_are_looked_at() -> None:
    class Twice(Workflow[None, None, int]):
        @transition(target="open")
        async def begin(self) -> str:
            return "fails when it is run"

        @transition("open", END)
        def close(self) -> int:
            return 1

    assert [t.name for t in Twice.stepwell_definition.transitions] == ["begin", "close"]


def test_each_method_is_told_once_and_with_the_other_faults() -> None:
    with pytest.raises(DefinitionError) as caught:

        class Twice(Workflow[None, None, int], version="one"):  # type: ignore[arg-type]
            @transition(target=END)
            @transition("open", END)
            @transition(target="open", when=bool)
            def close(self) -> str:
                return "1"

    told = [fault for fault in caught.value.faults if "Twice.close: it leads to 'end' and returns str" in fault]
    assert len(told) == 1
    assert len(caught.value.faults) > 1


def test_wrappers_and_awaitables_are_seen_through_or_left_alone() -> None:
    def as_text(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapped(self: Any) -> str:
            return str(await function(self))

        return wrapped

    class Wrapped(Workflow[None, None, str]):
        @transition(target=END)
        @as_text
        async def go(self) -> int:
            return 5

    class Given(Workflow[None, None, str]):
        @transition(target=END)
        def go(self) -> Awaitable[str]: ...

    assert Wrapped.stepwell_definition
    with pytest.raises(DefinitionError, match="returns int"):

        class Wrong(Workflow[None, None, str]):
            @transition(target=END)
            def go(self) -> Awaitable[int]: ...


def test_a_generic_base_is_judged_by_what_its_subclass_is() -> None:
    R = TypeVar("R")

    class Base(Workflow[None, None, R], Generic[R]):
        @transition(target=END)
        async def go(self) -> R: ...

    class Child(Base[int]):
        pass

    assert Child.stepwell_definition.result.type is int


def test_a_type_that_is_defined_later_is_judged_by_the_app() -> None:
    class Early(Workflow[None, None, Outcome]):
        @transition(target=END)
        async def go(self) -> Later: ...  # noqa: F821

    globals()["Later"] = Other
    try:
        with pytest.raises(DefinitionError, match=r"Early\.go: it leads to 'end' and returns Other, but"):
            App("shop", workflows=[Early])
    finally:
        del globals()["Later"]
