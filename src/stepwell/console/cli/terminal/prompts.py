"""Questions of a run in the terminal: which of several answers, and the fields of its payload."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stepwell.console.cli.terminal.arguments import coerced
from stepwell.console.cli.terminal.output import plain, say
from stepwell.console.reading.views import OpenSignal
from stepwell.definition.forms.fitting import JsonSchema, choices, leaves, resolved, takes_null
from stepwell.definition.forms.widgets import ORDER, WIDGET, in_json

_MOST_FIELDS: Final = 6
"""Fields of a form, at most: a longer one is written in an editor."""
_LEFT_ALONE: Final = ("hidden", "read-only")
_SCALARS: Final = ("string", "integer", "number", "boolean")
_YES: Final = ("y", "yes")
_NO: Final = ("n", "no")
_DEEP = 6
"""Levels that are written out: a type that refers to itself has infinitely many."""
_BLANKS: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


class TypedAnswer(NamedTuple):
    """A signal to send."""

    transition: str
    data: Any


async def ask_which(place: str, asks: Sequence[OpenSignal]) -> OpenSignal | None:
    """Return the signal to answer; None: none of them now. Raises EOFError at Ctrl-D."""
    if len(asks) == 1:
        said = f": {asks[0].description}" if asks[0].description else ""
        say(f"The run waits at {place} for {asks[0].title!r}{said} (Ctrl-D leaves it waiting)")
        return asks[0]
    say(f"The run waits at {place}. Choose an answer:")
    titles = [one.title + (f": {one.description}" if one.description else "") for one in asks]
    chosen = await _one_of("Choose", [*titles, "Leave it waiting"], None)
    return asks[chosen] if chosen < len(asks) else None


async def ask_payload(ask: OpenSignal, before: Any = None) -> TypedAnswer | None:
    """Return the answer with its payload; None: nothing is to be sent. `before`: a refused payload to begin with.

    Raises EOFError at Ctrl-D.
    """
    schema = ask.payload_schema
    fields = None if schema is None else _fields(schema)
    if schema is None or fields == {}:
        data: Any = None if schema is None else {}
        return TypedAnswer(ask.transition, data) if await _confirm(f"{ask.title}?", None) else None
    if fields is not None:
        given = before if isinstance(before, Mapping) else {}
        return TypedAnswer(ask.transition, await _form(fields, schema, given))
    if _is_short(schema, schema):
        found = await _value(ask.title, schema, schema, _TypedValue(required=True, default=before))
        return TypedAnswer(ask.transition, None if found is _NOTHING else found)
    if offered := _listed(schema):
        return TypedAnswer(ask.transition, await _several(ask.title, schema, offered))
    written = await _written(ask, schema, before)
    return None if written is _NOTHING else TypedAnswer(ask.transition, written)


# -- forms ----------------------------------------------------------------------------------------------------------------


def _fields(schema: JsonSchema) -> Mapping[str, JsonSchema] | None:
    """Return the fields of a form that is short enough to be asked line by line, in order; None: it isn't."""
    model = resolved(schema, schema)
    properties: Mapping[str, JsonSchema] = model.get("properties", {})
    order = [*model.get(ORDER, ()), *(name for name in properties if name not in model.get(ORDER, ()))]
    shown = {
        name: properties[name] for name in order if properties[name].get(WIDGET, {}).get("type") not in _LEFT_ALONE
    }
    required = [name for name in model.get("required", ()) if name not in shown]
    if "properties" not in model or required or len(shown) > _MOST_FIELDS or model.get("additionalProperties"):
        return None
    return shown if all(_is_short(one, schema) for one in shown.values()) else None


def _is_short(field: JsonSchema, root: JsonSchema) -> bool:
    found = leaves(field, root)
    return bool(found) and all(leaf.get("type") in _SCALARS or choices([leaf]) for leaf in found)


async def _form(fields: Mapping[str, JsonSchema], root: JsonSchema, before: Mapping[str, Any]) -> dict[str, Any]:
    required = resolved(root, root).get("required", ())
    answers: dict[str, Any] = {}
    for name, field in fields.items():
        default = before.get(name, field.get("default", _NOTHING))
        given = _TypedValue(required=name in required, default=default)
        found = await _value(field.get("title", name), field, root, given)
        if found is not _NOTHING:
            answers[name] = found
    return answers


# -- single values --------------------------------------------------------------------------------------------------------


class _NoAnswer:
    """No value: the field is left out."""


_NOTHING: Final = _NoAnswer()


class _TypedValue(NamedTuple):
    required: bool
    default: Any = _NOTHING

    @property
    def shown(self) -> str:
        """The default, as it is shown in the prompt."""
        return f" [{in_json(self.default)}]" if self.default not in (_NOTHING, None, "") else ""


