"""`stepwell schedules`: when what starts by the clock, and steering it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeVar

import typer

from stepwell.cli.backend import Backend
from stepwell.cli.output import moment, put, put_json, put_table
from stepwell.cli.target import Application, Json, execute
from stepwell.cli.where import Token, Url, backend_of
from stepwell.errors import ConfigurationError, ScheduleNotFound
from stepwell.triggers.views import ScheduleView, TickView

T = TypeVar("T")

program = typer.Typer(help="Schedules: list, pause, resume, fire now, retry what failed.", no_args_is_help=True)
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The schedule: its name, or APP/NAME where several apps have it.")
]


@program.command("list")
def list_schedules(
    ctx: typer.Context, app: Application = None, url: Url = None, token: Token = None, json: Json = False
) -> None:
    """The schedules, with their next tick and the last."""

    async def act(backend: Backend) -> Sequence[ScheduleView]:
        return await backend.schedules()

    found = _on(backend_of(ctx, app, url, token), act)
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
                "paused" if one.paused else "active",
                None if one.paused or not one.next else one.next[0],
                one.last and one.last.scheduled_at,
                one.last and (one.last.status or one.last.outcome),
            )
            for one in found
        ],
    )


@program.command("pause")
def pause(
    ctx: typer.Context, name: Name, app: Application = None, url: Url = None, token: Token = None, json: Json = False
) -> None:
    """It fires nothing until it is resumed, and nothing of that time is caught up."""
    _paused(backend_of(ctx, app, url, token), name, True, json)


@program.command("resume")
def resume(
    ctx: typer.Context, name: Name, app: Application = None, url: Url = None, token: Token = None, json: Json = False
) -> None:
    """It fires again from now on."""
    _paused(backend_of(ctx, app, url, token), name, False, json)


@program.command("fire")
def fire(
    ctx: typer.Context,
    name: Name,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same one fires once.")] = None,
    app: Application = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """A tick of now, whatever its rule says. A worker takes it on."""

    async def act(backend: Backend) -> TickView:
        return await backend.fire(*await _named(backend, name), key)

    tick = _on(backend_of(ctx, app, url, token), act)
    started = f" {tick.workflow_id}" if tick.workflow_id else ""
    put_json(tick.model_dump(mode="json")) if json else put(f"{tick.outcome} at {moment(tick.scheduled_at)}{started}")


@program.command("retry")
def retry(
    ctx: typer.Context, name: Name, app: Application = None, url: Url = None, token: Token = None, json: Json = False
) -> None:
    """The handler of its last tick, or the run that the tick started, runs again after it failed. A worker takes it on."""

    async def act(backend: Backend) -> TickView:
        named = await _named(backend, name)
        last = next(one.last for one in await backend.schedules() if (one.app_name, one.name) == named)
        if last is None:
            raise ScheduleNotFound(f"Schedule {name!r} hasn't ticked yet.")
        return await backend.retry_tick(*named, last.scheduled_at)

    tick = _on(backend_of(ctx, app, url, token), act)
    put_json(tick.model_dump(mode="json")) if json else put(f"the tick of {moment(tick.scheduled_at)} is {tick.status}")


def _paused(backend: Backend, name: str, paused: bool, json: bool) -> None:
    async def act(backend: Backend) -> ScheduleView:
        return await backend.pause(*await _named(backend, name), paused)

    found = _on(backend, act)
    then = f", next {moment(found.next[0])}" if found.next and not found.paused else ""
    state = "paused" if found.paused else "active"
    put_json(found.model_dump(mode="json")) if json else put(f"{found.app_name}/{found.name} is {state}{then}")


def _on(backend: Backend, act: Callable[[Backend], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with backend.open():
            return await act(backend)

    return execute(opened)


async def _named(backend: Backend, name: str) -> tuple[str, str]:
    """(app, schedule) of that name. Raises ScheduleNotFound, ConfigurationError with what there is."""
    every = [(one.app_name, one.name) for one in await backend.schedules()]
    found = [one for one in every if name in (one[1], "/".join(one))]
    if not found:
        listed = ", ".join("/".join(one) for one in every)
        raise ScheduleNotFound(f"No schedule {name!r}. There is: {listed or 'none'}.")
    if len(found) > 1:
        raise ConfigurationError(f"Several apps have {name!r}: say which, as {'/'.join(found[0])}.")
    return found[0]
