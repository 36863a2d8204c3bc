"""`stepwell schedules`: list and control schedules, and make some at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer

from stepwell.console.cli.backends.backend import CommandBackend, ListedWorkflow, ScheduleName
from stepwell.console.cli.backends.target import (
    Application,
    AppName,
    Json,
    TokenOption,
    Url,
    backend_of,
    execute,
    refuse_beside,
)
from stepwell.console.cli.terminal.arguments import delay_of, mapping, moment_of, whole
from stepwell.console.cli.terminal.output import moment, put, put_json, put_table, say
from stepwell.console.reading.schedule_views import ScheduleView
from stepwell.errors import ConfigurationError, ScheduleNotFound
from stepwell.runner.schedule_models import TickView

T = TypeVar("T")

_HELP: Final = "Schedules: list, create, update, delete, pause, resume, fire now, retry a failed tick."
program = typer.Typer(help=_HELP, no_args_is_help=True)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The schedule: its name, or APP/NAME where several apps have it.")
]


OfUser = Annotated[str | None, typer.Option("--user", help="The user for whom it was made at run time.")]


@program.command("list")
def list_schedules(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option("--user", help="Only those made for this user at run time.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The most of those made at run time.")] = 200,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """List the schedules, with the next tick and the last one: declared ones, and those made at run time."""
    backend = backend_of(ctx, app, url, token)
    found = _on(backend, lambda backend: backend.schedules(user=user, limit=limit, cursor=cursor), creates=False)
    if found.next_cursor is not None:
        say(f"There are more: --cursor {found.next_cursor}")
    if json:
        put_json([one.model_dump(mode="json") for one in found.items])
        return
    put_table(
        ["APP", "SCHEDULE", "USER", "RULE", "STATE", "NEXT", "LAST", "OUTCOME"],
        [
            (
                one.app_name,
                one.name,
                one.user_id,
                one.rule,
                _state(one),
                None if one.paused or not one.next else one.next[0],
                one.last and one.last.scheduled_at,
                one.last and (one.last.status or one.last.outcome),
            )
            for one in found.items
        ],
    )


Cron = Annotated[str | None, typer.Option("--cron", metavar="FIELDS", help="Five fields, as in '0 9 * * *'.")]
Every = Annotated[str | None, typer.Option("--every", metavar="TIME", help="Counted from now: 90, 90s, 15m, 2h or 1d.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="WHEN", help="Once, at this time: ISO 8601, local unless it has a zone.")
]
Zone = Annotated[str | None, typer.Option("--timezone", metavar="ZONE", help="Of --cron. Default: UTC.")]
Policy = Annotated[
    str | None, typer.Option("--overlap", help="skip (default), queue or allow: ticks while the last run goes on.")
]
Missed = Annotated[str | None, typer.Option("--misfire", help="latest (default), all or skip: which late ticks fire.")]
CatchUp = Annotated[str | None, typer.Option("--catch-up", metavar="TIME", help="How late they may be. Default: 1d.")]
Jitter = Annotated[str | None, typer.Option("--jitter", metavar="TIME", help="Spread ticks over this time.")]
Arg = Annotated[
    list[str] | None, typer.Option("--arg", metavar="K=V", help="An argument; K=@FILE and K=@- read its text.")
]
Data = Annotated[str | None, typer.Option("--data", help="All arguments as JSON; @FILE and @- read it.")]


@program.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, unique in the app and for the user.")],
    workflow: Annotated[str, typer.Argument(help="The workflow's name, as `stepwell list` shows it.")],
    arg: Arg = None,
    data: Data = None,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    timezone: Zone = None,
    overlap: Policy = None,
    misfire: Missed = None,
    catch_up: CatchUp = None,
    jitter: Jitter = None,
    paused: Annotated[bool, typer.Option("--paused", help="It fires nothing until it is resumed.")] = False,
    user: Annotated[str | None, typer.Option("--user", help="Whose it is. Default: cli, or the token's user.")] = None,
    app_name: AppName = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Create a schedule that starts a run of the workflow at each tick. Give one of --cron, --every and --at."""
    if data is not None:
        refuse_beside(ctx, "--data", "arg")
    rule = _keywords(cron, every, at, timezone, overlap, misfire, catch_up, jitter)
    backend = backend_of(ctx, app, url, token)

    async def act() -> ScheduleView:
        async with backend.open(runs=False):  # one that can't be made creates no database
            found = await backend.workflow(workflow, app_name)
            args = _args(arg, data, found)
        async with backend.open():
            given = {"workflow": found.name, "args": args, "paused": paused, **rule}
            return await backend.create_schedule(ScheduleName(found.app_name, name, user), given)

    _told(execute(act), json)


