"""How the fields of documents are shown is read from their classes, and is stored with each document that says anything."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from pydantic import ConfigDict, Field

from stepwell import END, App, Document, Markdown, Message, Workflow, transition
from stepwell.definition.compile.export import fields_of, shown
from stepwell.testing import Harness
from stepwell.ui import Button, Code, Group, Hidden, Layout, MarkdownEditor


class Plain(Document):
    a_number: int = 0


class Report(Document, ui=[Button(transition="go")]):
    model_config = ConfigDict(
        json_schema_extra=Layout(order=["text"], groups=[Group("Code", ["code"], collapsed=True)]).as_schema()
    )

    code: Annotated[str, Code(language="sql")] = ""
    hidden: Annotated[str, Hidden()] = ""
    total: int = Field(0, title="In all", description="Since the beginning", alias="Total")
    text: Annotated[str, MarkdownEditor()] = ""


class Keep(Workflow[None, None, None]):
    @transition(target="there")
    async def make(self) -> None:
        await self.documents.save(Report(text="*x*"))
        await self.documents.save(Plain())

    @transition("there", END, wait=True)
    async def go(self) -> None: ...


@pytest.mark.parametrize("silent", [Plain, Message, Markdown])
def test_a_class_that_says_nothing_stores_nothing(silent: type[Document]) -> None:
    assert fields_of(silent) is None
    assert shown(silent) is None


def test_fields_are_told_in_their_order_with_their_widgets_and_groups() -> None:
    assert fields_of(Report) == {
        "type": "fields",
        "fields": [
            {"name": "text", "widget": {"type": "markdown"}},
            {"name": "code", "widget": {"type": "code", "language": "sql"}},
            {"name": "hidden", "widget": {"type": "hidden"}},
            {"name": "Total", "title": "In all", "description": "Since the beginning"},
        ],
        "groups": [{"title": "Code", "fields": ["code"], "collapsed": True}],
    }


def test_widgets_that_fire_transitions_come_after_the_fields() -> None:
    assert [one["type"] for one in json.loads(shown(Report) or "")] == ["fields", "button"]


async def test_each_document_keeps_what_its_class_said() -> None:
    async with Harness(apps=[App("app", workflows=[Keep])]) as harness:
        run = await harness.runner.run(Keep, app_name="app", user_id="ada")
        await harness.drain()
        report, plain = await harness.runner.documents(run.workflow_id)
    assert [one["type"] for one in report.ui] == ["fields", "button"]
    assert plain.ui == ()
