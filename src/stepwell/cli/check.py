"""`stepwell check MODULE:ATTR`: the definitions, and what is wrong with them."""

from __future__ import annotations

from typing import Any

from stepwell.app import App, Stepwell
from stepwell.cli.list import arguments_of
from stepwell.cli.output import put, put_json, say
from stepwell.cli.target import Json, Target, load
from stepwell.definition.export import to_json, to_mermaid
from stepwell.definition.model import Definition
from stepwell.definition.workflow import Workflow, definition_of
from stepwell.errors import ConfigurationError


def check(target: Target, json: Json = False) -> None:
    """Make all definitions and draw them. Takes a Stepwell, an App or a workflow class; opens no database."""
    found = definitions_of(target, load(target))
    if json:
        put_json([{"app_name": app, **to_json(one), "mermaid": to_mermaid(one)} for app, one in found])
    else:
        for app, one in found:
            _draw(app, one)
    say(f"{len(found)} workflows, no faults.")


def definitions_of(target: str, found: Any) -> list[tuple[str | None, Definition]]:
    """(app, definition) of everything in it. Raises ConfigurationError, DefinitionError."""
    if isinstance(found, Stepwell):
        return [(app.name, one) for app in found.apps.values() for one in app.definitions.values()]
    if isinstance(found, App):
        return [(found.name, one) for one in found.definitions.values()]
    if isinstance(found, type) and issubclass(found, Workflow):
        return [(None, definition_of(found))]
    kind = type(found).__name__
    raise ConfigurationError(f"{target!r} is of type {kind}: name a Stepwell, an App or a workflow class.")


def _draw(app: str | None, one: Definition) -> None:
    put(f"%% {app + '/' if app else ''}{one.name}: {one.title}")
    if arguments := arguments_of(one.args.schema() if one.args else {}):
        put(f"%% arguments: {arguments}")
    put(to_mermaid(one))
