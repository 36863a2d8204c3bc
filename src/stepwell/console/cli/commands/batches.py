"""`stepwell batch` and `stepwell batches`: start many runs from a file, and look at how far they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

import typer

from stepwell.console.cli.backends.backend import BatchBeginning, CommandBackend, WantedBatches
from stepwell.console.cli.backends.target import (
    Application,
    AppName,
    Json,
    TokenOption,
    Url,
    User,
    backend_of,
    execute,
    refuse_beside,
)
from stepwell.console.cli.terminal.bar import Bar, batch_line, parts
from stepwell.console.cli.terminal.batch_lines import starts_of
from stepwell.console.cli.terminal.output import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    MISCONFIGURED,
    WAITING,
    put,
    put_json,
    put_table,
    say,
)
from stepwell.console.http.json_lines import JsonLines
from stepwell.errors import ConfigurationError, IdempotencyConflict
from stepwell.runner.batch_models import Batch

_LOOK: Final = 0.5
"""Seconds between two looks at a batch."""
_SHOWN: Final = 5
"""Runs that didn't complete that are shown after the end, at most."""


def batch(
    ctx: typer.Context,
    workflow: Annotated[str, typer.Argument(help="The workflow's name, as `stepwell list` shows it.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Lines of JSON, or FILE.csv; - is stdin. One run for each line.")
    ],
    csv: Annotated[bool, typer.Option("--csv", help="It is CSV, whatever its name.")] = False,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    app_name: AppName = None,
    user: Annotated[str | None, typer.Option("--user", help="The runs' user. Default: cli, or the token's.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="A label of the batch.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same batch counts once.")] = None,
    max_in_flight: Annotated[
        int | None, typer.Option("--max-in-flight", min=1, help="Runs that are under way at once, at most.")
    ] = None,
    stop_after_failures: Annotated[
        str | None,
        typer.Option(
            "--stop-after-failures",
            metavar="N",
            help="Cancel the rest after more failures than this: 10, or 0.05 of all.",
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Queue it, print its id, and exit.")] = False,
    results: Annotated[
        bool, typer.Option("--results", help="Print one JSON object for each run on stdout, after the end.")
    ] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Seconds to follow it; the batch continues afterwards.")
    ] = None,
) -> None:
    """Start a run for each line of a file, all of them or none, and follow them with a progress bar.

    A line is the args as JSON. In CSV the headers are the fields, and a cell is read as the value of --arg; an empty one is
    left out. Live workers execute the runs. If none takes the workflow, this process acts as a worker until the end.
    Exit codes: 0 all completed, 1 not all, 2 nothing was stored, 3 not ended after --timeout.
    """
    if detach:
        refuse_beside(ctx, "--detach", "timeout", "results")
    if json:
        refuse_beside(ctx, "--json", "results")
    backend = backend_of(ctx, app, url, token)
    stop = None if stop_after_failures is None else _number(stop_after_failures)
    batch_id: str | None = None

    async def begin(given: BatchBeginning) -> tuple[str, bool]:
        nonlocal batch_id
        batch_id, created = await backend.start_batch(given)
        return batch_id, created

    async def act() -> int:
        async with backend.open(runs=False):  # a batch that can't be started creates no database
            found = await backend.workflow(workflow, app_name)
            starts = starts_of(file, found.name, found.args, as_csv=csv)
        given = BatchBeginning(found, starts, user, label, key, max_in_flight, stop)
        async with backend.open():
            if detach:
                queued, created = await begin(given)
                put_json({"batch_id": queued, "created": created}) if json else put(queued)
                return COMPLETED
            if not await backend.lacks_workers(found.app_name, found.name):
                return await _followed(backend, (await begin(given))[0], starts, json, results, quiet, timeout)
        async with backend.open(worker=True):
            return await _followed(backend, (await begin(given))[0], starts, json, results, quiet, timeout)

    try:
        code = execute(act)
    except IdempotencyConflict as error:
        say(f"error: {error}")
        code = MISCONFIGURED
    except KeyboardInterrupt:
        code = _left_alone(backend, batch_id)
    raise typer.Exit(code)


def batches(
    ctx: typer.Context,
    batch_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The batch; without it, the newest batches.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Follow the batch until it ends; the exit code says how.")
    ] = False,
    results: Annotated[bool, typer.Option("--results", help="Print one JSON object for each run on stdout.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The number of batches.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Continue after the page that ended with this cursor.")
    ] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    app_name: AppName = None,
    user: User = None,
    json: Json = False,
) -> None:
    """Show the newest batches, or how far one is."""
    if batch_id is not None:
        refuse_beside(ctx, "an ID", "limit", "cursor", "app_name")
    elif follow or results:
        raise ConfigurationError(
            f"{'--follow' if follow else '--results'}: name a batch, as in stepwell batches ID --follow."
        )
    if json:
        refuse_beside(ctx, "--json", "results")
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> int:
        async with backend.open(creates=False):
            if batch_id is None:
                return await _page(backend, json, WantedBatches(app_name, limit, cursor))
            if follow:
                return await _followed(backend, batch_id, None, json, results)
            found = await backend.batch(batch_id)
            if results:
                await _put_results(backend, batch_id)
            else:
                put_json(found.model_dump(mode="json")) if json else put(batch_line(found))
            return COMPLETED

    try:
        code = execute(act)
    except KeyboardInterrupt:
        code = _left_alone(backend, batch_id)
    raise typer.Exit(code)


async def _page(backend: CommandBackend, json: bool, wanted: WantedBatches) -> int:
    page = await backend.batches(wanted)
    if json:
        put_json(page.model_dump(mode="json"))
        return COMPLETED
    if not page.items:
        say(f"No batches in {backend.place}.")
    put_table(
        ["ID", "APP", "WORKFLOW", "LABEL", "USER", "STATUS", "ENDED", "CREATED"],
        [
            (
                *(one.batch_id, one.app_name, one.workflow_name, one.label, one.user_id, one.status),
                ", ".join(parts(one.progress)),
                one.created_at,
            )
            for one in page.items
        ],
    )
    if page.next_cursor:
        say(f"more: --cursor {page.next_cursor}")
    return COMPLETED


async def _followed(
    backend: CommandBackend,
    batch_id: str,
    starts: JsonLines | None,
    json: bool,
    results: bool,
    quiet: bool = False,
    timeout: float | None = None,
) -> int:
    deadline = None if timeout is None else time.monotonic() + timeout
    if not quiet:
        say(f"batch {batch_id}")
    bar = Bar()
    try:
        async for found in _changes(backend, batch_id, deadline):
            if not quiet:
                bar.show(found.progress)
    finally:
        bar.end()
    if not quiet:
        say(batch_line(found))
        await _say_unlucky(backend, found, starts)
    if results:
        await _put_results(backend, batch_id)
    elif json:
        put_json(found.model_dump(mode="json"))
    else:
        put(batch_id)
    if found.progress.finished_at is None:
        return WAITING
    return COMPLETED if found.progress.completed == found.progress.total else FAILED


async def _changes(backend: CommandBackend, batch_id: str, deadline: float | None) -> AsyncIterator[Batch]:
    while True:
        found = await backend.batch(batch_id)
        yield found
        left = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
        if found.progress.finished_at is not None or left <= 0:
            return
        await asyncio.sleep(left)


async def _say_unlucky(backend: CommandBackend, batch: Batch, starts: JsonLines | None) -> None:
    """Print the first runs that failed, with the lines that they came from."""
    if not batch.progress.failed:
        return
    shown = 0
    async for item in backend.batch_items(batch.batch_id, "failed"):
        if shown == _SHOWN:
            say(
                f"  and {batch.progress.failed - shown:,} more: stepwell batches {batch.batch_id} --results{backend.back}"
            )
            return
        place = f"run {item.index + 1}" if starts is None or item.index >= len(starts) else starts.where(item.index)
        say(f"  {place}: {item.workflow_id} {item.status}: {item.error}")
        shown += 1


async def _put_results(backend: CommandBackend, batch_id: str) -> None:
    async for item in backend.batch_items(batch_id, None):
        put_json(item.model_dump(mode="json"), indent=None)


def _left_alone(backend: CommandBackend, batch_id: str | None) -> int:
    if batch_id is not None:
        say(f"\nThe batch isn't cancelled. Follow it again: stepwell batches {batch_id} --follow{backend.back}")
    return INTERRUPTED


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(
            f"--stop-after-failures {text!r}: give a number of runs, or their share of all, as in 0.05."
        ) from None
