"""What a workflow class is compiled into."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field

from stepwell.definition.authoring.marks import END, START, Event, Retry, transition
from stepwell.definition.authoring.workflow import Workflow, definition_of
from stepwell.errors import DefinitionError

HOUR = timedelta(hours=1)
T = TypeVar("T")


class OrderArgs(BaseModel):
    order_id: str
    total_cents: int


class OrderState(BaseModel):
    charge_id: str | None = None


class ProcessOrder(Workflow[OrderArgs, OrderState], title="Process an order"):
    """Charge the card, ask a person
    about large orders.

    More about it.
    """

    @transition(target="charged", retry=Retry(retries=3), timeout=timedelta(seconds=30))
    async def charge(self) -> None: ...

    def is_large(self) -> bool:
        return self.args.total_cents > 100_000

    @transition("charged", "shipping")
    async def skip_review(self) -> None: ...

    @transition("charged", "review", when=is_large, priority=10)
    async def ask(self) -> None: ...

    @transition("review", "shipping", wait=True)
    def decide(self, decision: str) -> None: ...

    @transition("review", END, after=HOUR)
    async def expire(self) -> None: ...

    @transition("review", END, on=Event("order.gone", match={"id": "args.order_id"}), name="gone")
    async def on_gone(self) -> None: ...

    @transition("shipping", END)
    async def ship(self) -> None: ...


definition = ProcessOrder.stepwell_definition


def kinds() -> dict[str, str]:
    return {t.name: t.kind for t in definition.transitions}


def test_a_class_holds_its_definition() -> None:
    assert definition_of(ProcessOrder) is definition
    assert definition.workflow is ProcessOrder


def test_a_definition_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        definition.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        definition.places["limbo"] = definition.places[END]  # type: ignore[index]


def test_keywords_default_to_what_the_class_says() -> None:
    assert (definition.name, definition.title, definition.version) == ("process_order", "Process an order", 1)
    assert definition.description == "Charge the card, ask a person about large orders."
    assert (definition.run_timeout, definition.on, definition.priority, definition.ui) == (None, (), 0, ())


def test_keywords_are_kept() -> None:
    class Shop(
        Workflow,
        name="shop",
        description="Sells.",
        version=3,
        run_timeout=HOUR,
        priority=5,
        on=[Event("a"), Event("b")],
    ):
        @transition(target=END)
        async def go(self) -> None: ...

    made = Shop.stepwell_definition
    assert (made.name, made.title, made.description, made.version) == ("shop", "Shop", "Sells.", 3)
    assert (made.run_timeout, made.priority, made.on) == (HOUR, 5, (Event("a"), Event("b")))


def test_one_event_starts_runs_as_a_list_of_one() -> None:
    class Welcome(Workflow, on=Event("user.signed_up")):
        @transition(target=END)
        async def go(self) -> None: ...

    assert Welcome.stepwell_definition.on == (Event("user.signed_up"),)


def test_options_make_the_kind() -> None:
    assert kinds() == {
        "charge": "automatic",
        "skip_review": "automatic",
        "ask": "automatic",
        "decide": "signal",
        "expire": "timer",
        "gone": "event",
        "ship": "automatic",
    }
    assert definition.signals == {"decide"}
    assert [t.name for t in definition.listening] == ["gone"]


def test_a_transition_has_the_name_of_its_method_unless_it_is_given_another() -> None:
    assert {t.name: t.method for t in definition.transitions if t.name != t.method} == {"gone": "on_gone"}


def test_options_are_kept_on_the_transition() -> None:
    (charge,) = definition.named("charge")
    assert (charge.source, charge.target) == (START, "charged")
    assert (charge.retry, charge.timeout) == (Retry(retries=3), timedelta(seconds=30))
    (ask,) = definition.named("ask")
    assert (ask.guard, ask.guard_name, ask.priority) == (ProcessOrder.is_large, "is_large", 10)
    assert ask.timeout is None


def test_methods_may_be_async_or_plain() -> None:
    assert definition.named("charge")[0].asynchronous
    assert not definition.named("decide")[0].asynchronous


def test_places_know_their_ways_out_in_the_order_in_which_they_are_tried() -> None:
    assert list(definition.places) == [START, "charged", "review", "shipping", END]
    assert [t.name for t in definition.places["charged"].automatic] == ["ask", "skip_review"]
    assert [t.name for t in definition.places["review"].waiting] == ["decide", "expire", "gone"]
    assert definition.places["review"].by_name["decide"].kind == "signal"
    assert definition.places[END].automatic == definition.places[END].waiting == ()


def test_higher_priority_is_tried_first_then_those_without_one_each_as_declared() -> None:
    def yes(self: object) -> bool:
        return True

    class Shop(Workflow):
        @transition(target=END, when=yes)
        async def plain(self) -> None: ...

        @transition(target=END, when=yes, priority=-1)
        async def low(self) -> None: ...

        @transition(target=END, when=yes, priority=2)
        async def high(self) -> None: ...

        @transition(target=END, when=yes, priority=2)
        async def high_too(self) -> None: ...

        @transition(target=END)
        async def otherwise(self) -> None: ...

    tried = [t.name for t in Shop.stepwell_definition.places[START].automatic]
    assert tried == ["high", "high_too", "low", "plain", "otherwise"]


def test_several_sources_and_stacked_decorators_make_several_transitions_as_read() -> None:
    class Shop(Workflow):
        @transition(target="a", wait=True)
        @transition(["a", "b"], "b", wait=True)
        @transition("b", END, after=HOUR, name="give_up")
        async def go(self) -> None: ...

    made = Shop.stepwell_definition.transitions
    assert [(t.source, t.target, t.kind) for t in made] == [
        ("start", "a", "signal"),
        ("a", "b", "signal"),
        ("b", "b", "signal"),
        ("b", "end", "timer"),
    ]
    assert [t.order for t in made] == [0, 1, 2, 3]


def test_places_may_come_from_a_string_enum() -> None:
    class At(StrEnum):
        PAID = "paid"

    class Shop(Workflow):
        @transition(target=At.PAID)
        async def pay(self) -> None: ...

        @transition([At.PAID], END)
        async def ship(self) -> None: ...

    assert [type(name) for name in Shop.stepwell_definition.places] == [str, str, str]


def test_error_place_and_retry_target_are_ways_into_a_place() -> None:
    class Shop(Workflow):
        @transition(target=END, retry=Retry(retries=1), retry_target="cooling", error_place="broken")
        async def go(self) -> None: ...

        @transition("cooling", START)
        async def cool(self) -> None: ...

        @transition("broken", END, wait=True)
        async def mend(self) -> None: ...

    assert set(Shop.stepwell_definition.places) == {START, "cooling", "broken", END}


# --- types ---


def test_type_parameters_have_defaults() -> None:
    class Plain(Workflow):
        @transition(target=END)
        async def go(self) -> None: ...

    made = Plain.stepwell_definition
    assert made.args is None
    assert (made.state.type, made.result.type) == (dict[str, Any], Any)
    assert made.initial_state == "{}"


@pytest.mark.parametrize(
    ("state", "blank"),
    [
        (OrderState, '{"charge_id":null}'),
        (dict[str, int], "{}"),
        (None, "null"),
        (str | None, "null"),
        (list[int], "[]"),
        (int, "0"),
        (Any, "{}"),
    ],
)
def test_a_run_starts_from_an_empty_state(state: Any, blank: str) -> None:
    class Shop(Workflow[None, state]):  # type: ignore[valid-type]
        @transition(target=END)
        async def go(self) -> None: ...

    assert Shop.stepwell_definition.initial_state == blank
    assert Shop.stepwell_definition.new_state() == blank


def test_defaults_made_by_a_function_are_made_for_each_run() -> None:
    class Ticket(BaseModel):
        id: UUID = Field(default_factory=uuid4)
        items: list[str] = Field(default_factory=list)

    class Shop(Workflow[None, Ticket]):
        @transition(target=END)
        async def go(self) -> None: ...

    made = Shop.stepwell_definition
    assert made.new_state() != made.new_state()
    assert not definition.state_varies


def test_type_parameters_pass_through_generic_bases() -> None:
    class Base(Workflow[T, dict[str, T], list[T]], Generic[T]):
        pass

    class Middle(Base[T], Generic[T]):
        pass

    class Shop(Middle[int]):
        @transition(target=END)
        async def go(self) -> None: ...

    made = Shop.stepwell_definition
    assert made.args is not None
    assert (made.args.type, made.state.type, made.result.type) == (int, dict[str, int], list[int])


def test_type_parameters_may_be_named_by_strings() -> None:
    class Local(BaseModel):
        x: int = 0

    class Shop(Workflow["Local"]):
        @transition(target=END)
        async def go(self) -> None: ...

    args = Shop.stepwell_definition.args
    assert args is not None
    assert args.type is Local


# --- inheritance ---


def test_a_class_without_transitions_is_an_abstract_base() -> None:
    class Base(Workflow[OrderArgs], run_timeout=HOUR, priority=3, name="base", version=2):
        def info(self) -> None: ...  # type: ignore[override]

    assert "stepwell_definition" not in vars(Base)
    with pytest.raises(DefinitionError, match="Workflow Base can't be used:\n  - it has no transitions"):
        definition_of(Base)


def test_how_runs_are_executed_is_inherited_and_which_workflow_it_is_is_not() -> None:
    class Base(Workflow, run_timeout=HOUR, priority=3, name="base", title="Base", version=2, on=Event("e")):
        """Base of all."""

    class Shop(Base):
        @transition(target=END)
        async def go(self) -> None: ...

    made = Shop.stepwell_definition
    assert (made.run_timeout, made.priority) == (HOUR, 3)
    assert (made.name, made.title, made.description, made.version, made.on) == ("shop", "Shop", "", 1, ())


class Review(Workflow[OrderArgs]):
    def is_open(self) -> bool:
        return True

    @transition(target="open", when=is_open)
    async def open(self) -> None: ...

    @transition(target=END)
    async def skip(self) -> None: ...

    @transition("open", END, wait=True)
    async def decide(self, decision: str) -> None: ...


def test_a_subclass_inherits_the_transitions_of_a_concrete_workflow_before_its_own() -> None:
    class Longer(Review):
        @transition("open", END, after=HOUR)
        async def expire(self) -> None: ...

    made = Longer.stepwell_definition
    assert [t.name for t in made.transitions] == ["open", "skip", "decide", "expire"]
    assert made.name == "longer"
    assert made.args == Review.stepwell_definition.args
    assert len(Review.stepwell_definition.transitions) == 3


def test_an_override_keeps_the_transition_unless_it_brings_its_own() -> None:
    class Other(Review):
        async def skip(self) -> None: ...

        @transition("open", END, wait=True, keep=True)
        async def decide(self, decision: str) -> None: ...

    made = Other.stepwell_definition
    assert [(t.name, t.keep) for t in made.transitions] == [("open", False), ("skip", False), ("decide", True)]


def test_a_subclass_takes_a_transition_away_with_none() -> None:
    class Never(Review):
        skip = None  # type: ignore[assignment]

    assert [t.name for t in Never.stepwell_definition.transitions] == ["open", "decide"]


def test_an_overridden_guard_is_the_one_that_is_asked() -> None:
    class Closed(Review):
        def is_open(self) -> bool:
            return False

    assert Closed.stepwell_definition.named("open")[0].guard is Closed.is_open
    assert Review.stepwell_definition.named("open")[0].guard is Review.is_open


def test_what_is_not_a_workflow_has_no_definition() -> None:
    with pytest.raises(DefinitionError, match="int can't be used:\n  - it isn't a workflow"):
        definition_of(int)
