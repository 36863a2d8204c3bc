"""Widgets of fields: what they say in JSON schemas, and what is told at once where they don't fit."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

import stepwell.ui
from stepwell.app import App
from stepwell.definition.authoring.document import Document
from stepwell.definition.authoring.marks import END, transition
from stepwell.definition.authoring.workflow import Workflow
from stepwell.definition.compile.export import document_to_json, to_json
from stepwell.definition.forms.fitting import schema_faults
from stepwell.definition.values.codec import codec_for
from stepwell.errors import DefinitionError
from stepwell.ui import (
    Button,
    Checkbox,
    Code,
    Date,
    Form,
    Group,
    Hidden,
    Layout,
    MarkdownEditor,
    Number,
    PromptInput,
    Radio,
    ReadOnly,
    Select,
    Slider,
    Switch,
    Text,
    TextArea,
)


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Part(BaseModel):
    name: Annotated[str, Text()] = ""


class Everything(BaseModel):
    model_config = ConfigDict(
        json_schema_extra=Layout(
            order=["size", "amount"],
            groups=[Group("Money", ["amount", "share"], collapsed=True), Group("Rest", ["note"], description="More")],
        )
    )

    text: Annotated[str, Text(placeholder="Say it")] = ""
    note: Annotated[str | None, TextArea(rows=4)] = None
    amount: Annotated[Decimal, Number(min=0, step=0.01)] = Decimal(0)
    share: Annotated[int, Slider(), Field(ge=0, le=100)] = 0
    size: Annotated[Size, Select(labels={Size.SMALL: "S", "large": "L"})] = Size.SMALL
    sizes: Annotated[list[Size], Select()] = []
    level: Annotated[Level | None, Radio(labels={Level.LOW: "low"})] = None
    kind: Annotated[Literal["a", "b"], Radio()] = "a"
    sure: Annotated[bool, Checkbox()] = False
    on: Annotated[bool, Switch()] = False
    either: Annotated[bool, Radio(labels={True: "Yes", False: "No"})] = False
    day: Annotated[date, Date()] = date(2026, 1, 5)
    moment: Annotated[datetime | None, Date()] = None
    script: Annotated[str, Code(language="python", rows=10)] = ""
    text_of_it: Annotated[str, MarkdownEditor(rows=8)] = ""
    part: Annotated[Part, Hidden()] = Part()
    parts: list[Part] = []
    extra: Annotated[Any, ReadOnly()] = None
    names: list[Annotated[str, TextArea()]] = []


WIDGETS = {
    "text": {"type": "text", "placeholder": "Say it"},
    "note": {"type": "textarea", "rows": 4},
    "amount": {"type": "number", "min": 0, "step": 0.01},
    "share": {"type": "slider"},
    "size": {"type": "select", "labels": {"small": "S", "large": "L"}},
    "sizes": {"type": "select"},
    "level": {"type": "radio", "labels": {"1": "low"}},
    "kind": {"type": "radio"},
    "sure": {"type": "checkbox"},
    "on": {"type": "switch"},
    "either": {"type": "radio", "labels": {"true": "Yes", "false": "No"}},
    "day": {"type": "date"},
    "moment": {"type": "date"},
    "script": {"type": "code", "language": "python", "rows": 10},
    "text_of_it": {"type": "markdown", "rows": 8},
    "part": {"type": "hidden"},
    "extra": {"type": "read-only"},
}


class Deal(
    Workflow[Everything],
    ui=[
        Form(
            transition="decide",
            enabled_at=["review"],
            fields={"note": MarkdownEditor(), "share": Slider(max=50)},
            order=["note"],
            groups=[Group("Money", ["amount"])],
        ),
        PromptInput(transition="decide", field="text"),
        PromptInput(transition="chat"),
        Button(transition="decide", enabled_at=["review"]),
    ],
):
    @transition(target="review")
    async def ask(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self, given: Everything) -> None: ...

    @transition("review", "review", wait=True)
    async def chat(self, text: Annotated[str, TextArea()]) -> None: ...


def test_widgets_are_in_the_schemas_of_args_and_payloads() -> None:
    told = to_json(Deal.stepwell_definition)
    payloads = [t["payload"]["schema"] for t in told["transitions"] if t["payload"]]
    for schema in (told["args"], payloads[0]):
        found = {name: one["x-widget"] for name, one in schema["properties"].items() if "x-widget" in one}
        assert found == WIDGETS
        assert schema["$defs"]["Part"]["properties"]["name"]["x-widget"] == {"type": "text"}
        assert "x-widget" not in schema["$defs"]["Size"]
        assert schema["properties"]["names"]["items"]["x-widget"] == {"type": "textarea"}
    assert payloads[1] == {"type": "string", "x-widget": {"type": "textarea"}}


def test_a_layout_is_in_the_models_schema() -> None:
    schema = Everything.model_json_schema()
    assert schema["x-order"] == ["size", "amount"]
    assert schema["x-groups"] == [
        {"title": "Money", "fields": ["amount", "share"], "collapsed": True},
        {"title": "Rest", "fields": ["note"], "description": "More"},
    ]
    assert Layout().as_schema() == {}


def test_a_forms_own_widgets_order_and_groups() -> None:
    form, prompt, _, button = to_json(Deal.stepwell_definition)["ui"]
    assert form == {
        "type": "form",
        "transition": "decide",
        "enabled_at": ["review"],
        "label": None,
        "title": None,
        "fields": {"note": {"type": "markdown"}, "share": {"type": "slider", "max": 50}},
        "order": ["note"],
        "groups": [{"title": "Money", "fields": ["amount"]}],
    }
    assert (prompt["field"], button["type"]) == ("text", "button")
    bare = Form(transition="decide").model_dump(mode="json")
    assert bare == {"type": "form", "transition": "decide", "enabled_at": [], "label": None, "title": None}


def test_all_that_is_said_is_json() -> None:
    told = to_json(Deal.stepwell_definition)
    assert json.loads(json.dumps(told)) == told


def test_widgets_change_nothing_while_values_are_validated() -> None:
    given = TypeAdapter(Everything).validate_python({"share": "7", "size": "large", "level": 2})
    assert (given.share, given.size, given.level) == (7, Size.LARGE, Level.HIGH)
    assert Everything.model_validate_json(given.model_dump_json()) == given


def test_a_document_shows_its_fields_by_their_widgets() -> None:
    class Draft(Document, ui=[Form(transition="decide", order=["anything"])]):
        text: Annotated[str, MarkdownEditor()]

    told = document_to_json(Draft)
    assert told["schema"]["properties"]["text"]["x-widget"] == {"type": "markdown"}
    assert told["ui"][0]["order"] == ["anything"]


def test_what_json_schema_cant_show_is_left_alone_without_a_warning() -> None:
    class Odd(BaseModel):
        stamp: Annotated[object, Hidden()] = object()
        call: Annotated[str, Slider()] = ""

    class Odder(BaseModel):
        call: Annotated[Callable[[], int], Text()] = lambda: 1

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [*schema_faults("Shop", "args", codec_for(Odder))] == []
        assert len([*schema_faults("Shop", "args", codec_for(Odd))]) == 1


FIELDS: list[tuple[Any, str]] = [
    (Annotated[str, Slider(min=0, max=1)], "M.it has a Slider, and is a text; Slider is for numbers (int, float, Dec"),
    (Annotated[str | int, Switch()], "M.it has a Switch, and is a text or a whole number; Switch is for yes or no"),
    (Annotated[int, TextArea()], "M.it has a TextArea, and is a whole number; TextArea is for texts (str)"),
    (Annotated[float, Code()], "M.it has a Code, and is a number; Code is for texts"),
    (Annotated[bool, MarkdownEditor()], "M.it has a MarkdownEditor, and is yes or no; MarkdownEditor is for texts"),
    (Annotated[list[int], Number()], "M.it has a Number, and is a list; Number is for numbers"),
    (Annotated[Part, Text()], "M.it has a Text, and is an object; Text is for texts"),
    (Annotated[str, Select()], "M.it has a Select, and is a text; Select is for choices (an enum, Literal or bool, or"),
    (
        Annotated[list[Size], Radio()],
        "M.it has a Radio, and is a list; Radio is for choices (an enum, Literal or bool)",
    ),
    (Annotated[str, Date()], "M.it has a Date, and is a text; Date is for days and moments (date, datetime)"),
    (Annotated[timedelta, Date()], "M.it has a Date, and is a text"),
    (Annotated[str, Checkbox()], "M.it has a Checkbox, and is a text; Checkbox is for yes or no (bool)"),
    (Annotated[None, Text()], "M.it has a Text, and is always null"),
    (
        Annotated[int, Slider(max=5)],
        "M.it has a Slider without a min; give min=, or a bound to the field as in Field(ge",
    ),
    (Annotated[int, Slider(), Field(gt=0)], "M.it has a Slider without a max; give max=, or a bound"),
    (Annotated[int, Number(min=3, max=3)], "M.it has a Number from 3 to 3; give a min that is below max."),
    (Annotated[int, Number(step=0)], "M.it has a Number with step=0; give more than zero."),
    (Annotated[str, TextArea(rows=-1)], "M.it has a TextArea with rows=-1; give more than zero."),
    (
        Annotated[Size, Select(labels={"tiny": "T"})],
        "has a Select with labels for the unknown choices 'tiny'; its choices",
    ),
    (Annotated[str, Text()] | None, "M.it has its widget on a part of its type; put it around the whole: Annotated["),
    (list[Annotated[int, Text()]], "M.it has a Text, and is a whole number"),
    (dict[str, Annotated[int, Text()]], "M.it has a Text, and is a whole number"),
    (
        Annotated[str, Field(json_schema_extra={"x-widget": {"type": "dial"}})],
        "an x-widget of type 'dial', which isn't a widget",
    ),
]


@pytest.mark.parametrize(("annotation", "said"), FIELDS, ids=[said[5:60] for _, said in FIELDS])
def test_a_widget_that_doesnt_fit_is_told_when_the_class_is_made(annotation: Any, said: str) -> None:
    M = type("M", (BaseModel,), {"__annotations__": {"it": annotation}})

    with pytest.raises(DefinitionError) as raised:

        class Shop(Workflow[M]):  # type: ignore[valid-type]
            @transition(target=END, wait=True)
            async def go(self, given: Everything) -> None: ...

    (fault,) = raised.value.faults
    assert said in fault
    assert fault.startswith("Shop: in its args, ")


LAYOUTS: list[tuple[Layout, str]] = [
    (
        Layout(order=["it", "that"]),
        "M has no field 'that'; named as in JSON, its fields are it, other. Correct its order.",
    ),
    (
        Layout(groups=[Group("G", ["x", "y"])]),
        "M has no field 'x' or 'y'; named as in JSON, its fields are it, other. Correct its g",
    ),
    (Layout(order=["it", "it"]), "the order of M has 'it' twice; name each field once."),
    (Layout(groups=[Group("A", ["it"]), Group("B", ["it"])]), "the groups of M has 'it' twice"),
]


@pytest.mark.parametrize(("layout", "said"), LAYOUTS, ids=[said[:40] for _, said in LAYOUTS])
def test_a_layout_names_fields_that_there_are(layout: Layout, said: str) -> None:
    class M(BaseModel):
        model_config = ConfigDict(json_schema_extra=layout)
        it: int = 0
        other: int = 0

    with pytest.raises(DefinitionError, match=r"Shop\.go: in its payload, ") as raised:

        class Shop(Workflow):
            @transition(target=END, wait=True)
            async def go(self, given: M) -> None: ...

    assert said in raised.value.faults[0]

    with pytest.raises(DefinitionError, match="Paper: in its fields, "):

        class Paper(Document):
            model: M


class Answer(BaseModel):
    note: str = ""
    cents: int = 0


UI: list[tuple[Any, str]] = [
    (
        Form(transition="go", fields={"nothing": Text()}),
        "Form fires 'go': Answer has no field 'nothing'; named as in JSON, its",
    ),
    (Form(transition="go", fields={"cents": TextArea()}), "Answer.cents has a TextArea, and is a whole number"),
    (Form(transition="go", fields={"cents": Slider(max=5)}), "Answer.cents has a Slider without a min"),
    (
        Form(transition="go", order=["dollars"]),
        "Answer has no field 'dollars'; named as in JSON, its fields are note, cents. Correct",
    ),
    (Form(transition="go", groups=[Group("G", ["x"])]), "Answer has no field 'x'"),
    (
        Form(transition="say", order=["x"]),
        "the payload is str, which has no fields to name; leave out fields, order and",
    ),
    (Form(transition="leave", order=["x"]), "leave takes no payload; leave out fields, order and groups."),
    (
        PromptInput(transition="go"),
        "it sends a text, and the payload is Answer; say which of its fields takes it: field",
    ),
    (PromptInput(transition="go", field="text"), "Answer has no field 'text'"),
    (PromptInput(transition="go", field="cents"), "Answer.cents takes no text; name a field that is a str."),
    (PromptInput(transition="say", field="text"), "the payload is str, which has no field 'text'; leave out field=."),
]


@pytest.mark.parametrize(("widget", "said"), UI, ids=[said[:50] for _, said in UI])
def test_a_forms_fields_are_those_of_the_payload(widget: Any, said: str) -> None:
    with pytest.raises(DefinitionError) as raised:

        class Shop(Workflow, ui=[widget]):
            @transition(target=END, wait=True)
            async def go(self, given: Answer) -> None: ...

            @transition(target=END, wait=True)
            async def say(self, text: str) -> None: ...

            @transition(target=END, wait=True)
            async def leave(self) -> None: ...

    (fault,) = raised.value.faults
    assert said in fault


class Early(Workflow, ui=[Form(transition="go", order=["nothing"])]):
    @transition(target=END, wait=True)
    async def go(self, given: Later) -> None: ...


class Later(BaseModel):
    it: Annotated[str, Switch()] = ""


def test_a_payload_that_is_defined_later_is_judged_when_its_app_is_made() -> None:
    with pytest.raises(DefinitionError) as raised:
        App("shop", workflows=[Early])
    assert "Later has no field 'nothing'" in str(raised.value)
    assert "Early.go: in its payload, Later.it has a Switch" in str(raised.value)


@pytest.mark.parametrize("name", stepwell.ui.__all__)
def test_a_widget_says_what_it_is_for(name: str) -> None:
    assert getattr(stepwell.ui, name).__doc__
    assert stepwell.ui.__all__ == sorted(stepwell.ui.__all__)