@program.command("update")
def update(
    ctx: typer.Context,
    name: NameArgument,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Start this workflow from now on.")] = None,
    arg: Arg = None,
    data: Data = None,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    timezone: Zone = None,
    overlap: Policy = None,
    misfire: Missed = None,
    catch_up: CatchUp = None,
    jitter: Jitter = None,
    user: OfUser = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Change a schedule that was made at run time. --cron, --every and --at replace its rule, which counts from now."""
    if data is not None:
        refuse_beside(ctx, "--data", "arg")
    changes = _keywords(cron, every, at, timezone, overlap, misfire, catch_up, jitter)

    async def act(backend: CommandBackend) -> ScheduleView:
        found = await _seen(backend, name, user)
        if workflow is not None:
            changes["workflow"] = workflow
        if arg or data is not None:
            used = await backend.workflow(workflow or found.workflow or "", found.app_name)
            changes["args"] = _args(arg, data, used)
        if not changes:
            raise ConfigurationError("Nothing to change: give at least one option.")
        return await backend.update_schedule(_name_of(found), changes)

    _told(_on(backend_of(ctx, app, url, token), act), json)


@program.command("delete")
def delete(
    ctx: typer.Context,
    name: NameArgument,
    user: OfUser = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
) -> None:
    """Delete a schedule that was made at run time. The runs that it has started stay."""

    async def act(backend: CommandBackend) -> ScheduleView:
        found = await _seen(backend, name, user)
        await backend.delete_schedule(_name_of(found))
        return found

    found = _on(backend_of(ctx, app, url, token), act)
    put(f"{found.app_name}/{found.name} is deleted")


@program.command("pause")
def pause(
    ctx: typer.Context,
    name: NameArgument,
    user: OfUser = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Pause a schedule: it fires nothing until it is resumed, and missed ticks aren't caught up."""
    _paused(backend_of(ctx, app, url, token), name, user, True, json)


@program.command("resume")
def resume(
    ctx: typer.Context,
    name: NameArgument,
    user: OfUser = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Resume a schedule: it fires again from now on."""
    _paused(backend_of(ctx, app, url, token), name, user, False, json)


@program.command("fire")
def fire(
    ctx: typer.Context,
    name: NameArgument,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same one fires once.")] = None,
    user: OfUser = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Fire a schedule now, whatever its rule says. A worker executes it."""

    async def act(backend: CommandBackend) -> TickView:
        return await backend.fire(_name_of(await _seen(backend, name, user)), key)

    tick = _on(backend_of(ctx, app, url, token), act)
    started = f" {tick.workflow_id}" if tick.workflow_id else ""
    put_json(tick.model_dump(mode="json")) if json else put(f"{tick.outcome} at {moment(tick.scheduled_at)}{started}")


@program.command("retry")
def retry(
    ctx: typer.Context,
    name: NameArgument,
    user: OfUser = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Retry the handler of its last tick, or the run that the tick started, after a failure. A worker executes it."""

    async def act(backend: CommandBackend) -> TickView:
        found = await _seen(backend, name, user)
        if found.last is None:
            raise ScheduleNotFound(f"Schedule {name!r} hasn't ticked yet.")
        return await backend.retry_tick(_name_of(found), found.last.scheduled_at)

    tick = _on(backend_of(ctx, app, url, token), act)
    put_json(tick.model_dump(mode="json")) if json else put(
        f"The tick of {moment(tick.scheduled_at)} is {tick.status}."
    )


def _keywords(
    cron: str | None,
    every: str | None,
    at: str | None,
    timezone: str | None,
    overlap: str | None,
    misfire: str | None,
    catch_up: str | None,
    jitter: str | None,
) -> dict[str, Any]:
    """Return the keywords of `runner.schedules` for those options that are given. Raises ConfigurationError."""
    given = {
        "cron": cron,
        "every": None if every is None else delay_of(every, "--every"),
        "at": None if at is None else moment_of(at),
        "timezone": timezone,
        "overlap": overlap,
        "misfire": misfire,
        "catch_up": None if catch_up is None else delay_of(catch_up, "--catch-up"),
        "jitter": None if jitter is None else delay_of(jitter, "--jitter"),
    }
    return {name: value for name, value in given.items() if value is not None}


def _args(arg: list[str] | None, data: str | None, workflow: ListedWorkflow) -> Any:
    return whole(data) if data is not None else mapping(arg, workflow.args) if arg else None


def _paused(backend: CommandBackend, name: str, user: str | None, paused: bool, json: bool) -> None:
    async def act(backend: CommandBackend) -> ScheduleView:
        return await backend.pause(_name_of(await _seen(backend, name, user)), paused)

    _told(_on(backend, act), json)


def _told(found: ScheduleView, json: bool) -> None:
    then = f", next {moment(found.next[0])}" if found.next and not found.paused else ""
    state = _state(found)
    put_json(found.model_dump(mode="json")) if json else put(f"{found.app_name}/{found.name} is {state}{then}")


def _state(schedule: ScheduleView) -> str:
    if schedule.paused:
        return "paused"
    if schedule.error is not None:
        return f"failing: {schedule.error}"
    return "active" if schedule.next or not schedule.here else "over"


def _on(backend: CommandBackend, act: Callable[[CommandBackend], Awaitable[T]], *, creates: bool = True) -> T:
    async def opened() -> T:
        async with backend.open(creates=creates):
            return await act(backend)

    return execute(opened)


def _name_of(found: ScheduleView) -> ScheduleName:
    return ScheduleName(found.app_name, found.name, found.user_id)


async def _seen(backend: CommandBackend, name: str, user: str | None) -> ScheduleView:
    """Return the schedule of that name. Raises ScheduleNotFound, ConfigurationError with the names there are."""
    app, slash, rest = name.partition("/")
    found = list((await backend.schedules(name=name, user=user)).items)
    if slash:
        found += [one for one in (await backend.schedules(name=rest, user=user)).items if one.app_name == app]
    if not found:
        known = (await backend.schedules(user=user)).items
        listed = ", ".join(dict.fromkeys(f"{one.app_name}/{one.name}" for one in known))
        raise ScheduleNotFound(f"No schedule {name!r}. Known schedules: {listed or 'none'}.")
    declared = [one for one in found if one.declared]
    if len(found) > 1 and len(declared) == len({one.app_name for one in found}) == 1:
        return declared[0]  # without a user, it is the declared one
    if len(found) > 1:
        one = found[0]
        if len({each.app_name for each in found}) > 1:
            cure = f"name one with its app, as in {one.app_name}/{one.name}"
            raise ConfigurationError(f"Several apps have {name!r}: {cure}.")
        whose = next(each.user_id for each in found if each.user_id is not None)
        raise ConfigurationError(f"Several users have {name!r}: name one with --user, as in --user {whose}.")
    return found[0]
