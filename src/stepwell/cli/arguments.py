"""`k=v` on the command line becomes JSON values, by the schema of the type that takes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepwell.definition.schemas import Schema, leaves, resolved
from stepwell.errors import ConfigurationError


def mapping(pairs: Sequence[str], schema: Schema) -> dict[str, Any]:
    """The values by name. Raises ConfigurationError for what isn't k=v or can't be read."""
    properties = resolved(schema, schema).get("properties", {})
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise ConfigurationError(f"{pair!r} isn't NAME=VALUE. Give one of: {', '.join(properties) or 'nothing'}.")
        found[name] = coerced(read(text), properties.get(name, {}), schema)
    return found


def read(text: str) -> str:
    """The text itself, or that of the file after `@`; `@-` is stdin. Raises ConfigurationError."""
    if not text.startswith("@"):
        return text
    try:
        return sys.stdin.read() if text == "@-" else Path(text[1:]).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{text!r} can't be read: {error}") from error


def coerced(text: str, schema: Schema, root: Schema) -> Any:
    """The JSON value of a text; the text itself where the schema takes texts, or where it isn't JSON."""
    if takes_texts(schema, root):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def takes_texts(schema: Schema, root: Schema) -> bool:
    """Whether a text is what the schema is for; nothing said isn't that."""
    return any(
        leaf.get("type") == "string" or any(isinstance(one, str) for one in (*leaf.get("enum", ()), leaf.get("const")))
        for leaf in leaves(schema, root)
    )


def whole(text: str) -> Any:
    """The JSON value of `--data`, which may be `@file` or `@-`. Raises ConfigurationError."""
    found = read(text)
    try:
        return json.loads(found)
    except ValueError as error:
        raise ConfigurationError(f"--data isn't JSON ({error}). A text needs its quotes: --data '\"text\"'.") from error
