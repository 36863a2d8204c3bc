"""`stepwell list`: the workflows of an application."""

from __future__ import annotations

from typing import Any

from stepwell.cli.output import put_json, put_table
from stepwell.cli.target import Application, AppName, Json, load_stepwell
from stepwell.definition.codec import Codec
from stepwell.definition.export import to_json


def list_workflows(app: Application = None, app_name: AppName = None, json: Json = False) -> None:
    """The workflows with their arguments. Opens no database."""
    stepwell = load_stepwell(app)
    found = [
        (name, definition)
        for name, one in stepwell.apps.items()
        for definition in one.definitions.values()
        if app_name in (None, name)
    ]
    if json:
        put_json([{"app_name": name, **to_json(definition)} for name, definition in found])
        return
    rows = [(name, d.name, arguments_of(d.args), d.title) for name, d in found]
    put_table(["APP", "WORKFLOW", "ARGUMENTS", "TITLE"], rows)


def arguments_of(codec: Codec[Any] | None) -> str:
    """The arguments in one line; optional ones in brackets."""
    if codec is None:
        return ""
    schema = codec.schema()
    required = schema.get("required", ())
    return " ".join(
        f"{name}={_type(one)}" if name in required else f"[{name}={_type(one)}]"
        for name, one in schema.get("properties", {}).items()
    )


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return "|".join(_type(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    return str(schema.get("format") or schema.get("type") or "any")
