"""The application (MODULE:ATTR) or the server that a command is about, and the options that name it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from pydantic import ValidationError

from stepwell.app import App
from stepwell.composition import Stepwell
from stepwell.console.cli.backends.backend import CommandBackend
from stepwell.console.cli.backends.local import Local
from stepwell.console.cli.terminal.arguments import read
from stepwell.console.cli.terminal.output import say
from stepwell.errors import ConfigurationError, StepwellError
from stepwell.runner.models import Run
from stepwell.settings import Settings

if TYPE_CHECKING:
    from stepwell.console.cli.backends.remote import Remote

T = TypeVar("T")
Target = Annotated[str, typer.Argument(metavar="MODULE:ATTR", help="The Stepwell, as in orders.main:stepwell.")]
Application = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:ATTR", envvar="STEPWELL_APP", help="The Stepwell of the application."),
]
AppName = Annotated[str | None, typer.Option("--app-name", help="The App, if several list the workflow.")]
User = Annotated[str | None, typer.Option("--user", help="Only what belongs to this user.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The run.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        envvar="STEPWELL_URL",
        help="The URL of a server with Stepwell's API, instead of an application.",
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="@FILE",
        envvar="STEPWELL_TOKEN",
        show_default=False,
        help="A token for it; @FILE and @- read it, so that the list of processes doesn't show it.",
    ),
]
_RANKS: Final = {"DEFAULT_MAP": 1, "ENVIRONMENT": 2, "COMMANDLINE": 3}
"""Precedence of the sources of options: `.env`, then the environment, then the command line."""
_GIVEN: Final = 3


def load(target: str | None) -> Any:
    """Return the object that MODULE:ATTR names. Raises ConfigurationError: what is wrong and how to fix it, in one line."""
    if not target:
        raise ConfigurationError(
            "No application: give --app MODULE:ATTR or set STEPWELL_APP, as in orders.main:stepwell."
        )
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(
            f"{target!r} isn't MODULE:ATTR: name a module and an object in it, as in orders.main:stepwell."
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


def settings_of(app: str | None = None) -> Settings:
    """Return the settings of an application; without one, those of the environment. Raises ConfigurationError."""
    if app:
        return load_stepwell(app).settings
    try:
        return Settings()
    except ValidationError as error:
        raise _unfit(error) from error


def _unfit(error: ValidationError) -> ConfigurationError:
    """Return the error for invalid settings, wherever they were set."""
    # Without the values: one may be a secret in the wrong place.
    faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
    return ConfigurationError(
        f"Settings: {'; '.join(faults)}. Fix it where it was set: in the code, by STEPWELL_..., or in .env."
    )


def _offered(module: Any) -> str:
    found = [name for name, value in vars(module).items() if isinstance(value, Stepwell)]
    return (
        f"It has {', '.join(map(repr, found))}." if found else "It has no Stepwell: make one with Stepwell(apps=[...])."
    )


def load_stepwell(target: str | None) -> Stepwell:
    """Return the Stepwell of an application. Raises ConfigurationError."""
    found = load(target)
    if not isinstance(found, Stepwell):
        kind = "an App" if isinstance(found, App) else f"of type {type(found).__name__}"
        raise ConfigurationError(f"{target!r} is {kind}, not a Stepwell: name the Stepwell(apps=[...]) object.")
    return found


def execute(act: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine, and return its result."""
    import asyncio
    import logging

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    return asyncio.run(act())


def backend_of(
    ctx: typer.Context, app: str | None, url: str | None, token: str | None, user: str | None = None
) -> CommandBackend:
    """Return the backend of the command. Raises ConfigurationError.

    The command line takes precedence over the environment, and a URL over an app.
    """
    if (server := server_of(ctx, url, token, user)) is not None:
        return server
    if app is None:
        raise ConfigurationError(
            "No application and no server: give --app MODULE:ATTR or set STEPWELL_APP, as in orders.main:stepwell; "
            "or give --url URL or set STEPWELL_URL."
        )
    return Local(load_stepwell(app), user)


def server_of(ctx: typer.Context, url: str | None, token: str | None, user: str | None = None) -> Remote | None:
    """Return the server of the command; None where it is about a database. Raises ConfigurationError."""
    ranks = {name: _rank(ctx, name) for name in ("app", "url", "token")}
    if ranks["app"] == ranks["url"] == _GIVEN:
        raise ConfigurationError("--app and --url: give one of them. --url reaches a server, --app a database.")
    if not url or ranks["app"] > ranks["url"]:
        if ranks["token"] == _GIVEN:
            raise ConfigurationError("--token is for a server: give --url URL too, or leave it out.")
        return None
    from stepwell.console.cli.backends.remote import Remote  # loaded only where it is needed

    return Remote(url, read(token).strip() if token else None, user)


def _rank(ctx: typer.Context, name: str) -> int:
    source = ctx.get_parameter_source(name)
    return 0 if source is None or not ctx.params.get(name) else _RANKS.get(source.name, 0)


def refuse_beside(ctx: typer.Context, what: str, *names: str) -> None:
    """Raise ConfigurationError for options on the command line that have no effect with `what`."""
    given = [one.opts[0] for one in ctx.command.params if one.name in names and _rank(ctx, one.name) == _GIVEN]
    if given:
        raise ConfigurationError(f"{' and '.join(given)} can't be combined with {what}. Leave out one of them.")


async def hint_without_workers(backend: CommandBackend, run: Run) -> None:
    """Print to stderr if no worker takes the run."""
    if run.finished_at is None and await backend.lacks_workers(run.app_name, run.workflow_name):
        say(f"No worker takes {run.app_name}/{run.workflow_name} now: start one with `stepwell worker`.")
