"""The fields of an answer, made from its JSON schema, and the JSON value of what a form has sent.

What has no fields of its own (nested objects, lists of numbers) is written as JSON in a text area.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from stepwell.definition.forms.fitting import (
    JsonSchema,
    choices,
    is_anything,
    leaves,
    properties_of,
    resolved,
    takes_null,
)
from stepwell.definition.forms.widgets import ORDER, WIDGET, in_json

FieldKind = Literal["text", "area", "number", "date", "choice", "choices", "json"]

VALUE: Final = "value"
"""The name of the only field of an answer that isn't an object."""
_AREAS: Final = ("textarea", "code", "markdown")
_LEFT_ALONE: Final = ("hidden", "read-only")
_MOST: Final = 50
"""Fields of a form, at most."""
_MOST_CHOICES: Final = 1_000
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class AnswerField:
    """A field of the form."""

    name: str
    title: str
    kind: FieldKind
    required: bool
    nullable: bool = False
    description: str = ""
    default: Any = None
    options: tuple[tuple[str, str], ...] = ()
    """(JSON, words) of each choice."""
    in_list: bool = False
    """True: the one choice is sent as a list of it."""

    def read(self, given: Sequence[str]) -> Any:
        """Return the JSON value of what was sent. Raises KeyError where nothing is, and nothing has to be."""
        match self.kind:
            case "choices":
                return [self._choice(one) for one in given]
            case "json":
                return self._parsed(given[-1] if given else "")
        if not given:
            return self._nothing()
        text = given[-1].replace("\r\n", "\n")
        if text == "":
            return self._emptied()
        if self.kind == "choice":
            found = self._choice(text)
            return [found] if self.in_list else found
        return _number(text) if self.kind == "number" else text

    def _choice(self, text: str) -> Any:
        return json.loads(text) if any(text == value for value, _ in self.options) else text

    def _parsed(self, text: str) -> Any:
        if not text.strip():
            return self._nothing()
        return json.loads(text)

    def _emptied(self) -> Any:
        """Return the value of a field that was sent empty. It isn't the default that the form showed, which was deleted.

        A number or a date that was deleted is an empty text as well, which is refused with the reason.
        """
        if self.nullable and self.default != "":
            return None
        if self.default is not None or (self.required and self.kind in ("text", "area")):
            return ""
        raise KeyError(self.name)

    def _nothing(self) -> Any:
        if self.nullable and self.default is None:
            return None
        raise KeyError(self.name)


def fields_of(schema: JsonSchema | None) -> tuple[AnswerField, ...]:
    """Return the fields of an answer; none where it takes no data."""
    if schema is None:
        return ()
    properties = properties_of(schema)
    if properties is None:
        return (_field(VALUE, "Answer", schema, schema, required=True),)
    model = resolved(schema, schema)
    order = [name for name in model.get(ORDER, ()) if name in properties]
    names = [*order, *(name for name in properties if name not in order)]
    required = model.get("required", ())
    shown = [name for name in names if properties[name].get(WIDGET, {}).get("type") not in _LEFT_ALONE]
    if (
        len(shown) > _MOST
        or model.get("additionalProperties")
        or any(one in required for one in names if one not in shown)
    ):
        return (_json_field(VALUE, "Answer", schema, required=True),)
    return tuple(
        _field(name, _title(name, properties[name]), properties[name], schema, name in required) for name in shown
    )


def is_object(schema: JsonSchema | None, fields: Sequence[AnswerField]) -> bool:
    """Return whether the fields are those of an object, and not the answer itself."""
    whole = len(fields) == 1 and fields[0].name == VALUE and fields[0].title == "Answer"
    return schema is not None and properties_of(schema) is not None and not whole


def read_form(
    schema: JsonSchema | None, fields: Sequence[AnswerField], given: Mapping[str, Sequence[str]]
) -> tuple[Any, dict[str, str]]:
    """Return the answer that the form has sent, and what is wrong with its fields, by their names."""
    found: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field in fields:
        try:
            found[field.name] = field.read(given.get(field.name, ()))
        except KeyError:
            continue
        except (ValueError, RecursionError) as error:
            wrong[field.name] = f"This isn't valid JSON: {error}"
    if is_object(schema, fields):
        return found, wrong
    return found.get(VALUE), wrong


def _field(name: str, title: str, schema: JsonSchema, root: JsonSchema, required: bool) -> AnswerField:
    found = leaves(schema, root)
    nullable = takes_null(schema, root)
    widget: Mapping[str, Any] = schema.get(WIDGET, resolved(schema, root).get(WIDGET, {}))
    common: dict[str, Any] = {
        "required": required and not nullable,
        "nullable": nullable,
        "description": str(schema.get("description", "")),
        "default": schema.get("default"),
    }
    labels: Mapping[str, str] = widget.get("labels", {})
    if options := _options(found, labels):
        return AnswerField(name, title, "choice", options=options, **common)
    if len(found) == 1 and (items := _listed(found[0], labels, root)):
        one = found[0].get("minItems") == 1 == found[0].get("maxItems")
        return AnswerField(name, title, "choice" if one else "choices", options=items, in_list=one, **common)
    kind = _plain_kind(found, widget)
    return AnswerField(name, title, kind, **common) if kind else _json_field(name, title, schema, required)


def _json_field(name: str, title: str, schema: JsonSchema, required: bool) -> AnswerField:
    return AnswerField(name, title, "json", required, description=str(schema.get("description", "")))


def _plain_kind(found: Sequence[JsonSchema], widget: Mapping[str, Any]) -> FieldKind | None:
    kinds = {leaf.get("type") for leaf in found}
    if any(map(is_anything, found)) or not kinds:
        return None
    if kinds <= {"integer", "number"}:
        return "number"
    if "string" not in kinds or not kinds <= {"string", "integer", "number"}:
        return None
    if kinds == {"string"} and all(leaf.get("format") == "date" for leaf in found):
        return "date"
    return "area" if widget.get("type") in _AREAS else "text"


def _options(found: Sequence[JsonSchema], labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if not found or any(not choices([leaf]) for leaf in found):
        return ()
    values = choices(found)
    if len(values) > _MOST_CHOICES:
        return ()
    return tuple((json.dumps(one), labels.get(in_json(one)) or _words(one)) for one in values)


def _listed(leaf: JsonSchema, labels: Mapping[str, str], root: JsonSchema) -> tuple[tuple[str, str], ...]:
    items = leaf.get("items")
    return _options(leaves(items, root), labels) if leaf.get("type") == "array" and isinstance(items, Mapping) else ()


def _words(value: Any) -> str:
    return {True: "Yes", False: "No"}[value] if isinstance(value, bool) else str(value)


def _title(name: str, schema: JsonSchema) -> str:
    return str(schema.get("title") or name.replace("_", " ").capitalize())


def _number(text: str) -> Any:
    """Return the number; else the text itself, which is refused with the reason."""
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        return text.replace("_", " ")  # Python and Pydantic read 1_0 as 10
    try:
        return int(text)
    except ValueError:
        return float(text)


def misplaced(errors: Sequence[Mapping[str, Any]], fields: Sequence[AnswerField]) -> Iterator[tuple[str | None, str]]:
    """Yield (field, words) of each of Pydantic's errors; None: it belongs to no field of the form."""
    names = {field.name for field in fields}
    for error in errors:
        loc = [str(one) for one in error.get("loc", ())]
        name = loc[0] if loc and loc[0] in names else VALUE if VALUE in names else None
        yield name, str(error.get("msg", "isn't valid"))
