"""Which class a document's name means to a workflow, where several have one of that name."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from stepwell import END, App, Document, Message, Workflow, transition
from stepwell.definition.authoring.document import document_class
from stepwell.errors import DefinitionError
from stepwell.testing import Harness

SOURCE = """
from stepwell import END, Document, Workflow, transition

class Receipt(Document, name="receipt-of-apps"):
    {field}: int = 0

class Message(Document):
    {field}: int = 0

class Sells{kind}(Workflow[None, None, list[str]]):
    @transition(target="sold")
    async def go(self) -> None:
        await self.documents.save(Receipt({field}=3))

    @transition("sold", END)
    async def look(self) -> list[str]:
        return [repr(one) for one in await self.documents.all()]

class Only{kind}(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...
"""


@pytest.fixture
def shops() -> Any:
    """Two modules of an application, each with documents of the same names."""
    made = []
    for kind, field in (("A", "cents"), ("B", "euros")):
        module = ModuleType(f"shops.{kind.lower()}")
        sys.modules[module.__name__] = module
        exec(SOURCE.format(kind=kind, field=field), vars(module))
        made.append(module)
    yield made
    for module in made:
        del sys.modules[module.__name__]


async def test_each_run_gets_the_class_of_its_own_app(shops: Any) -> None:
    one, other = shops
    apps = [App("a", workflows=[one.SellsA]), App("b", workflows=[other.SellsB])]
    async with Harness(apps=apps) as harness:
        for app, workflow, shown in (("a", one.SellsA, "Receipt(cents=3)"), ("b", other.SellsB, "Receipt(euros=3)")):
            run = await harness.runner.run(workflow, app_name=app, user_id="u1")
            await harness.drain()
            assert await run.result() == [shown]


def test_a_class_that_no_method_names_is_that_of_the_workflows_module(shops: Any) -> None:
    one, other = shops
    assert document_class(one.OnlyA, "receipt-of-apps") is one.Receipt
    assert document_class(other.OnlyB, "receipt-of-apps") is other.Receipt


class Elsewhere(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


def test_a_strangers_class_isnt_taken_for_a_built_in_one(shops: Any) -> None:
    assert document_class(Elsewhere, "message") is Message
    assert document_class(shops[0].OnlyA, "message") is shops[0].Message
    assert document_class(Elsewhere, "none has this name") is Document


def test_a_workflow_that_reaches_two_of_one_name_is_refused(shops: Any) -> None:
    one, other = shops

    class Both(Workflow):
        @transition(target=END)
        async def go(self) -> None:
            await self.documents.save(one.Receipt())
            await save(self)

    first, second = one.Receipt, other.Receipt

    async def save(workflow: Any) -> None:
        await workflow.documents.save(first())
        await workflow.documents.save(second())

    with pytest.raises(DefinitionError) as caught:
        App("shop", workflows=[Both])
    assert "Both: " in str(caught.value)
    assert "are both documents named 'receipt-of-apps'" in str(caught.value)


class Ticket(Document):
    seat: int = 0


class LongTicket(Ticket, name="ticket"):
    gate: str = ""


def test_a_subclass_under_its_bases_name_stands_for_both() -> None:
    class Books(Workflow):
        @transition(target=END)
        async def go(self) -> None:
            await self.documents.save(Ticket())
            await self.documents.save(LongTicket())

    App("shop", workflows=[Books])
    assert document_class(Books, "ticket") is LongTicket


def test_of_equally_near_classes_the_last_one_made_counts() -> None:
    def made(field: str) -> type[Document]:
        return type("Note", (Document,), {"__annotations__": {field: str}, "__module__": "notes"}, name="a-note")  # type: ignore[call-overload,no-any-return]

    first = made("text")
    assert document_class(Elsewhere, "a-note") is first
    last = made("line")
    assert document_class(Elsewhere, "a-note") is last
