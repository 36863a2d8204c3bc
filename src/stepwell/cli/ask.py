"""What a run waits for, asked in the terminal: which of several answers, and the fields of its payload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from stepwell.cli.arguments import coerced
from stepwell.cli.output import say
from stepwell.cli.skeleton import skeleton
from stepwell.cli.terminal import line
from stepwell.definition.schemas import Schema, choices, leaves, resolved, takes_null
from stepwell.definition.widgets import ORDER, WIDGET, in_json
from stepwell.runner.views import Ask

_MOST_FIELDS: Final = 6
"""A form with more fields than this is written in an editor."""
_LEFT_ALONE: Final = ("hidden", "read-only")
_SCALARS: Final = ("string", "integer", "number", "boolean")
_YES: Final = ("y", "yes")
_NO: Final = ("n", "no")


class Answer(NamedTuple):
    """A signal to send."""

    transition: str
    data: Any


async def ask_which(place: str, asks: Sequence[Ask]) -> Ask | None:
    """The one to answer; None: none of them now. Raises EOFError at Ctrl-D."""
    if len(asks) == 1:
        said = f": {asks[0].description}" if asks[0].description else ""
        say(f"It waits at {place} for {asks[0].title!r}{said} (Ctrl-D leaves it waiting)")
        return asks[0]
    say(f"It waits at {place}. What now?")
    titles = [one.title + (f": {one.description}" if one.description else "") for one in asks]
    chosen = await _one_of("Choose", [*titles, "Leave it waiting"], None)
    return asks[chosen] if chosen < len(asks) else None


async def ask_payload(ask: Ask, before: Any = None) -> Answer | None:
    """The answer with its payload; None: nothing is to be sent. `before`: what was refused, to begin with.

    Raises EOFError at Ctrl-D.
    """
    schema = ask.payload_schema
    fields = None if schema is None else _fields(schema)
    if schema is None or fields == {}:
        data: Any = None if schema is None else {}
        return Answer(ask.transition, data) if await _confirm(f"{ask.title}?", None) else None
    if fields is not None:
        given = before if isinstance(before, Mapping) else {}
        return Answer(ask.transition, await _form(fields, schema, given))
    if _is_short(schema, schema):
        found = await _value(ask.title, schema, schema, _Given(required=True, default=before))
        return Answer(ask.transition, None if found is _NOTHING else found)
    written = await _written(ask, schema, before)
    return None if written is _NOTHING else Answer(ask.transition, written)


# -- forms ----------------------------------------------------------------------------------------------------------------


def _fields(schema: Schema) -> Mapping[str, Schema] | None:
    """The fields of a form that is short enough to be asked line by line, in their order; None: it isn't."""
    model = resolved(schema, schema)
    properties: Mapping[str, Schema] = model.get("properties", {})
    order = [*model.get(ORDER, ()), *(name for name in properties if name not in model.get(ORDER, ()))]
    shown = {name: properties[name] for name in order if not _is_left_alone(properties[name])}
    required = [name for name in model.get("required", ()) if name not in shown]
    if "properties" not in model or required or len(shown) > _MOST_FIELDS or model.get("additionalProperties"):
        return None
    return shown if all(_is_short(one, schema) for one in shown.values()) else None


def _is_left_alone(field: Schema) -> bool:
    return field.get(WIDGET, {}).get("type") in _LEFT_ALONE


def _is_short(field: Schema, root: Schema) -> bool:
    found = leaves(field, root)
    return bool(found) and all(leaf.get("type") in _SCALARS or choices([leaf]) for leaf in found)


async def _form(fields: Mapping[str, Schema], root: Schema, before: Mapping[str, Any]) -> dict[str, Any]:
    required = resolved(root, root).get("required", ())
    told: dict[str, Any] = {}
    for name, field in fields.items():
        default = before.get(name, field.get("default", _NOTHING))
        given = _Given(required=name in required, default=default)
        found = await _value(field.get("title", name), field, root, given)
        if found is not _NOTHING:
            told[name] = found
    return told


# -- single values --------------------------------------------------------------------------------------------------------


class _Nothing:
    """No value: the field is left out."""


