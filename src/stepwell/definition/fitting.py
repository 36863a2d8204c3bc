"""Whether widgets fit the fields that they are put on, judged by JSON schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic.errors import PydanticInvalidForJsonSchema

from stepwell.definition.codec import Codec
from stepwell.definition.fields import type_name
from stepwell.definition.schemas import Schema, choices, is_anything, leaves
from stepwell.definition.widgets import GROUPS, ORDER, WIDGET, in_json


class Rule(NamedTuple):
    """What a widget is for."""

    name: str
    fits: Callable[[Schema, Schema], bool]
    """Of one alternative of the field's schema, and the whole document."""
    purpose: str


def schema_faults(owner: str, role: str, codec: Codec[Any] | None) -> Iterator[str]:
    """Everything that is wrong with the widgets and layouts in a type, nested models included.

    Nothing where no JSON schema can describe the type, or names that it refers to aren't defined yet.
    """
    schema = schema_of(codec)
    if schema is None or codec is None:
        return
    for name, part in ((type_name(codec.type), schema), *schema.get("$defs", {}).items()):
        yield from (f"{owner}: in its {role}, {fault}" for fault in _object_faults(name, part, schema))


def schema_of(codec: Codec[Any] | None) -> dict[str, Any] | None:
    """The JSON schema of a type; None where there is none, or not yet."""
    if codec is None or not codec.complete():
        return None
    try:
        return codec.schema(quiet=True)
    except PydanticInvalidForJsonSchema:
        return None


def _object_faults(name: str, part: Schema, root: Schema) -> Iterator[str]:
    properties = part.get("properties", {})
    for field, schema in properties.items():
        yield from _field_faults(f"{name}.{field}", schema, root)
    if not properties:
        yield from _field_faults("the value", part, root)
    yield from layout_faults(name, properties, part.get(ORDER, ()), part.get(GROUPS, ()))


def _field_faults(path: str, schema: Schema, root: Schema) -> Iterator[str]:
    if WIDGET in schema:
        yield from widget_misfits(path, schema[WIDGET], schema, root)
    members = schema.get("anyOf", ())
    optional = {"type": "null"} in members and len(members) == 2
    for member in members:
        if optional and WIDGET in member:
            yield f"{path} has its widget on a part of its type; put it around the whole: Annotated[... | None, ...]."
        else:
            yield from _field_faults(path, member, root)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _field_faults(path, schema[key], root)


def widget_misfits(path: str, widget: Schema, schema: Schema, root: Schema) -> Iterator[str]:
    """Why this widget can't show the field at `path`, whose schema is `schema`."""
    rule = RULES.get(widget.get("type", ""))
    if rule is None:
        yield f"{path} has an {WIDGET} of type {widget.get('type')!r}, which is none; use one of stepwell.ui."
        return
    found = leaves(schema, root)
    if not any(is_anything(leaf) or rule.fits(leaf, root) for leaf in found):
        yield f"{path} has a {rule.name}, and is {_shown(found)}; {rule.name} is for {rule.purpose}."
        return
    yield from (f"{path} has a {rule.name} {fault}" for fault in _option_faults(widget, found, root))


def _option_faults(widget: Schema, found: Sequence[Schema], root: Schema) -> Iterator[str]:
    low, high = widget.get("min"), widget.get("max")
    if low is not None and high is not None and low >= high:
        yield f"from {low:g} to {high:g}; give a min that is below max."
    for option in ("rows", "step"):
        if widget.get(option) is not None and widget[option] <= 0:
            yield f"with {option}={widget[option]:g}; give more than zero."
    if widget["type"] == "slider":
        yield from _slider_faults(widget, found)
    if unknown := sorted(widget.get("labels", {}).keys() - _choices(found, root)):
        known = ", ".join(sorted(_choices(found, root)))
        yield f"with labels for {', '.join(map(repr, unknown))}, which it can't be; its choices are {known or 'open'}."


def _slider_faults(widget: Schema, found: Sequence[Schema]) -> Iterator[str]:
    for option, words in (("min", ("minimum", "exclusiveMinimum")), ("max", ("maximum", "exclusiveMaximum"))):
        if option not in widget and not any(word in leaf for leaf in found for word in words):
            yield f"without a {option}; give {option}=, or a bound to the field as in Field({_BOUNDS[option]}=...)."


def layout_faults(
    name: str, properties: Mapping[str, Any], order: Sequence[str], groups: Sequence[Schema]
) -> Iterator[str]:
    """Names in an order and in groups that the model doesn't have, or that come twice."""
    grouped = [field for group in groups for field in group.get("fields", ())]
    for where, fields in (("order", list(order)), ("groups", grouped)):
        if unknown := [field for field in fields if field not in properties]:
            yield f"{no_field(name, unknown, properties)} Mend its {where}."
        if twice := sorted({field for field in fields if fields.count(field) > 1}):
            yield f"the {where} of {name} has {', '.join(map(repr, twice))} twice; name each field once."


def no_field(name: str, unknown: Sequence[str], properties: Mapping[str, Any]) -> str:
    """That a model has no such field, and which it has."""
    there = ", ".join(properties) or "none"
    return f"{name} has no field {' or '.join(map(repr, unknown))}: as in JSON, its fields are {there}."


def _choices(found: Sequence[Schema], root: Schema) -> set[str]:
    """The choices as keys in JSON, those of a list's items too."""
    items = [leaf for one in found if one.get("type") == "array" for leaf in leaves(one.get("items", {}), root)]
    return {in_json(value) for value in choices([*found, *items])}


def _of_type(*types: str) -> Callable[[Schema, Schema], bool]:
    return lambda leaf, _: leaf.get("type") in types


def _is_choice(leaf: Schema, root: Schema) -> bool:
    return leaf.get("type") != "array" and bool(_choices([leaf], root))


def _has_choices(leaf: Schema, root: Schema) -> bool:
    return bool(_choices([leaf], root))


def _is_date(leaf: Schema, _: Schema) -> bool:
    return leaf.get("format") in ("date", "date-time")


def _shown(found: Sequence[Schema]) -> str:
    kinds = dict.fromkeys(_KINDS.get(str(leaf.get("type")), "a constant") for leaf in found)
    return " or ".join(kinds) or "always null"


_BOUNDS = {"min": "ge", "max": "le"}
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no",
    "array": "a list",
    "object": "an object",
}
_TEXT = "texts (str)"
_NUMBER = "numbers (int, float, Decimal)"
_YES_OR_NO = "yes or no (bool)"
_CHOICES = "choices (an enum, Literal or bool"
_is_text, _is_number, _is_bool = _of_type("string"), _of_type("integer", "number"), _of_type("boolean")

RULES: Mapping[str, Rule] = {
    "text": Rule("Text", _is_text, _TEXT),
    "textarea": Rule("TextArea", _is_text, _TEXT),
    "code": Rule("Code", _is_text, _TEXT),
    "markdown": Rule("MarkdownEditor", _is_text, _TEXT),
    "number": Rule("Number", _is_number, _NUMBER),
    "slider": Rule("Slider", _is_number, _NUMBER),
    "checkbox": Rule("Checkbox", _is_bool, _YES_OR_NO),
    "switch": Rule("Switch", _is_bool, _YES_OR_NO),
    "select": Rule("Select", _has_choices, f"{_CHOICES}, or a list of them)"),
    "radio": Rule("Radio", _is_choice, f"{_CHOICES})"),
    "date": Rule("Date", _is_date, "days and moments (date, datetime)"),
    "hidden": Rule("Hidden", lambda *_: True, "any field"),
    "read-only": Rule("ReadOnly", lambda *_: True, "any field"),
}
