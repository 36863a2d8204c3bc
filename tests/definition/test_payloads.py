"""What a signal or event method gets (rule 14), and what is injected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fast_depends import Depends
from pydantic import BaseModel
from typing_extensions import TypedDict

from stepwell.definition.authoring.context import Signal
from stepwell.definition.authoring.marks import END, Event, transition
from stepwell.definition.authoring.workflow import Workflow
from stepwell.definition.compile.compiler import resolve_payloads
from stepwell.definition.model import Payload, Transition
from stepwell.errors import DefinitionError

if TYPE_CHECKING:
    from decimal import Decimal


class Decision(BaseModel):
    approved: bool = False


@dataclass
class Data:
    x: int = 0


class Typed(TypedDict, total=False):
    x: int


def session() -> int:
    return 1


def compiled(method: Callable[..., Any], **options: Any) -> Transition:
    options = options or {"wait": True}
    cls = type("Shop", (Workflow,), {"go": transition(target=END, **options)(method)})
    made: Transition = cls.stepwell_definition.transitions[0]  # type: ignore[attr-defined]
    return made


def payload(method: Callable[..., Any]) -> Payload:
    found = compiled(method).payload
    assert found is not None
    return found


def test_the_payload_is_the_first_parameter() -> None:
    async def go(self: Any, decision: Decision) -> None: ...

    found = payload(go)
    assert (found.parameter, found.codec.type, found.envelope) == ("decision", Decision, False)


def test_the_payload_is_the_first_parameter_that_is_not_injected() -> None:
    async def go(self: Any, db: Annotated[int, Depends(session)], decision: Decision) -> None: ...

    made = compiled(go)
    assert made.payload is not None
    assert (made.payload.parameter, made.injected) == ("decision", True)


def test_a_default_marks_an_injected_parameter_too() -> None:
    async def go(self: Any, db: int = Depends(session)) -> None: ...

    made = compiled(go)
    assert (made.payload, made.injected) == (None, True)


def test_an_event_method_gets_the_events_data() -> None:
    async def go(self: Any, decision: Decision) -> None: ...

    found = compiled(go, on=Event("decided")).payload
    assert found is not None
    assert found.codec.type is Decision


def test_a_keyword_only_parameter_may_be_the_payload() -> None:
    async def go(self: Any, *, decision: Decision) -> None: ...

    assert payload(go).parameter == "decision"


def test_a_method_without_a_payload_takes_anything() -> None:
    async def go(self: Any) -> None: ...

    made = compiled(go)
    assert (made.payload, made.payload_pending) == (None, False)


def test_an_annotation_with_signal_asks_for_the_envelope() -> None:
    async def go(self: Any, answer: Signal[Decision]) -> None: ...

    found = payload(go)
    assert (found.envelope, found.codec.type) == (True, Decision)


@pytest.mark.parametrize("annotation", [Signal, Any])
def test_without_a_type_the_payload_is_any_json(annotation: Any) -> None:
    async def go(self, answer): ...  # type: ignore[no-untyped-def]

    go.__annotations__ = {"answer": annotation}
    found = payload(go)
    assert (found.codec.type, found.optional) == (Any, True)


@pytest.mark.parametrize(
    ("annotation", "none_stays_none"),
    [
        (Decision, False),
        (Data, False),
        (Typed, False),
        (Annotated[Decision, "doc"], False),
        (Signal[Decision], False),
        (Decision | None, True),
        (str, True),
        (dict[str, int], True),
        (Signal[str], True),
    ],
)
def test_no_data_is_an_empty_model_or_none(annotation: Any, none_stays_none: bool) -> None:
    async def go(self: Any, answer: Any) -> None: ...

    go.__annotations__ = {"answer": annotation}
    assert payload(go).optional is none_stays_none


@pytest.mark.parametrize("options", [{"name": "go"}, {"when": bool}])
def test_an_automatic_method_may_be_injected_and_have_defaults(options: dict[str, Any]) -> None:
    async def go(self: Any, db: Annotated[int, Depends(session)], *, times: int = 3, **rest: Any) -> None: ...

    made = compiled(go, **options)
    assert (made.kind, made.payload, made.injected) == ("automatic", None, True)


def test_names_local_to_a_function_are_found_also_by_a_subclass_made_elsewhere() -> None:
    def make() -> type[Workflow[Any, Any, Any]]:
        class Local(BaseModel):
            x: int

        class Shop(Workflow):
            @transition(target=END, wait=True)
            async def go(self, local: Local) -> None: ...

        return Shop

    class Other(make()):  # type: ignore[misc]
        pass

    assert not Other.stepwell_definition.transitions[0].payload_pending


def test_names_of_nested_classes_are_found() -> None:
    class Shop(Workflow):
        class Answer(BaseModel):
            x: int

        @transition(target=END, wait=True)
        async def go(self, answer: Answer) -> None: ...

    assert Shop.stepwell_definition.transitions[0].payload is not None


class Late(Workflow):
    @transition(target=END, wait=True)
    async def go(self, later: Later) -> Decimal: ...


PENDING = Late.stepwell_definition


class Later(BaseModel):
    x: int


def test_an_unknown_name_is_left_for_the_app() -> None:
    assert PENDING.transitions[0].payload_pending
    made = resolve_payloads(PENDING)
    (go,) = made.transitions
    assert not go.payload_pending
    assert go.payload is not None
    assert go.payload.codec.type is Later
    assert made.places["start"].by_name["go"] is go
    assert resolve_payloads(made) is made


def test_a_model_that_is_not_complete_yet_is_left_for_the_app() -> None:
    class Outer(BaseModel):
        inner: Inner

    async def go(self: Any, outer: Outer) -> None: ...

    cls: Any = type("Shop", (Workflow,), {"go": transition(target=END, wait=True)(go)})
    assert cls.stepwell_definition.transitions[0].payload_pending

    class Inner(BaseModel):
        x: int

    Outer.model_rebuild()
    made = resolve_payloads(cls.stepwell_definition)
    assert not made.transitions[0].payload_pending


def test_a_name_that_stays_unknown_is_a_fault_of_the_app() -> None:
    class Shop(Workflow):
        @transition(target=END, wait=True)
        async def go(self, answer: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        @transition("start", END, wait=True)
        async def other(self, answer: Decision) -> None: ...

    with pytest.raises(DefinitionError, match=r"Shop.go at 'start': the type of one of its parameters can't be found"):
        resolve_payloads(Shop.stepwell_definition)


def test_an_automatic_method_whose_parameter_stays_unknown_is_a_fault_of_the_app() -> None:
    class Shop(Workflow):
        @transition(target=END)
        async def go(self, session: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DefinitionError, match="can't be found"):
        resolve_payloads(Shop.stepwell_definition)


def test_args_that_are_never_completed_are_a_fault_of_the_app() -> None:
    class Args(BaseModel):
        inner: Nowhere  # type: ignore[name-defined]  # noqa: F821

    class Shop(Workflow[Args]):
        @transition(target=END)
        async def go(self) -> None: ...

    with pytest.raises(DefinitionError, match="Shop: its args type Args isn't fully defined"):
        resolve_payloads(Shop.stepwell_definition)
