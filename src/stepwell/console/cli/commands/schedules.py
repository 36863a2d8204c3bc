"""`stepwell schedules`: list and control schedules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from stepwell.console.cli.backends.backend import CommandBackend
from stepwell.console.cli.backends.target import Application, Json, TokenOption, Url, backend_of, execute
from stepwell.console.cli.terminal.output import moment, put, put_json, put_table
from stepwell.console.reading.triggers import ScheduleView, TickView
from stepwell.errors import ConfigurationError, ScheduleNotFound

T = TypeVar("T")

program = typer.Typer(help="Schedules: list, pause, resume, fire now, retry a failed tick.", no_args_is_help=True)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The schedule: its name, or APP/NAME where several apps have it.")
]


@program.command("list")
def list_schedules(
    ctx: typer.Context, app: Application = None, url: Url = None, token: TokenOption = None, json: Json = False
) -> None:
    """List the schedules, with the next tick and the last one."""

    found = _on(backend_of(ctx, app, url, token), lambda backend: backend.schedules(), creates=False)
    if json:
        put_json([one.model_dump(mode="json") for one in found])
        return
    put_table(
        ["APP", "SCHEDULE", "RULE", "STATE", "NEXT", "LAST", "OUTCOME"],
        [
            (
                one.app_name,
                one.name,
                one.rule,
                _state(one),
                None if one.paused or not one.next else one.next[0],
                one.last and one.last.scheduled_at,
                one.last and (one.last.status or one.last.outcome),
            )
            for one in found
        ],
    )


@program.command("pause")
def pause(
    ctx: typer.Context,
    name: NameArgument,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Pause a schedule: it fires nothing until it is resumed, and missed ticks aren't caught up."""
    _paused(backend_of(ctx, app, url, token), name, True, json)


@program.command("resume")
def resume(
    ctx: typer.Context,
    name: NameArgument,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Resume a schedule: it fires again from now on."""
    _paused(backend_of(ctx, app, url, token), name, False, json)


@program.command("fire")
def fire(
    ctx: typer.Context,
    name: NameArgument,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same one fires once.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Fire a schedule now, whatever its rule says. A worker executes it."""

    async def act(backend: CommandBackend) -> TickView:
        return await backend.fire(*await _named(backend, name), key)

    tick = _on(backend_of(ctx, app, url, token), act)
    started = f" {tick.workflow_id}" if tick.workflow_id else ""
    put_json(tick.model_dump(mode="json")) if json else put(f"{tick.outcome} at {moment(tick.scheduled_at)}{started}")


@program.command("retry")
def retry(
    ctx: typer.Context,
    name: NameArgument,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Retry the handler of its last tick, or the run that the tick started, after a failure. A worker executes it."""

    async def act(backend: CommandBackend) -> TickView:
        named = await _named(backend, name)
        last = next(one.last for one in await backend.schedules() if (one.app_name, one.name) == named)
        if last is None:
            raise ScheduleNotFound(f"Schedule {name!r} hasn't ticked yet.")
        return await backend.retry_tick(*named, last.scheduled_at)

    tick = _on(backend_of(ctx, app, url, token), act)
    put_json(tick.model_dump(mode="json")) if json else put(
        f"The tick of {moment(tick.scheduled_at)} is {tick.status}."
    )


def _paused(backend: CommandBackend, name: str, paused: bool, json: bool) -> None:
    async def act(backend: CommandBackend) -> ScheduleView:
        return await backend.pause(*await _named(backend, name), paused)

    found = _on(backend, act)
    then = f", next {moment(found.next[0])}" if found.next and not found.paused else ""
    state = _state(found)
    put_json(found.model_dump(mode="json")) if json else put(f"{found.app_name}/{found.name} is {state}{then}")


def _state(schedule: ScheduleView) -> str:
    if schedule.paused:
        return "paused"
    return "active" if schedule.error is None else f"failing: {schedule.error}"


def _on(backend: CommandBackend, act: Callable[[CommandBackend], Awaitable[T]], *, creates: bool = True) -> T:
    async def opened() -> T:
        async with backend.open(creates=creates):
            return await act(backend)

    return execute(opened)


async def _named(backend: CommandBackend, name: str) -> tuple[str, str]:
    """Return (app, schedule) of that name. Raises ScheduleNotFound, ConfigurationError with the names there are."""
    every = [(one.app_name, one.name) for one in await backend.schedules()]
    found = [one for one in every if name in (one[1], "/".join(one))]
    if not found:
        listed = ", ".join("/".join(one) for one in every)
        raise ScheduleNotFound(f"No schedule {name!r}. Known schedules: {listed or 'none'}.")
    if len(found) > 1:
        raise ConfigurationError(f"Several apps have {name!r}: name one with its app, as in {'/'.join(found[0])}.")
    return found[0]
