"""Check that widgets fit the fields that they are put on, by JSON schemas as Pydantic writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic.errors import PydanticInvalidForJsonSchema

from stepwell.definition.forms.widgets import GROUPS, ORDER, WIDGET, in_json
from stepwell.definition.text import type_name
from stepwell.definition.values.codec import Codec


class FittingRule(NamedTuple):
    """The purpose of one widget, and the check of its options."""

    name: str
    fits: Callable[[JsonSchema, JsonSchema], bool]
    """Of one alternative of the field's schema, and the whole document."""
    purpose: str


def schema_faults(owner: str, role: str, codec: Codec[Any] | None) -> Iterator[str]:
    """Yield everything that is wrong with the widgets and layouts in a type, nested models included.

    Nothing where no JSON schema can describe the type, or names that it refers to aren't defined yet.
    """
    schema = schema_of(codec)
    if schema is None or codec is None:
        return
    for name, part in ((type_name(codec.type), schema), *schema.get("$defs", {}).items()):
        yield from (f"{owner}: in its {role}, {fault}" for fault in _object_faults(name, part, schema))


def schema_of(codec: Codec[Any] | None) -> dict[str, Any] | None:
    """Return the JSON schema of a type; None where there is none, or not yet."""
    if codec is None or not codec.complete():
        return None
    try:
        return codec.schema(quiet=True)
    except PydanticInvalidForJsonSchema:
        return None


def _object_faults(name: str, part: JsonSchema, root: JsonSchema) -> Iterator[str]:
    properties = part.get("properties", {})
    for field, schema in properties.items():
        yield from _field_faults(f"{name}.{field}", schema, root)
    if not properties:
        yield from _field_faults("the value", part, root)
    yield from layout_faults(name, properties, part.get(ORDER, ()), part.get(GROUPS, ()))


def _field_faults(path: str, schema: JsonSchema, root: JsonSchema) -> Iterator[str]:
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


def widget_misfits(path: str, widget: JsonSchema, schema: JsonSchema, root: JsonSchema) -> Iterator[str]:
    """Yield why this widget can't show the field at `path`, whose schema is `schema`."""
    rule = RULES.get(widget.get("type", ""))
    if rule is None:
        yield f"{path} has an {WIDGET} of type {widget.get('type')!r}, which isn't a widget; use one from stepwell.ui."
        return
    found = leaves(schema, root)
    if not any(is_anything(leaf) or rule.fits(leaf, root) for leaf in found):
        kinds = dict.fromkeys(_KINDS.get(str(leaf.get("type")), "a constant") for leaf in found)
        shown = " or ".join(kinds) or "always null"
        yield f"{path} has a {rule.name}, and is {shown}; {rule.name} is for {rule.purpose}."
        return
    yield from (f"{path} has a {rule.name} {fault}" for fault in _option_faults(widget, found, root))


def _option_faults(widget: JsonSchema, found: Sequence[JsonSchema], root: JsonSchema) -> Iterator[str]:
    low, high = widget.get("min"), widget.get("max")
    if low is not None and high is not None and low >= high:
        yield f"from {low:g} to {high:g}; give a min that is below max."
    for option in ("rows", "step"):
        if widget.get(option) is not None and widget[option] <= 0:
            yield f"with {option}={widget[option]:g}; give more than zero."
    for option, words, bound in _SLIDER_BOUNDS if widget["type"] == "slider" else ():
        if option not in widget and not any(word in leaf for leaf in found for word in words):
            yield f"without a {option}; give {option}=, or a bound to the field as in Field({bound}=...)."
    if unknown := sorted(widget.get("labels", {}).keys() - _choices(found, root)):
        known = ", ".join(sorted(_choices(found, root)))
        yield f"with labels for the unknown choices {', '.join(map(repr, unknown))}; its choices are {known or 'open'}."


def layout_faults(
    name: str, properties: Mapping[str, Any], order: Sequence[str], groups: Sequence[JsonSchema]
) -> Iterator[str]:
    """Yield names in an order and in groups that the model doesn't have, or that come twice."""
    grouped = [field for group in groups for field in group.get("fields", ())]
    for where, fields in (("order", list(order)), ("groups", grouped)):
        if unknown := [field for field in fields if field not in properties]:
            yield f"{no_field(name, unknown, properties)} Correct its {where}."
        if twice := sorted({field for field in fields if fields.count(field) > 1}):
            yield f"the {where} of {name} has {', '.join(map(repr, twice))} twice; name each field once."


