"""Reading JSON schemas as Pydantic writes them: references followed, alternatives side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]

_MOST: Final = 200
"""Alternatives that are looked at: a type that refers to itself has no end of them."""


def resolved(schema: Schema, root: Schema) -> Schema:
    """What the schema refers to in the document `root`, or the schema itself."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    found: Schema = root.get("$defs", {}).get(name, {}) if name else schema
    return found


def leaves(schema: Schema, root: Schema) -> list[Schema]:
    """Everything that a value of the schema may be, except null."""
    found: list[Schema] = []
    waiting, seen = [schema], 0
    while waiting and (seen := seen + 1) < _MOST:
        one = resolved(waiting.pop(0), root)
        parts = [part for key in ("anyOf", "oneOf", "allOf") for part in one.get(key, ())]
        waiting += parts
        if not parts and one.get("type") != "null":
            found.append(one)
    return found


def is_anything(leaf: Schema) -> bool:
    """Whether the schema says nothing about its values."""
    return not leaf.keys() & {"type", "enum", "const"}


def takes_null(schema: Schema, root: Schema) -> bool:
    """Whether null is a value of the schema."""
    one = resolved(schema, root)
    parts = [part for key in ("anyOf", "oneOf") for part in one.get(key, ())]
    return one.get("type") == "null" or any(takes_null(part, root) for part in parts)


def properties_of(schema: Schema) -> Mapping[str, Any] | None:
    """The properties of an object's schema; None for what isn't an object with known fields."""
    found: Mapping[str, Any] | None = resolved(schema, schema).get("properties")
    return found


def takes_text(schema: Schema) -> bool:
    """Whether the schema takes a text."""
    return any(is_anything(leaf) or leaf.get("type") == "string" for leaf in leaves(schema, schema))


def choices(found: Sequence[Schema]) -> list[Any]:
    """The values of enums, constants and booleans among what a value may be."""
    values: list[Any] = []
    for leaf in found:
        if leaf.get("type") == "boolean":
            values += [True, False]
        else:
            values += [*leaf.get("enum", ()), *([leaf["const"]] if "const" in leaf else ())]
    return values
