"""Widgets for the fields of args, payloads and documents: markers for `Annotated`, read from the JSON schema.

    note: Annotated[str, TextArea(rows=4)]

A marker adds `x-widget` to the property's JSON schema, a `Layout` adds `x-order` and `x-groups` to its model's. They
validate nothing and cost nothing while a run executes. Which widget fits which type is in `fitting.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Final

from pydantic import GetJsonSchemaHandler

WIDGET: Final = "x-widget"
ORDER: Final = "x-order"
GROUPS: Final = "x-groups"


@dataclass(frozen=True, kw_only=True)
class FieldWidget:
    """Base of the widgets of fields. Options that are None are left to the form's renderer."""

    kind: ClassVar[str]

    def as_schema(self) -> dict[str, Any]:
        """Return the value of `x-widget`."""
        options = {one.name: getattr(self, one.name) for one in fields(self)}
        return {"type": self.kind, **{name: value for name, value in options.items() if value is not None}}

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), WIDGET: self.as_schema()}


@dataclass(frozen=True, kw_only=True)
class Text(FieldWidget):
    """One line of text."""

    kind = "text"
    placeholder: str | None = None


@dataclass(frozen=True, kw_only=True)
class TextArea(FieldWidget):
    """Several lines of text."""

    kind = "textarea"
    rows: int | None = None
    placeholder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Number(FieldWidget):
    """A number, written or stepped."""

    kind = "number"
    min: float | None = None
    max: float | None = None
    step: float | None = None
    placeholder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Slider(FieldWidget):
    """A number between two bounds: `min` and `max`, or else those of the field's type."""

    kind = "slider"
    min: float | None = None
    max: float | None = None
    step: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Choice(FieldWidget):
    labels: Mapping[Any, str] | None = field(default=None, hash=False)
    """The texts shown for values; values without one are shown as they are."""

    def as_schema(self) -> dict[str, Any]:
        told = super().as_schema()
        if self.labels is not None:
            told["labels"] = {in_json(value): label for value, label in self.labels.items()}
        return told


@dataclass(frozen=True, kw_only=True)
class Select(_Choice):
    """One of the choices of an enum or a Literal, in a list that opens; several of them, if the field is a list."""

    kind = "select"
    placeholder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Radio(_Choice):
    """One of the choices of an enum or a Literal, all of them visible."""

    kind = "radio"


@dataclass(frozen=True, kw_only=True)
class Checkbox(FieldWidget):
    """Yes or no, as a box."""

    kind = "checkbox"


@dataclass(frozen=True, kw_only=True)
class Switch(FieldWidget):
    """Yes or no, as a switch."""

    kind = "switch"


@dataclass(frozen=True, kw_only=True)
class Date(FieldWidget):
    """A day, or a day and a time of day, by the field's type."""

    kind = "date"


@dataclass(frozen=True, kw_only=True)
class Code(FieldWidget):
    """Text of a language, in an editor."""

    kind = "code"
    language: str | None = None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class MarkdownEditor(FieldWidget):
    """Markdown, with a preview."""

    kind = "markdown"
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hidden(FieldWidget):
    """Sent with its default, and not shown."""

    kind = "hidden"


@dataclass(frozen=True, kw_only=True)
class ReadOnly(FieldWidget):
    """Shown with its default, and not changed."""

    kind = "read-only"


@dataclass(frozen=True)
class FieldGroup:
    """Fields that are shown together under a title. Names are those in JSON."""

    title: str
    fields: Sequence[str] = field(hash=False)
    description: str | None = None
    collapsed: bool = False

    def as_schema(self) -> dict[str, Any]:
        """Return a value of `x-groups`."""
        told: dict[str, Any] = {"title": self.title, "fields": list(self.fields)}
        if self.description is not None:
            told["description"] = self.description
        return {**told, "collapsed": True} if self.collapsed else told


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Order and groups of a model's fields: `model_config = ConfigDict(json_schema_extra=Layout(order=["amount"]))`.

    Fields that `order` leaves out come after it, as they are declared; fields of no group come before the groups.
    """

    order: Sequence[str] = field(default=(), hash=False)
    groups: Sequence[FieldGroup] = field(default=(), hash=False)

    def as_schema(self) -> dict[str, Any]:
        """Return `x-order` and `x-groups`, as far as they are given."""
        told: dict[str, Any] = {}
        if self.order:
            told[ORDER] = list(self.order)
        if self.groups:
            told[GROUPS] = [group.as_schema() for group in self.groups]
        return told

    def __call__(self, schema: dict[str, Any]) -> None:
        """Add the layout to the model's JSON schema; Pydantic calls it."""
        schema.update(self.as_schema())


def in_json(value: Any) -> str:
    """Return a choice as a key in JSON: a text as it is, anything else as its JSON text."""
    plain = value.value if isinstance(value, Enum) else value
    return plain if isinstance(plain, str) else json.dumps(plain)
