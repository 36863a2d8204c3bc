"""`stepwell list`: the workflows of an application."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from stepwell.cli.backend import Listed
from stepwell.cli.output import put_json, put_table
from stepwell.cli.target import Application, AppName, Json, execute
from stepwell.cli.where import Token, Url, backend_of
from stepwell.definition.schemas import Schema, resolved


def list_workflows(
    ctx: typer.Context,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    app_name: AppName = None,
    json: Json = False,
) -> None:
    """The workflows with their arguments. Opens no database."""
    backend = backend_of(ctx, app, url, token)

    async def act() -> Sequence[Listed]:
        async with backend.open(runs=False):
            return await backend.workflows(app_name)

    found = execute(act)
    if json:
        put_json([one.as_json() for one in found])
        return
    rows = [(one.app_name, one.name, arguments_of(one.args), one.told["title"]) for one in found]
    put_table(["APP", "WORKFLOW", "ARGUMENTS", "TITLE"], rows)


def arguments_of(schema: Schema) -> str:
    """The arguments in one line; optional ones in brackets."""
    model = resolved(schema, schema)
    required = model.get("required", ())
    return " ".join(
        f"{name}={_type(one)}" if name in required else f"[{name}={_type(one)}]"
        for name, one in model.get("properties", {}).items()
    )


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return "|".join(_type(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    return str(schema.get("format") or schema.get("type") or "any")
