"""MODULE:ATTR: the application that a command is about."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from stepwell.app import App, Stepwell
from stepwell.errors import ConfigurationError, StepwellError
from stepwell.settings import Settings

T = TypeVar("T")

Target = Annotated[str, typer.Argument(metavar="MODULE:ATTR", help="The Stepwell, as in orders.main:stepwell.")]
Application = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:ATTR", envvar="STEPWELL_APP", help="The Stepwell of the application."),
]
AppName = Annotated[str | None, typer.Option("--app-name", help="The App, where several list the workflow.")]
User = Annotated[str | None, typer.Option("--user", help="Only what belongs to this user.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, and nothing else.")]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The run.")]


def load(target: str | None) -> Any:
    """The object that MODULE:ATTR names. Raises ConfigurationError: what is wrong and how to mend it, in one line."""
    if not target:
        raise ConfigurationError(
            "No application: give --app MODULE:ATTR or set STEPWELL_APP, as in orders.main:stepwell."
        )
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(
            f"{target!r} isn't MODULE:ATTR: name a module and an object in it, as orders.main:stepwell."
        )
    found: Any = _imported(target, module)
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f"{target!r}: {module!r} has no {attribute!r}. {_offered(found)}")
        found = getattr(found, name)
    return found


def _imported(target: str, module: str) -> Any:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return import_module(module)
    except StepwellError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"{target!r}: there is no module {error.name!r} in {folder}. Run this in the folder that holds it."
            ) from error
        raise ConfigurationError(f"{target!r}: importing it failed: {error}. Install what it needs.") from error
    except Exception as error:
        if isinstance(error, ValidationError) and error.title == Settings.__name__:
            raise _unfit(error) from error
        what = " ".join(str(error).split())
        raise ConfigurationError(f"{target!r}: importing it failed with {type(error).__name__}: {what}") from error


def environments_settings() -> Settings:
    """What the environment sets. Raises ConfigurationError."""
    try:
        return Settings()
    except ValidationError as error:
        raise _unfit(error) from error


def _unfit(error: ValidationError) -> ConfigurationError:
    """What is wrong with which setting, wherever it was set."""
    faults = [
        f"{'.'.join(map(str, one['loc']))}={one['input']!r}: {one['msg']}" for one in error.errors(include_url=False)
    ]
    return ConfigurationError(
        f"Settings: {'; '.join(faults)}. Mend it where it was set: in the code, by STEPWELL_..., or in .env."
    )


def _offered(module: Any) -> str:
    found = [name for name, value in vars(module).items() if isinstance(value, Stepwell)]
    return (
        f"It has {', '.join(map(repr, found))}." if found else "It has no Stepwell: make one with Stepwell(apps=[...])."
    )


def load_stepwell(target: str | None) -> Stepwell:
    """The Stepwell of an application. Raises ConfigurationError."""
    found = load(target)
    if not isinstance(found, Stepwell):
        raise ConfigurationError(f"{target!r} is {_kind(found)}, not a Stepwell: name the Stepwell(apps=[...]) object.")
    return found


def _kind(found: Any) -> str:
    return "an App" if isinstance(found, App) else f"of type {type(found).__name__}"


@asynccontextmanager
async def opened(stepwell: Stepwell, *, worker: bool = False) -> AsyncIterator[Stepwell]:
    """The open Stepwell, executing runs only if it is to."""
    stepwell.embedded_worker = worker
    async with stepwell:
        yield stepwell


def execute(act: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine returned."""
    import asyncio
    import logging

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    return asyncio.run(act())
