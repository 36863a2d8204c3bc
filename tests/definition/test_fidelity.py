"""What comes back equal from JSON, what is refused, and what is a fault of the definition (rule 47)."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    SecretBytes,
    SecretStr,
    ValidationError,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from stepwell import END, Document, Message, Workflow, transition
from stepwell.definition.values.codec import codec_for
from stepwell.definition.values.fidelity import UNKNOWN
from stepwell.definition.values.inputs import details, summary
from stepwell.definition.values.misfit import ValueMisfit, difference
from stepwell.errors import DefinitionError


class Item(BaseModel):
    sku: str
    n: int = Field(1, ge=0)


class Gift(Item):
    note: str = "for you"


class Color(Enum):
    RED = "red"


class Size(IntEnum):
    S = 1


class Rights(IntFlag):
    READ = 1
    WRITE = 2


Pair = namedtuple("Pair", "x y")


class Usual(BaseModel):
    """What most models are made of: nothing of it is checked at run time."""

    id: str
    n: int = Field(3, ge=0)
    ok: bool = True
    at: datetime | None = None
    items: list[Item] = []
    by_name: dict[str, Item] = Field(default_factory=dict)
    tags: set[str] = set()
    color: Color = Color.RED
    kind: Literal["a", "b"] = "a"
    price: Decimal = Decimal("1.50")
    span: timedelta = timedelta(seconds=3)
    pair: tuple[int, str] | None = None


class Tree(BaseModel):
    left: Tree | None = None
    many: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Zoo(BaseModel):
    animals: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = []


@dataclass
class Point:
    x: int
    seen: list[date] = field(default_factory=list)


class Movie(TypedDict, total=False):
    title: str


PROVEN = [Usual, Tree, Zoo, Point, Movie, int, str, list[str], dict[int, Item], list[Item | None], Item, bytes, None]


@pytest.mark.parametrize("type_", PROVEN, ids=str)
def test_usual_types_provably_come_back_equal(type_: Any) -> None:
    known = codec_for(type_).fidelity
    assert (known.proven, known.faults, known.defaults) == (True, (), ())


class Limit(BaseModel):
    limit: float = 1.0
    maybe: float | None = None


class Named(Limit):
    model_config = ConfigDict(ser_json_inf_nan="strings")


class Constants(Limit):
    model_config = ConfigDict(ser_json_inf_nan="constants")


class Animals(BaseModel):
    one: Item
    many: list[Item] = []


class Splits(BaseModel):
    tags: list[str] = []

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, given: Any) -> Any:
        if not isinstance(given, str):
            raise ValueError("give text")
        return given.split(",")


class Doubles(BaseModel):
    n: int = 0

    @field_validator("n")
    @classmethod
    def double(cls, n: int) -> int:
        return n * 2


class Shows(BaseModel):
    n: int = 0

    @field_serializer("n")
    def show(self, n: int) -> str:
        return f"{n} pieces"


class Whole(BaseModel):
    n: int = 0

    @model_serializer
    def show(self) -> dict[str, Any]:
        return {"m": self.n}


class Private(BaseModel):
    n: int = 0
    _seen: int = PrivateAttr(0)


class Opaque:
    """Without an equality."""

    def __init__(self, n: int) -> None:
        self.n = n


KeptOpaque = Annotated[
    Opaque,
    PlainSerializer(lambda one: one.n),
    BeforeValidator(lambda one: Opaque(one) if isinstance(one, int) else one),
]


class Holds(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    it: Any = None


def seen() -> Private:
    made = Private(n=1)
    made._seen = 3
    return made


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


BERLIN = ZoneInfo("Europe/Berlin")
HUGE = 10**5_000

KEPT: list[tuple[Any, Any]] = [
    (Usual, {"id": "x", "items": [{"sku": "a"}], "pair": [1, "b"]}),
    (Usual, Usual(id="x", at=datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), items=[Item(sku="a")])),
    (Limit, {"limit": 1e308, "maybe": None}),
    (Limit, {"limit": 5e-324}),
    (Limit, {"limit": -0.0}),
    (Named, {"limit": math.inf, "maybe": -math.inf}),
    (Named, {"limit": math.nan}),
    (int, 10**4_299),
    (Any, {"a": [1, 1.5, None, True, "x", {"b": []}]}),
    (Any, Size.S),
    (Any, OrderedDict(a=1)),
    (Any, defaultdict(int, a=1)),
    (Any, "a\0b"),
    (Any, deep(100)),
    (int | str, "1"),
    (date | datetime, datetime(2026, 1, 1)),
    (deque[int], [1, 2]),
    (Sequence[int], [1]),
    (Rights, Rights.READ | Rights.WRITE),
    (complex, complex(math.nan, 1)),
    (Doubles, {"n": 0}),
    (Private, {"n": 1}),
    (timedelta, timedelta.max),
    (dict[int, str], {1: "a"}),
]


@pytest.mark.parametrize(("type_", "value"), KEPT, ids=[str(n) for n in range(len(KEPT))])
def test_what_is_kept_comes_back_equal(type_: Any, value: Any) -> None:
    codec = codec_for(type_)
    text = codec.checked(value)
    assert difference(codec.validate(value), codec.load(text)) is None
    assert difference(*codec.kept(value)[1:], codec.load(text)) is None


REFUSED: list[tuple[Any, Any, str, str]] = [
    (Limit, {"limit": math.inf}, "limit", "give a finite number or None"),
    (Limit, {"maybe": math.nan}, "maybe", "nan comes back as None; give a finite number"),
    (Limit, {"maybe": "-inf"}, "maybe", "ser_json_inf_nan='strings'"),
    (Limit, Limit(limit=math.inf), "limit", "inf doesn't load"),
    (Constants, {"limit": math.inf}, "the value", "set ser_json_inf_nan='strings'"),
    (float, math.inf, "the value", "give a finite number"),
    (Any, {"a": [0.5, math.nan]}, "a.1", "nan comes back as None"),
    (Any, {"a": {1, 2}}, "a", "the set {1, 2} comes back as the list [1, 2]; declare set as its type"),
    (Any, {"a": (1,)}, "a", "the tuple (1,) comes back as the list [1]"),
    (Any, Pair(1, 2), "the value", "the Pair"),
    (Any, {"a": frozenset([1])}, "a", "the frozenset"),
    (Any, deque([1]), "the value", "the deque"),
    (Any, {"a": b"x"}, "a", "the bytes b'x' comes back as 'x'"),
    (Any, {"a": bytearray(b"x")}, "a", "the bytearray"),
    (Any, b"\xff", "the value", "the bytes b'\\xff' isn't JSON"),
    (Any, {"at": datetime(2026, 1, 1)}, "at", "declare datetime as its type"),
    (Any, Decimal("1.5"), "the value", "the Decimal"),
    (Any, timedelta(1), "the value", "the timedelta"),
    (Any, time(1), "the value", "the time"),
    (Any, 1 + 2j, "the value", "the complex"),
    (Any, Color.RED, "the value", "the Color"),
    (Any, {"a": Item(sku="x")}, "a", "annotate it as Item"),
    (Any, [Point(1)], "0", "the Point"),
    (Any, (n for n in range(2)), "the value", "give a list of its items"),
    (Any, iter([1]), "the value", "give a list"),
    (Any, {1: "a"}, "1", "keys of JSON are texts"),
    (Any, {(1, 2): "a"}, "(1, 2)", "keys of JSON are texts"),
    (Any, {"a": HUGE}, "a", "give fewer than 4,300 digits"),
    (int, HUGE, "the value", "give fewer than 4,300 digits"),
    (Any, {"a": ["\ud800"]}, "a.0", "halves of surrogate pairs"),
    (str, "\ud800", "the value", "halves of surrogate pairs"),
    (Any, deep(3_000), "the value", "nested too deeply"),
    (Any, circle(), "the value", "nested too deeply"),
    (Any, object(), "the value", "isn't JSON"),
    (Any, print, "the value", "isn't JSON"),
    (dict[int | str, int], {1: 1, "1": 2}, "1", "keys of JSON are texts"),
    (Animals, {"one": Gift(sku="x")}, "one", "annotate the field as Gift"),
    (Animals, Animals(one=Item(sku="x"), many=[Gift(sku="y")]), "many.0", "annotate the field as Gift"),
    (Item, Gift(sku="x"), "the value", "annotate the field as Gift"),
    (list[Item], [Gift(sku="x")], "0", "annotate the field as Gift"),
    (str | date, date(2026, 1, 1), "the value", "the date"),
    (Sequence[int], (1, 2), "the value", "the tuple"),
    (Splits, {"tags": "a,b"}, "tags", "doesn't load from its own JSON: Value error, give text"),
    (Doubles, {"n": 2}, "n", "4 comes back as 8; let its type, validators and serializers accept"),
    (Shows, {"n": 2}, "n", "2 doesn't load from its own JSON"),
    (Whole, {"n": 2}, "n", "2 comes back as 0"),
    (Private, seen(), "_seen", "3 comes back as 0"),
    (datetime, datetime(1850, 1, 1, tzinfo=BERLIN), "the value", "an offset of whole minutes"),
    (time, time(1, tzinfo=timezone(timedelta(seconds=3661))), "the value", "an offset of whole minutes"),
    (Json[list[int]], "not json", "the value", "Invalid JSON"),
]


@pytest.mark.parametrize(("type_", "value", "path", "reason"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_what_would_come_back_different_is_refused_with_its_place_and_the_cure(
    type_: Any, value: Any, path: str, reason: str
) -> None:
    with pytest.raises((ValueMisfit, ValidationError)) as caught:
        codec_for(type_).checked(value)
    told = summary(caught.value)
    assert told.startswith(f"{path}: ")
    assert reason in told
    assert details(caught.value)[0]["msg"]


def test_a_value_that_breaks_its_own_type_is_pydantics_to_refuse() -> None:
    broken = Item(sku="x")
    broken.n = -1
    with pytest.raises(ValidationError):
        codec_for(Item).checked(broken)


def test_objects_without_an_equality_are_compared_by_their_attributes() -> None:
    class Keeps(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        it: KeptOpaque

    assert codec_for(Keeps).checked({"it": 3}) == '{"it":3}'


class Raises(BaseModel):
    n: int = 0
    m: Annotated[int, AfterValidator(lambda n: 1 // n)] = 1

    @field_validator("n")
    @classmethod
    def look(cls, n: int) -> int:
        raise KeyError(n)


class Nests(BaseModel):
    inner: list[Raises]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Mute(BaseModel):
    n: int = 0

    @field_validator("n")
    @classmethod
    def look(cls, n: int) -> int:
        raise Unspeakable


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        (Raises, {"n": 1}, "n: its validation raised KeyError: 1; let it raise ValueError"),
        (Raises, {"m": 0}, "m: its validation raised ZeroDivisionError"),
        (Nests, {"inner": [{"n": 1}]}, "inner.n: its validation raised KeyError"),
        (Mute, {"n": 1}, "n: its validation raised Unspeakable; let it"),
    ],
)
def test_what_a_validator_raises_is_told_with_its_field(type_: Any, value: Any, text: str) -> None:
    with pytest.raises(ValueMisfit) as caught:
        codec_for(type_).checked(value)
    assert summary(caught.value).startswith(text)


# -- definitions ------------------------------------------------------------------------------------------------------


class Secrets(BaseModel):
    inside: dict[str, list[SecretStr | None]] = {}


class Row(NamedTuple):
    key: SecretBytes


class Rows(BaseModel):
    rows: list[Row] = []


class Excluded(BaseModel):
    inner: list[Splits] = []
    cache: str = Field("", exclude=True)


class Reads(BaseModel):
    a: int = Field(0, validation_alias="q")
    b: int = Field(0, validation_alias=AliasPath("z", 0))
    c: int = Field(0, serialization_alias="shown")
    d: int = Field(0, alias="dd")
    e: int = Field(0, validation_alias=AliasChoices("dd", "e"))
    f: int = Field(0, validation_alias=AliasChoices("x", "f"))


class Generated(BaseModel):
    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=to_camel))
    two_words: int = 0


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    two_words: int = 0


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    a: int = Field(0, validation_alias="q")


@dataclass
class Once:
    x: int = 0
    given: InitVar[int] = 3


class Flows(BaseModel):
    it: Iterable[int] = []


class Coded(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    it: bytes = b""


FAULTS: list[tuple[Any, list[str]]] = [
    (Secrets, ["Secrets.inside is a SecretStr, which is stored as asterisks"]),
    (Rows, ["Rows.rows.key is a SecretBytes, which is stored as asterisks"]),
    (list[SecretStr], ["list[SecretStr] is a SecretStr"]),
    (Excluded, ["Excluded.cache has exclude=True"]),
    (
        Reads,
        [
            "Reads.a is dumped as 'a' and loaded from 'q'; give both by alias='q'",
            "Reads.b is dumped as 'b' and loaded from 'z.0'; give both by alias='b'",
            "Reads.c is dumped as 'shown' and loaded from 'c'; give both by alias='c'",
            "Reads.e is dumped as 'e' and loaded from 'dd', where another field is",
        ],
    ),
    (Generated, ["Generated.two_words is dumped as 'two_words' and loaded from 'twoWords'"]),
    (Once, ["Once.given is an InitVar, which no instance keeps"]),
    (Flows, ["Flows.it is an Iterable, which can be read only once"]),
    (Coded, ["Coded.it is bytes, dumped by ser_json_bytes and loaded by another val_json_bytes"]),
    (Camel, []),
    (ByName, []),
    (Private, []),
]


@pytest.mark.parametrize(("type_", "faults"), FAULTS, ids=str)
def test_what_no_value_brings_back_is_a_fault_of_the_type(type_: Any, faults: list[str]) -> None:
    found = [f"{path} {why}" for path, why in codec_for(type_).fidelity.faults]
    assert len(found) == len(faults)
    for told, wanted in zip(found, faults, strict=True):
        assert told.startswith(wanted.replace("list[SecretStr]", str(type_)))


class Defaults(BaseModel):
    limit: float = math.inf
    n: int = Field(-1, ge=0)
    text: int = "a"  # type: ignore[assignment]
    none: list[str] = None  # type: ignore[assignment]
    fine: float | None = None
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    item: Item = Item(sku="x")
    small: Item = Gift(sku="x")


def test_defaults_that_break_their_own_type_are_named() -> None:
    found = [path for path, _ in codec_for(Defaults).fidelity.defaults]
    assert found == ["Defaults.limit", "Defaults.n", "Defaults.text", "Defaults.none", "Defaults.small"]


def workflow(args: Any = None, state: Any = None, result: Any = None, payload: Any = int) -> Any:
    class Shop(Workflow[args, state, result]):
        @transition("start", END, wait=True)
        async def answer(self, given: payload) -> None: ...

    return Shop


@pytest.mark.parametrize("role", ["args", "state", "result", "payload"])
@pytest.mark.parametrize("lossy", [Secrets, Excluded, Reads, Defaults])
def test_a_workflow_with_a_type_that_loses_something_cant_be_made(role: str, lossy: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        workflow(**{role: lossy})
    assert f"in its {role} " in str(caught.value)
    assert lossy.__name__ in str(caught.value)


class Boundless(BaseModel):
    limit: float = float("inf")


def test_a_state_without_an_end_cant_be_made() -> None:
    with pytest.raises(DefinitionError, match=r"Boundless.limit in its state has the default inf"):
        workflow(state=Boundless)


def test_a_document_that_would_lose_something_cant_be_made() -> None:
    with pytest.raises(DefinitionError, match=r"Card.number in its fields is a SecretStr"):

        class Card(Document):
            number: SecretStr


def test_a_type_that_isnt_defined_yet_is_judged_later() -> None:
    class Late(BaseModel):
        it: Later  # noqa: F821

    codec = codec_for(Late)
    assert codec.fidelity is UNKNOWN
    Late.model_rebuild(_types_namespace={"Later": SecretStr})
    assert codec.fidelity.faults == (("Late.it", "is a SecretStr, which is stored as asterisks"),)


class Pay(BaseModel):
    n: int = 0


class Refund(BaseModel):
    n: int = 0


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    it: T


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Pay | Refund, Refund | Pay),
        (list[Pay | Refund], list[Refund | Pay]),
        (dict[str, list[Pay | Refund]], dict[str, list[Refund | Pay]]),
        (Literal[1], Literal[True]),
    ],
)
def test_the_order_of_a_union_counts(one: Any, other: Any) -> None:
    assert codec_for(one) is not codec_for(other)
    assert codec_for(one) is codec_for(one)


def test_a_workflow_has_the_union_that_it_names() -> None:
    first, second = workflow(Pay | Refund), workflow(Refund | Pay)
    assert type(first.stepwell_definition.args.load("{}")) is Pay
    assert type(second.stepwell_definition.args.load("{}")) is Refund


def test_an_envelope_has_the_union_that_it_names() -> None:
    from stepwell import Signal

    made = [workflow(payload=Signal[one]) for one in (Pay | Refund, Refund | Pay)]
    found = [one.stepwell_definition.transitions[0].payload.codec.load("{}") for one in made]
    assert [type(one) for one in found] == [Pay, Refund]


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        ({"role": "user", "txt": "x"}, "Message: the field txt= is unknown; did you mean text=?"),
        ({"role": "user", "colour": "x"}, "Message: the field colour= is unknown; choose from role=, text=."),
    ],
)
def test_a_built_in_document_refuses_what_it_doesnt_have(keywords: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Message(**keywords)
    assert text in str(caught.value)


def test_what_is_stored_of_a_built_in_document_loads_as_it_is() -> None:
    assert codec_for(Message).load('{"role":"user","text":"x","older":1}') == Message(role="user", text="x")


class Note(Message):
    extra_field: int = 0


def test_a_subclass_of_a_built_in_document_has_its_own_fields() -> None:
    assert Note(role="a", extra_field=3).extra_field == 3


class Total(BaseModel):
    n: int = 2

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.n


def test_computed_fields_are_computed_again() -> None:
    assert codec_for(Total).fidelity.proven
    assert codec_for(Total).checked({"n": 3}) == '{"n":3}'