_NOTHING: Final = _Nothing()


class _Given(NamedTuple):
    required: bool
    default: Any = _NOTHING

    @property
    def shown(self) -> str:
        """The default, as it is offered."""
        return f" [{in_json(self.default)}]" if self.default not in (_NOTHING, None, "") else ""


async def _value(title: str, field: Schema, root: Schema, given: _Given) -> Any:
    found = leaves(field, root)
    said = f"{title} ({field['description']})" if field.get("description") else title
    if all(leaf.get("type") == "boolean" for leaf in found):
        return await _confirm(f"{said}?", given.default if isinstance(given.default, bool) else None)
    if all(choices([leaf]) for leaf in found):
        return await _choice(said, field, choices(found), takes_null(field, root), given)
    return await _text(said, field, root, given)


async def _confirm(question: str, default: bool | None) -> bool:
    offered = {True: "[Y/n]", False: "[y/N]", None: "[y/n]"}[default]
    while True:
        said = (await line(f"{question} {offered} ")).strip().lower()
        if said in _YES or (not said and default is True):
            return True
        if said in _NO or (not said and default is False):
            return False
        say("Answer y or n.")


async def _choice(title: str, field: Schema, values: list[Any], nullable: bool, given: _Given) -> Any:
    labels = field.get(WIDGET, {}).get("labels", {})
    shown = [labels.get(in_json(value), in_json(value)) for value in values]
    default = values.index(given.default) if given.default in values else None
    if default is None and (nullable or not given.required):
        values, shown, default = [*values, None if nullable else _NOTHING], [*shown, "none of them"], len(values)
    say(f"{title}:")
    return values[await _one_of("Choose", shown, default)]


async def _one_of(question: str, shown: Sequence[str], default: int | None) -> int:
    for number, text in enumerate(shown, start=1):
        say(f"  {number}) {text}")
    offered = f" [{default + 1}]" if default is not None else ""
    while True:
        said = (await line(f"{question} 1 to {len(shown)}{offered}: ")).strip()
        if not said and default is not None:
            return default
        if said.isdecimal() and 1 <= int(said) <= len(shown):
            return int(said) - 1
        if said in shown:
            return shown.index(said)
        say(f"Choose a number from 1 to {len(shown)}.")


async def _text(title: str, field: Schema, root: Schema, given: _Given) -> Any:
    while True:
        said = await line(f"{title}{given.shown}: ")
        if said:
            found = coerced(said, dict(field), dict(root))
            if isinstance(found, str) and not _takes_text(field, root):
                say(f"{said!r} isn't a number.")
                continue
            return found
        if given.default is not _NOTHING and given.default is not None:
            return given.default
        if takes_null(field, root):
            return None
        if not given.required:
            return _NOTHING
        say("It is needed.")


def _takes_text(field: Schema, root: Schema) -> bool:
    return any(leaf.get("type") == "string" or choices([leaf]) for leaf in leaves(field, root))


# -- the editor -----------------------------------------------------------------------------------------------------------


async def _written(ask: Ask, schema: Schema, before: Any) -> Any:
    """The JSON that was written in an editor; nothing if it was closed without saving."""
    begun = skeleton(schema, schema) if before is None else before
    text = json.dumps(begun, indent=2, ensure_ascii=False) + "\n"
    say(f"{ask.title!r} is written in an editor: save it to send it, close it without saving to leave it.")
    if not await _confirm("Open the editor?", True):
        return _NOTHING
    while True:
        saved = await _edited(text)
        if saved is None:
            return _NOTHING
        try:
            return json.loads(saved)
        except ValueError as error:
            say(f"It isn't JSON: {error}.")
            if not await _confirm("Edit it again?", True):
                return _NOTHING
            text = saved


async def _edited(text: str) -> str | None:
    """The saved text; None if nothing was saved. An editor is never closed for whoever uses it."""
    import click

    editing = asyncio.create_task(asyncio.to_thread(click.edit, text, extension=".json"))
    try:
        saved = await asyncio.shield(editing)
    except asyncio.CancelledError:
        await asyncio.wait({editing})
        raise
    return None if saved is None else str(saved)
