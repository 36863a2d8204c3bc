"""Conversion of `k=v` on the command line to JSON values, by the schema of the type that takes them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from stepwell.definition.forms.fitting import JsonSchema, is_anything, leaves, resolved, takes_text
from stepwell.errors import ConfigurationError
from stepwell.nearest import suggestion
from stepwell.runner.arguments import MAX_DELAY

_UNITS: Final = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)", re.ASCII)


def mapping(pairs: Sequence[str], schema: JsonSchema) -> dict[str, Any]:
    """Return the values by name. Raises ConfigurationError for what isn't k=v or can't be read."""
    properties = resolved(schema, schema).get("properties", {})
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise ConfigurationError(f"{pair!r} isn't NAME=VALUE. Give one of: {', '.join(properties) or 'nothing'}.")
        if name in found:
            raise ConfigurationError(f"{name!r} is given twice: give it once.")
        if name not in properties and is_closed(schema):
            raise ConfigurationError(f"{pair!r}: there is no {name!r}; {suggestion(name, properties)}")
        found[name] = coerced(read(text), properties.get(name, {}), schema)
    return found


def payload(given: Sequence[str], schema: JsonSchema) -> Any:
    """Return the payload of a signal: its fields by name, or one value where it has no fields. Raises ConfigurationError."""
    fields = any(is_object(leaf) for leaf in leaves(schema, schema))
    pair = "=" in given[0] and not given[0].lstrip().startswith("{") if given else False
    if len(given) == 1 and not (fields and pair):
        found = coerced(read(given[0]), schema, schema)
        if not fields or isinstance(found, dict) or takes_text(schema):
            return found
    if schema and not fields:
        raise ConfigurationError(f"{' '.join(given)!r}: it takes one value. Put it in quotes, or give --data JSON.")
    return mapping(given, schema)


def is_object(leaf: JsonSchema) -> bool:
    return is_anything(leaf) or leaf.get("type") == "object"


def is_closed(schema: JsonSchema) -> bool:
    """Return whether the schema allows only the fields that it lists."""
    model = resolved(schema, schema)
    return "properties" in model and not model.get("additionalProperties")


def read(text: str) -> str:
    """Return the text itself, or that of the file after `@`; `@-` is stdin. Raises ConfigurationError."""
    if not text.startswith("@"):
        return text
    try:
        return sys.stdin.read() if text == "@-" else Path(text[1:]).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{text!r} can't be read: {error}") from error


def coerced(text: str, schema: JsonSchema, root: JsonSchema) -> Any:
    """Return the JSON value of a text; the text itself where the schema takes texts, or where it isn't JSON."""
    if takes_texts(schema, root):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def takes_texts(schema: JsonSchema, root: JsonSchema) -> bool:
    """Return whether a schema takes texts; one that allows anything doesn't count."""
    return any(
        leaf.get("type") == "string" or any(isinstance(one, str) for one in (*leaf.get("enum", ()), leaf.get("const")))
        for leaf in leaves(schema, root)
    )


def whole(text: str) -> Any:
    """Return the JSON value of `--data`, which may be `@file` or `@-`. Raises ConfigurationError."""
    found = read(text)
    try:
        return json.loads(found)
    except ValueError as error:
        raise ConfigurationError(f"--data isn't JSON ({error}). A text needs its quotes: --data '\"text\"'.") from error


def begins(delay: str | None, at: str | None) -> tuple[timedelta | None, datetime | None]:
    """Return the values of `--delay` and `--at`, of which at most one is given. Raises ConfigurationError."""
    if delay is not None and at is not None:
        raise ConfigurationError("--delay and --at: give one of them.")
    return (None if delay is None else delay_of(delay)), (None if at is None else moment_of(at))


def delay_of(text: str, option: str = "--delay") -> timedelta:
    """Return a duration: a number of seconds, or one with its unit. Raises ConfigurationError."""
    found = _DELAY.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{option} {text!r}: give seconds, or a number with s, m, h or d, as in 90, 15m, 2h.")
    delay = timedelta(**{_UNITS[found[2]]: float(found[1])})
    if delay > MAX_DELAY:
        raise ConfigurationError(f"{option} {text!r}: at most {MAX_DELAY.days} days.")
    return delay


def moment_of(text: str) -> datetime:
    """Return an aware time, in this machine's zone unless it has another. Raises ConfigurationError."""
    try:
        found = datetime.fromisoformat(text.strip())
        return found.astimezone() if found.tzinfo is None else found
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"--at {text!r}: give a time as in 2030-01-31T08:00, or with its zone, 2030-01-31T08:00+01:00."
        ) from error
