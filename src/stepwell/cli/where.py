"""Where the runs are that a command is about: on a database, or behind the API of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from stepwell.cli.arguments import read
from stepwell.cli.backend import Backend
from stepwell.cli.local import Local
from stepwell.cli.output import say
from stepwell.cli.target import load_stepwell
from stepwell.errors import ConfigurationError
from stepwell.runner.models import Run

if TYPE_CHECKING:
    from stepwell.cli.remote import Remote

Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", envvar="STEPWELL_URL", help="A server with Stepwell's API, instead of an application."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="@FILE",
        envvar="STEPWELL_TOKEN",
        show_default=False,
        help="A token for it; @FILE and @- read it, so that it isn't on the list of processes.",
    ),
]
_GIVEN: Final = "COMMANDLINE"


def backend_of(
    ctx: typer.Context, app: str | None, url: str | None, token: str | None, user: str | None = None
) -> Backend:
    """The runs of the command. What the command line says goes before what the environment says, a URL before an app.

    Raises ConfigurationError.
    """
    server = server_of(ctx, url, token, user)
    if server is not None:
        return server
    if app is None:
        raise ConfigurationError(
            "No application and no server: give --app MODULE:ATTR or set STEPWELL_APP, as in orders.main:stepwell; "
            "or give --url URL or set STEPWELL_URL."
        )
    return Local(load_stepwell(app), user)


def server_of(ctx: typer.Context, url: str | None, token: str | None, user: str | None = None) -> Remote | None:
    """The server of the command; None where it is about a database. Raises ConfigurationError."""
    given = {name for name in ("app", "url") if _is_given(ctx, name)}
    if len(given) == 2:
        raise ConfigurationError("--app and --url: give one of them. --url reaches a server, --app a database.")
    if not url or given == {"app"}:
        return None
    from stepwell.cli.remote import Remote  # loaded by those who need it

    return Remote(url, read(token).strip() if token else None, user)


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == _GIVEN


async def hint_without_workers(backend: Backend, run: Run) -> None:
    """Says so on stderr if nobody is there to take the run on."""
    if run.finished_at is None and await backend.lacks_workers(run.app_name, run.workflow_name):
        say(f"No worker takes {run.app_name}/{run.workflow_name} now: start one with `stepwell worker`.")