def no_field(name: str, unknown: Sequence[str], properties: Mapping[str, Any]) -> str:
    """Return the fault that a model has no such field, with the fields that it has."""
    there = ", ".join(properties) or "none"
    return f"{name} has no field {' or '.join(map(repr, unknown))}; named as in JSON, its fields are {there}."


def _choices(found: Sequence[JsonSchema], root: JsonSchema) -> set[str]:
    """Return the choices as keys in JSON, those of a list's items too."""
    items = [leaf for one in found if one.get("type") == "array" for leaf in leaves(one.get("items", {}), root)]
    return {in_json(value) for value in choices([*found, *items])}


def _of_type(*types: str) -> Callable[[JsonSchema, JsonSchema], bool]:
    return lambda leaf, _: leaf.get("type") in types


def _is_choice(leaf: JsonSchema, root: JsonSchema) -> bool:
    return leaf.get("type") != "array" and bool(_choices([leaf], root))


_SLIDER_BOUNDS = (("min", ("minimum", "exclusiveMinimum"), "ge"), ("max", ("maximum", "exclusiveMaximum"), "le"))
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

RULES: Mapping[str, FittingRule] = {
    "text": FittingRule("Text", _is_text, _TEXT),
    "textarea": FittingRule("TextArea", _is_text, _TEXT),
    "code": FittingRule("Code", _is_text, _TEXT),
    "markdown": FittingRule("MarkdownEditor", _is_text, _TEXT),
    "number": FittingRule("Number", _is_number, _NUMBER),
    "slider": FittingRule("Slider", _is_number, _NUMBER),
    "checkbox": FittingRule("Checkbox", _is_bool, _YES_OR_NO),
    "switch": FittingRule("Switch", _is_bool, _YES_OR_NO),
    "select": FittingRule("Select", lambda leaf, root: bool(_choices([leaf], root)), f"{_CHOICES}, or a list of them)"),
    "radio": FittingRule("Radio", _is_choice, f"{_CHOICES})"),
    "date": FittingRule(
        "Date", lambda leaf, _: leaf.get("format") in ("date", "date-time"), "days and moments (date, datetime)"
    ),
    "hidden": FittingRule("Hidden", lambda *_: True, "any field"),
    "read-only": FittingRule("ReadOnly", lambda *_: True, "any field"),
}


JsonSchema = Mapping[str, Any]

_MOST: Final = 200
"""Alternatives that are looked at: a type that refers to itself has no end of them."""


def resolved(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    """Return what the schema refers to in the document `root`, or the schema itself."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    found: JsonSchema = root.get("$defs", {}).get(name, {}) if name else schema
    return found


def leaves(schema: JsonSchema, root: JsonSchema) -> list[JsonSchema]:
    """Return everything that a value of the schema may be, except null."""
    found: list[JsonSchema] = []
    waiting, seen = [schema], 0
    while waiting and (seen := seen + 1) < _MOST:
        one = resolved(waiting.pop(0), root)
        parts = [part for key in ("anyOf", "oneOf", "allOf") for part in one.get(key, ())]
        waiting += parts
        if not parts and one.get("type") != "null":
            found.append(one)
    return found


def is_anything(leaf: JsonSchema) -> bool:
    """Return whether the schema says nothing about its values."""
    return not leaf.keys() & {"type", "enum", "const"}


def takes_null(schema: JsonSchema, root: JsonSchema) -> bool:
    """Return whether null is a value of the schema."""
    one = resolved(schema, root)
    parts = [part for key in ("anyOf", "oneOf") for part in one.get(key, ())]
    return one.get("type") == "null" or any(takes_null(part, root) for part in parts)


def properties_of(schema: JsonSchema) -> Mapping[str, Any] | None:
    """Return the properties of an object's schema; None for what isn't an object with known fields."""
    found: Mapping[str, Any] | None = resolved(schema, schema).get("properties")
    return found


def takes_text(schema: JsonSchema) -> bool:
    """Return whether the schema takes a text."""
    return any(is_anything(leaf) or leaf.get("type") == "string" for leaf in leaves(schema, schema))


def choices(found: Sequence[JsonSchema]) -> list[Any]:
    """Return the values of enums, constants and booleans among what a value may be."""
    values: list[Any] = []
    for leaf in found:
        if leaf.get("type") == "boolean":
            values += [True, False]
        else:
            values += [*leaf.get("enum", ()), *([leaf["const"]] if "const" in leaf else ())]
    return values
