"""`stepwell list` and `stepwell check`: the workflows of an application, and faults of definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepwell.app import App, refuse_unapplied
from stepwell.composition import Stepwell
from stepwell.console.cli.backends.backend import ListedWorkflow
from stepwell.console.cli.backends.target import (
    Application,
    AppName,
    Json,
    Target,
    TokenOption,
    Url,
    backend_of,
    execute,
    load,
)
from stepwell.console.cli.terminal.output import FAILED, put, put_json, put_table, say
from stepwell.definition.authoring.workflow import Workflow, definition_of
from stepwell.definition.compile.export import limit_lines, to_json, to_mermaid
from stepwell.definition.forms.fitting import JsonSchema, choices, leaves, resolved
from stepwell.definition.forms.widgets import in_json
from stepwell.definition.model import Definition
from stepwell.errors import ConfigurationError

if TYPE_CHECKING:
    from stepwell.runner.checking import Misfit


def list_workflows(
    ctx: typer.Context,
    workflow: Annotated[
        str | None, typer.Argument(metavar="[WORKFLOW]", help="One workflow, with its arguments and signals.")
    ] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    app_name: AppName = None,
    json: Json = False,
) -> None:
    """List the workflows with their arguments, or one with all its input. Opens no database."""
    backend = backend_of(ctx, app, url, token)

    async def act() -> Sequence[ListedWorkflow]:
        async with backend.open(runs=False):
            if workflow is not None:
                return [await backend.workflow(workflow, app_name)]
            return await backend.workflows(app_name)

    found = execute(act)
    if json:
        put_json([one.as_json() for one in found] if workflow is None else found[0].as_json())
        return
    if workflow is not None:
        _put_one(found[0])
        return
    rows = [(one.app_name, one.name, arguments_of(one.args), one.described["title"]) for one in found]
    put_table(["APP", "WORKFLOW", "ARGUMENTS", "TITLE"], rows)


def _put_one(one: ListedWorkflow) -> None:
    put(f"{one.app_name}/{one.name}: {one.described['title']}")
    if one.described["description"]:
        put(f"  {one.described['description']}")
    _put_fields("arguments", one.args)
    signals = {t["name"]: t["payload"] for t in one.described["transitions"] if t["kind"] == "signal"}
    for name, payload in signals.items():
        _put_fields(f"signal {name}", payload["schema"] if payload else {})


def _put_fields(title: str, schema: JsonSchema) -> None:
    """Print the fields with their types, defaults and descriptions, one per line."""
    model = resolved(schema, schema)
    properties = model.get("properties", {})
    required = model.get("required", ())
    if not properties:
        put(f"{title}: {type_of(schema) if schema else 'none'}")
        return
    put(f"{title}:")
    rows = [
        (
            f"  {name}",
            _values_of(field, schema),
            "required"
            if name in required
            else f"default {in_json(field['default'])}"
            if "default" in field
            else "optional",
            resolved(field, schema).get("description") or field.get("description"),
        )
        for name, field in properties.items()
    ]
    put_table(["  FIELD", "TYPE", "", ""], rows)


def _values_of(field: JsonSchema, root: JsonSchema) -> str:
    values = [value for leaf in leaves(field, root) if leaf.get("type") != "boolean" for value in choices([leaf])]
    return "|".join(map(in_json, values)) or type_of(field)


def arguments_of(schema: JsonSchema) -> str:
    """Return the arguments in one line; optional ones in brackets."""
    model = resolved(schema, schema)
    required = model.get("required", ())
    return " ".join(
        f"{name}={type_of(one)}" if name in required else f"[{name}={type_of(one)}]"
        for name, one in model.get("properties", {}).items()
    )


def type_of(schema: JsonSchema) -> str:
    """Return the type in one word."""
    if "anyOf" in schema:
        return "|".join(type_of(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    return str(schema.get("format") or schema.get("type") or "any")


def check(
    target: Target,
    database: Annotated[
        bool,
        typer.Option(
            "--database", help="Check the runs in flight instead: exit 1 if there are any that it can't carry on."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Compile all definitions and draw them. Takes a Stepwell, an App or a workflow class; opens no database.

    With --database: list the runs in flight that this code can't carry on, and why. Changes nothing; needs a Stepwell.
    """
    if database:
        _check_database(target, json=json)
        return
    found = definitions_of(target, load(target))
    if json:
        put_json([{"app_name": app, **to_json(one), "mermaid": to_mermaid(one)} for app, one in found])
    else:
        for app, one in found:
            put(f"%% {app + '/' if app else ''}{one.name}: {one.title}")
            if arguments := arguments_of(one.args.schema() if one.args else {}):
                put(f"%% arguments: {arguments}")
            for line in limit_lines(one):
                put(f"%% limits: {line}")
            put(to_mermaid(one))
    say(f"{len(found)} workflows, no faults.")


def _check_database(target: str, *, json: bool) -> None:
    from stepwell.console.cli.backends.local import opened

    stepwell = load(target)
    if not isinstance(stepwell, Stepwell):
        raise ConfigurationError(
            f"{target!r} is of type {type(stepwell).__name__}: --database needs a Stepwell, which knows its database."
        )

    async def act() -> Sequence[Misfit]:
        async with opened(stepwell, nothing="no run is in flight"):
            return await stepwell.check()

    found = execute(act)
    if json:
        put_json([one.model_dump(mode="json") for one in found])
    for one in () if json else found:
        where = f"of version {one.workflow_version} at {one.place!r}, such as {one.example}"
        put(f"{one.app_name}/{one.workflow}: {_many(one.runs)} {where}")
        put(f"  {one.reason}")
    say(f"This code can't carry on {_many(sum(one.runs for one in found))}." if found else "Every run fits.")
    if found:
        raise typer.Exit(FAILED)


def _many(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def definitions_of(target: str, found: Any) -> list[tuple[str | None, Definition]]:
    """Return (app, definition) for everything in it. Raises ConfigurationError, DefinitionError."""
    if isinstance(found, Stepwell):
        refuse_unapplied(found.apps.values())
        return [(app.name, one) for app in found.apps.values() for one in app.definitions.values()]
    if isinstance(found, App):
        refuse_unapplied([found])
        return [(found.name, one) for one in found.definitions.values()]
    if isinstance(found, type) and issubclass(found, Workflow):
        return [(None, definition_of(found))]
    kind = type(found).__name__
    raise ConfigurationError(f"{target!r} is of type {kind}: name a Stepwell, an App or a workflow class.")
