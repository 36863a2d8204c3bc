"""Every fault of a workflow class, and what its message says: class, method, place and the cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import fastapi
import pytest
from pydantic import BaseModel, Field, SecretStr

from stepwell.definition.authoring.document import Document
from stepwell.definition.authoring.marks import END, Event, transition
from stepwell.definition.authoring.workflow import Workflow
from stepwell.definition.forms.ui import Button, Form
from stepwell.errors import DefinitionError

HOUR = timedelta(hours=1)


class Card(BaseModel):
    number: SecretStr


class Order(BaseModel):
    id: str
    cards: list[Card] = []


class Cached(BaseModel):
    cache: str = Field("", exclude=True)


class Needy(BaseModel):
    total: int


@dataclass
class NeedyData:
    total: int


class Opaque:
    pass


class Known(BaseModel):
    invoice: str = Field("", serialization_alias="invoiceId")


def one(**options: Any) -> Callable[[], object]:
    """A workflow with a single method `go`, whose decorator has these options."""

    def declare() -> object:
        class Shop(Workflow):
            @transition(**options)
            async def go(self) -> None: ...

        return Shop

    return declare


def method(*decorators: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Callable[[], object]]:
    """A workflow whose method `go` is the decorated function."""

    def declaring(function: Callable[..., Any]) -> Callable[[], object]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return lambda: type("Shop", (Workflow,), {"go": function})

    return declaring


def graph(*rows: tuple[str, dict[str, Any]]) -> Callable[[], object]:
    """A workflow with one method per row: its name and the options of its decorator."""

    def declare() -> object:
        def copy(name: str) -> Callable[..., Any]:
            async def body(self: Any) -> None: ...

            return body

        return type("Shop", (Workflow,), {name: transition(**options)(copy(name)) for name, options in rows})

    return declare


def typed(parameters: Any, **keywords: Any) -> Callable[[], object]:
    """A valid workflow with these type parameters and class keywords."""

    def declare() -> object:
        base = Workflow[parameters]

        class Shop(base, **keywords):  # type: ignore[misc, valid-type]
            @transition(target=END, wait=True)
            async def go(self) -> None: ...

        return Shop

    return declare


def matching(parameters: Any, path: str) -> Callable[[], object]:
    def declare() -> object:
        class Shop(Workflow[parameters]):  # type: ignore[valid-type]
            @transition(target=END, on=Event("paid", match={"id": path}))
            async def go(self) -> None: ...

        return Shop

    return declare


@method(transition(target=END))
async def unfilled(self: Any, order: Order) -> None: ...


@method(transition(target=END, after=HOUR))
async def unfilled_timer(self: Any, order: Order) -> None: ...


@method(transition(target=END, wait=True))
async def surplus(self: Any, order: Order, note: str) -> None: ...


@method(transition(target=END, wait=True))
async def opaque(self: Any, order: Opaque) -> None: ...


@method(transition(target=END, wait=True))
async def positional(self: Any, order: Order, /) -> None: ...


@method(transition(target=END))
async def foreign(self: Any, order: Annotated[str, fastapi.Depends(str)]) -> None: ...


@method(transition(target=END))
def generator(self: Any) -> Any:
    yield


@method(transition(target=END))
async def selfless() -> None: ...


@method(transition(target=END), staticmethod)
async def static(self: Any) -> None: ...


def constructor() -> object:
    class Shop(Workflow):
        def __init__(self, client: str) -> None: ...

        @transition(target=END)
        async def go(self) -> None: ...

    return Shop


def reserved(name: str, value: object) -> Callable[[], object]:
    async def go(self: Any) -> None: ...

    return lambda: type("Shop", (Workflow,), {"go": transition(target=END)(go), name: value})


def reserved_in_mixin() -> object:
    class Startable:
        def start(self) -> None: ...

    class Shop(Startable, Workflow):  # type: ignore[misc]
        @transition(target=END)
        async def go(self) -> None: ...

    return Shop


RESERVED = [
    *("args", "state", "result", "documents", "info", "log"),
    *("step", "transaction", "start", "start_many", "children", "emit"),
    *("undo", "progress", "stream", "now"),
]

GO = {"source": "start", "target": END}
WAIT = {**GO, "wait": True}

FAULTS: list[tuple[str, Callable[[], object], str]] = [
    # one decorator
    ("no target", one(), "Shop.go at 'start': it leaves 'start' but has no target; give target=..."),
    ("odd target", one(target=5), "Shop.go at 'start': its target 5 isn't the name of a place"),
    ("odd source", one(source=["start", 5], target=END), "Shop.go at 'start': its source 5 isn't the name of a place"),
    ("no source", one(source=[], target=END), "Shop.go: its source is an empty list; name at least one place"),
    ("leaves the end", one(source=END, target=END), "Shop.go at 'end': its source is 'end', and nothing leaves"),
    ("odd route", one(**GO, error_place=5), "Shop.go at 'start': its error_place 5 isn't the name of a place"),
    ("wait and after", one(**WAIT, after=HOUR), "Shop.go at 'start': it combines wait=True and after=; stack one"),
    ("wait and on", one(**WAIT, on=Event("e")), "it combines wait=True and on=; stack one decorator"),
    ("after and on", one(**GO, after=HOUR, on=Event("e")), "it combines after= and on=; stack one decorator"),
    ("wait and when", one(**WAIT, when=bool), "it combines when= and wait=True: a guard is for automatic"),
    ("after and when", one(**GO, after=HOUR, when=bool), "it combines when= and after=: a guard is for automatic"),
    ("on and when", one(**GO, on=Event("e"), when=bool), "it combines when= and on=: a guard is for automatic"),
    ("wait and priority", one(**WAIT, priority=1), "it combines priority= and wait=True: the first to fire wins"),
    ("keep alone", one(**GO, keep=True), "Shop.go at 'start': it has keep=True but takes no signal or event"),
    ("keep a timer", one(**GO, keep=True, after=HOUR), "it has keep=True but takes no signal or event"),
    ("negative after", one(**GO, after=-HOUR), "its after=timedelta(seconds=-3600) is negative; a duration is zero"),
    ("odd after", one(**GO, after=5), "its after=5 isn't a timedelta; write timedelta(seconds=...)"),
    ("negative timeout", one(**GO, timeout=-HOUR), "its timeout=timedelta(seconds=-3600) is negative"),
    ("odd timeout", one(**GO, timeout=5), "its timeout=5 isn't a timedelta"),
    (
        "when a name",
        one(**GO, when="is_large"),
        "Shop.go at 'start': its when='is_large' isn't callable; give a method",
    ),
    ("when without self", one(**GO, when=lambda: True), "its when=<lambda> can't be called with the workflow alone"),
    ("on a name", one(**GO, on="paid"), "its on='paid' isn't an Event; write on=Event('paid')"),
    ("retry a number", one(**GO, retry=3), "its retry=3 isn't a Retry; write retry=Retry(retries=3)"),
    ("odd priority", one(**GO, priority="high"), "its priority='high' isn't a number; give an int"),
    ("empty name", one(**GO, name=""), "its name='' isn't a name; give a string"),
    # one method
    ("unfilled", unfilled, "Shop.go at 'start': nothing fills 'order', because an automatic transition has no payload"),
    ("unfilled timer", unfilled_timer, "nothing fills 'order', because a timer transition has no payload"),
    ("two payloads", surplus, "Shop.go at 'start': nothing fills 'note', because the payload is the first parameter"),
    ("payload type", opaque, "Shop.go at 'start': its payload 'order' is a Opaque, which Pydantic can't validate"),
    ("positional payload", positional, "its payload 'order' is positional-only; leave out the slash"),
    ("FastAPI's Depends", foreign, "'order' is marked with FastAPI's Depends; use `from stepwell import Depends`"),
    ("generator", generator, "Shop.go: it contains yield, so calling it runs nothing; leave out yield"),
    ("without self", selfless, "Shop.go: it takes no parameters; a transition is a method, so its first parameter"),
    ("static", static, "Shop.go: a transition is a plain method, not a staticmethod"),
    # the class
    ("constructor", constructor, "Shop.__init__: Stepwell makes an instance per transition without arguments"),
    ("reserved in a mixin", reserved_in_mixin, "Startable.start: 'start' is reserved"),
    *[
        (f"reserved {name}", reserved(name, lambda self: None), f"Shop.{name}: '{name}' is reserved")
        for name in RESERVED
    ],
    ("reserved attribute", reserved("args", None), "Shop.args: 'args' is reserved, because it would hide self.args"),
    # class keywords
    ("odd name", typed(None, name=5), "Shop: name=5 isn't a text; give a string"),
    ("odd version", typed(None, version="1"), "Shop: version='1' isn't a number; give an int"),
    ("odd run_timeout", typed(None, run_timeout=5), "Shop: run_timeout=5 isn't a timedelta"),
    ("no run_timeout", typed(None, run_timeout=timedelta(0)), "run_timeout=timedelta(seconds=0) leaves no time"),
    ("class on a name", typed(None, on="paid"), "Shop: on='paid' isn't an Event; write on=Event('paid')"),
    ("class on match", typed(None, on=Event("e", match={"a": "args.a"})), "starts runs, and there is no run yet"),
    ("odd widget", typed(None, ui=["form"]), "Shop: 'form' in its ui isn't a widget; give a Form, PromptInput or"),
    ("widget of nothing", typed(None, ui=[Form(transition="x")]), "Shop: its Form fires 'x', which isn't a signal"),
    (
        "widget nowhere",
        typed(None, ui=[Button(transition="go", enabled_at=["limbo"])]),
        "Shop: its Button fires 'go' and is enabled at 'limbo', where go can't fire, because it isn't a place",
    ),
    (
        "widget elsewhere",
        typed(None, ui=Button(transition="go", enabled_at=[END])),
        "its Button fires 'go' and is enabled at 'end', where go doesn't wait; enable it at 'start'",
    ),
    # types
    ("state field", typed((None, Needy)), "Shop: field 'total' of its state Needy has no default; a run starts from"),
    ("state dataclass", typed((None, NeedyData)), "field 'total' of its state NeedyData has no default"),
    ("state type", typed((None, Opaque)), "Shop: its state type Opaque can't be validated by Pydantic"),
    ("state without blank", typed((None, timedelta | int)), "its state datetime.timedelta | int can't be made without"),
    ("args type", typed(Opaque), "Shop: its args type Opaque can't be validated by Pydantic"),
    ("result type", typed((None, dict[str, Any], Opaque)), "Shop: its result type Opaque can't be validated"),
    ("unknown args", typed("Nowhere"), "Shop: its args type can't be found (name 'Nowhere' is not defined)"),
    ("secret args", typed(Order), "Shop: Order.cards.number in its args is a SecretStr, which is stored as asterisks"),
    ("secret state", typed((None, dict[str, Card])), "number in its state is a SecretStr"),
    ("excluded state", typed((None, Cached)), "Shop: Cached.cache in its state has exclude=True, so a run would lose"),
    ("match without args", matching(None, "args.id"), "Shop.go: at 'start' it matches 'args.id', but the workflow"),
    ("match of nothing", matching(Known, "args.nope"), "it matches 'args.nope', but Known has no field 'nope'"),
    (
        "match of an alias",
        matching(Known, "args.invoice"),
        "Known has no field 'invoice'; name a field as it is in JSON",
    ),
    # the graph
    (
        "no start",
        graph(("go", {"source": "a", "target": END})),
        "Shop: no transition leaves 'start'; leave out the source of the first one, or give it as START",
    ),
    ("dead end", graph(("go", {"target": "limbo"})), "Shop.go: nothing leaves its target 'limbo'; add a transition"),
    (
        "unreachable",
        graph(("go", GO), ("ship", {"source": "shipping", "target": END})),
        "Shop.ship: its source 'shipping' can't be reached; lead a transition to 'shipping', or remove ship",
    ),
    (
        "unknown error_place",
        graph(("go", {**GO, "error_place": "limbo"})),
        "Shop.go: its error_place 'limbo' isn't a place of the workflow; name a place that a transition leaves",
    ),
    (
        "unknown retry_target",
        graph(("go", {**GO, "retry_target": "limbo"})),
        "Shop.go: its retry_target 'limbo' isn't a place of the workflow",
    ),
    (
        "error_place the end",
        graph(("go", {**GO, "error_place": END})),
        "its error_place 'end' is the end, which has no",
    ),
    ("retry_target the end", graph(("go", {**GO, "retry_target": END})), "its retry_target 'end' is the end"),
    (
        "error_place without a way out",
        graph(("go", {"target": "limbo", "error_place": "limbo"})),
        "Shop.go: its error_place 'limbo' has no way out",
    ),
    (
        "two unguarded",
        graph(("go", GO), ("ship", GO)),
        "Shop.ship: at 'start' both go and ship are automatic without when=, so ship never fires; give go a when=",
    ),
    (
        "shadows a guarded one",
        graph(("go", GO), ("ship", {**GO, "when": bool})),
        "Shop.ship: at 'start' go is tried before it and has no when=, so ship never fires; give ship a higher",
    ),
    (
        "shadows by priority",
        graph(("ship", {**GO, "when": bool}), ("go", {**GO, "priority": 1})),
        "Shop.ship: at 'start' go is tried before it",
    ),
    (
        "shadows a signal",
        graph(("answer", WAIT), ("go", GO)),
        "Shop.answer: at 'start' go is automatic without when=, so the run never waits there for answer",
    ),
    ("shadows a timer", graph(("go", GO), ("late", {**GO, "after": HOUR})), "Shop.late: at 'start' go is automatic"),
    (
        "same name",
        graph(("go", {**WAIT, "name": "x"}), ("ship", {**WAIT, "name": "x"})),
        "Shop.ship: two transitions named 'x' leave 'start' (go and ship); give one of them another name=",
    ),
    ("same source twice", one(source=["start", "start"], target=END, wait=True), "two transitions named 'go' leave"),
]


@pytest.mark.parametrize(("declare", "says"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_is_reported_when_the_class_is_made(declare: Callable[[], object], says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        declare()
    assert says in str(caught.value)
    assert str(caught.value).startswith("Workflow Shop can't be used:\n  - ")


def test_all_faults_of_a_class_come_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:

        class Shop(Workflow[None, Needy], version="x"):  # type: ignore[arg-type]
            @transition(target="limbo", retry=3)  # type: ignore[arg-type]
            async def go(self) -> None: ...

            @transition("shipping", END)
            async def start(self, order: Order) -> None: ...

    wanted = ["retry=3", "nothing fills 'order'", "'limbo'", "'shipping'", "reserved", "version", "'total'"]
    assert len(caught.value.faults) == len(wanted)
    for fault, part in zip(caught.value.faults, wanted, strict=True):
        assert part in fault
        assert fault.startswith("Shop")


def test_a_fault_of_a_method_with_several_decorators_is_told_once() -> None:
    with pytest.raises(DefinitionError) as caught:

        class Shop(Workflow):
            @transition(target="limbo", wait=True)
            @transition(target="limbo", wait=True, name="again")
            async def go(self) -> None: ...

    assert len(caught.value.faults) == 1


def test_a_bare_decorator_asks_for_a_target() -> None:
    with pytest.raises(DefinitionError, match="it needs a target"):

        @transition  # type: ignore[arg-type]
        async def go(self: Any) -> None: ...


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"Shop: the class keyword titel= is unknown; did you mean title=\?"):
        type("Shop", (Workflow,), {}, titel="A shop")


def test_an_odd_widget_of_a_document_is_a_fault() -> None:
    with pytest.raises(DefinitionError, match="Document Receipt can't be used:\n  - Receipt: 'form' in its ui isn't"):

        class Receipt(Document, ui=["form"]):
            pass


@pytest.mark.parametrize("with_others", [True, False])
def test_a_decorator_on_no_method_is_a_fault(with_others: bool) -> None:
    with pytest.raises(DefinitionError, match=r"Shop\.go is a transition\(\.\.\.\) that decorates no method"):

        class Shop(Workflow):
            go = transition(target=END)
            if with_others:

                @transition(target=END)
                async def leave(self) -> None: ...


@pytest.mark.parametrize("option", ["name", "title", "description"])
@pytest.mark.parametrize("text", ["a\0b", "a\ud800"])
def test_words_of_a_class_can_be_stored(option: str, text: str) -> None:
    with pytest.raises(DefinitionError, match=f"{option}=.*can't be stored"):

        class Shop(Workflow, **{option: text}):  # type: ignore[arg-type]
            @transition(target=END)
            async def leave(self) -> None: ...


def test_each_name_of_workflow_is_reserved() -> None:
    assert {name for name in vars(Workflow) if not name.startswith(("_", "stepwell_"))} <= {*RESERVED}
