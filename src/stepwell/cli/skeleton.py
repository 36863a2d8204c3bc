"""JSON to begin with, made from a schema: what an editor opens with."""

from __future__ import annotations

from typing import Any

from stepwell.definition.schemas import Schema, choices, leaves, resolved, takes_null

_DEEP = 6
"""Levels that are written out: a type that refers to itself has no end of them."""
_BLANKS: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


def skeleton(schema: Schema, root: Schema, depth: int = 0) -> Any:
    """The default, else null where that fits, else the first choice, else something empty; every field of an object."""
    if "default" in schema:
        return schema["default"]
    if takes_null(schema, root):
        return None
    leaf = resolved((leaves(schema, root) or [{}])[0], root)
    if found := choices([leaf]):
        return False if leaf.get("type") == "boolean" else found[0]
    properties = leaf.get("properties")
    if properties and depth < _DEEP:
        return {name: skeleton(one, root, depth + 1) for name, one in properties.items()}
    return _BLANKS.get(str(leaf.get("type")))