async def _value(title: str, field: JsonSchema, root: JsonSchema, given: _TypedValue) -> Any:
    found = leaves(field, root)
    said = f"{title} ({field['description']})" if field.get("description") else title
    if all(leaf.get("type") == "boolean" for leaf in found) and not field.get(WIDGET, {}).get("labels"):
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


async def _choice(title: str, field: JsonSchema, values: list[Any], nullable: bool, given: _TypedValue) -> Any:
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


def _listed(schema: JsonSchema) -> list[Any]:
    """Return the choices of an answer that is a list of them; none of any other answer."""
    found = leaves(schema, schema)
    items = found[0].get("items") if len(found) == 1 and found[0].get("type") == "array" else None
    one = leaves(items, schema) if isinstance(items, Mapping) else []
    return choices(one) if all(choices([leaf]) for leaf in one) else []


async def _several(title: str, schema: JsonSchema, offered: Sequence[Any]) -> list[Any]:
    [model] = leaves(schema, schema)
    shown = [in_json(value) for value in offered]
    say(f"{title}:")
    if model.get("maxItems") == 1 == model.get("minItems"):
        return [offered[await _one_of("Choose", shown, None)]]
    for number, text in enumerate(shown, start=1):
        say(f"  {number}) {text}")
    while True:
        said = (await line(f"Choose any of 1 to {len(shown)}, with commas between them: ")).replace(",", " ").split()
        if all(one.isdecimal() and 1 <= int(one) <= len(shown) for one in said):
            return [offered[one] for one in dict.fromkeys(int(one) - 1 for one in said)]
        say(f"Write numbers from 1 to {len(shown)}, as in 1, 2; or nothing for none of them.")


async def _text(title: str, field: JsonSchema, root: JsonSchema, given: _TypedValue) -> Any:
    while True:
        said = await line(f"{title}{given.shown}: ")
        if said:
            found = coerced(said, dict(field), dict(root))
            if isinstance(found, str) and not any(
                leaf.get("type") == "string" or choices([leaf]) for leaf in leaves(field, root)
            ):
                say(f"{said!r} isn't a number.")
                continue
            return found
        if given.default is not _NOTHING and given.default is not None:
            return given.default
        if takes_null(field, root):
            return None
        if not given.required:
            return _NOTHING
        say("A value is required.")


# -- the editor -----------------------------------------------------------------------------------------------------------


async def _written(ask: OpenSignal, schema: JsonSchema, before: Any) -> Any:
    """Return the JSON that was written in an editor; nothing if it was closed without saving."""
    begun = skeleton(schema, schema) if before is None else before
    text = json.dumps(begun, indent=2, ensure_ascii=False) + "\n"
    say(f"Write {ask.title!r} in an editor: save the file to send it, or close it without saving to send nothing.")
    if not await _confirm("Open the editor?", True):
        return _NOTHING
    while True:
        saved = await _edited(text)
        if saved is None:
            return _NOTHING
        try:
            return json.loads(saved)
        except ValueError as error:
            say(f"The text isn't valid JSON: {error}.")
            if not await _confirm("Edit it again?", True):
                return _NOTHING
            text = saved


async def _edited(text: str) -> str | None:
    """Return the saved text; None if nothing was saved. The editor is never closed while the user has it open."""
    import click

    editing = asyncio.create_task(asyncio.to_thread(click.edit, text, extension=".json"))
    try:
        saved = await asyncio.shield(editing)
    except asyncio.CancelledError:
        await asyncio.wait({editing})
        raise
    return None if saved is None else str(saved)


def is_interactive() -> bool:
    """Return whether a person can be asked: stdin and stderr are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def line(question: str) -> str:
    """Return what was typed up to Enter. Raises EOFError at Ctrl-D on an empty line.

    When it is cancelled, the terminal is at the beginning of a new line, and what was typed is discarded.
    """
    sys.stderr.write(plain(question))
    sys.stderr.flush()
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
    written: asyncio.Future[str] = loop.create_future()
    loop.add_reader(fd, _reader(fd, written))
    try:
        return await written
    except asyncio.CancelledError:
        termios.tcflush(fd, termios.TCIFLUSH)
        sys.stderr.write("\n")
        sys.stderr.flush()
        raise
    finally:
        loop.remove_reader(fd)


def _reader(fd: int, written: asyncio.Future[str]) -> Callable[[], None]:
    found = bytearray()

    def read() -> None:
        # The terminal returns whole lines; part of a line after Ctrl-D, and nothing if that line was empty.
        part = os.read(fd, 65_536)
        found.extend(part)
        if written.done() or (part and not part.endswith(b"\n")):
            return
        if found:
            written.set_result(found.decode(errors="replace").rstrip("\r\n"))
        else:
            sys.stderr.write("\n")
            written.set_exception(EOFError())

    return read


def skeleton(schema: JsonSchema, root: JsonSchema, depth: int = 0) -> Any:
    """Return the default, else null if that fits, else the first choice, else an empty value; objects with all fields."""
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
