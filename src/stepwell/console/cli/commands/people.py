"""`stepwell inbox`, `answer` and `assign`: the questions that people are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from stepwell.console.cli.backends.backend import CommandBackend
from stepwell.console.cli.backends.people_backend import AnswerOptions, WantedQuestions
from stepwell.console.cli.backends.target import (
    Application,
    Json,
    RunId,
    TokenOption,
    Url,
    backend_of,
    execute,
    hint_without_workers,
    refuse_beside,
)
from stepwell.console.cli.terminal.arguments import payload, whole
from stepwell.console.cli.terminal.output import WAITING, moment, put_json, put_run, put_table, say
from stepwell.console.cli.terminal.prompts import ask_payload, is_interactive
from stepwell.console.reading.views import OpenSignal
from stepwell.errors import ConfigurationError, InvalidPayload
from stepwell.runner.models import Run
from stepwell.runner.people import Question

Transition = Annotated[str, typer.Argument(metavar="TRANSITION", help="The signal transition that is asked for.")]
Person = Annotated[
    str | None,
    typer.Option("--user", help="Who answers, in a database; a server (--url) knows its user from the token."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", help="A group of this user, in a database; may be given repeatedly."),
]


def inbox(
    ctx: typer.Context,
    user: Person = None,
    group: Groups = None,
    everybody: Annotated[
        bool,
        typer.Option("--everybody", help="The questions to all users. The default in a database without --user."),
    ] = False,
    app_name: Annotated[str | None, typer.Option("--app-name", help="Only questions of this App.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only questions of this workflow.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Only questions of this run.")] = None,
    overdue: Annotated[
        bool | None, typer.Option("--overdue/--not-overdue", help="Only questions that are due, or that aren't.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="The number of questions.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Continue after the page that ended with this cursor.")
    ] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """List the questions that a user may answer, the most urgent first."""
    if user is not None:
        refuse_beside(ctx, "--user", "everybody")
    backend = backend_of(ctx, app, url, token, user)
    wanted = WantedQuestions(app_name, workflow, run_id, overdue, everybody, tuple(group or ()), limit, cursor)

    async def act() -> None:
        async with backend.open(creates=False):
            page = await backend.inbox(wanted)
        if json:
            put_json(page.model_dump(mode="json"))
            return
        put_table(
            ["RUN", "TRANSITION", "VISIT", "TITLE", "ABOUT", "ASKED", "DUE"],
            [
                (
                    one.workflow_id,
                    one.transition,
                    str(one.visit),
                    one.title,
                    one.subject,
                    asked_of(one),
                    moment(one.due_at),
                )
                for one in page.items
            ],
        )
        if page.next_cursor:
            say(f"more: --cursor {page.next_cursor}")

    execute(act)


def answer(
    ctx: typer.Context,
    run_id: RunId,
    transition: Transition,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VALUE | K=V...]", help="The answer: text or JSON, or its fields; @FILE and @- read it."
        ),
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="The answer as JSON; @FILE and @- read it.")] = None,
    user: Person = None,
    group: Groups = None,
    visit: Annotated[
        int | None, typer.Option("--visit", min=0, help="The visit of the question that was seen, as `inbox` names it.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="An idempotency key: the same answer counts once.")] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Answer a question. The first answer wins; a later one is told who won.

    Without an answer, the command asks for the fields if stdin and stderr are terminals.
    """
    if pairs and data is not None:
        raise ConfigurationError(f"--data can't be combined with {' '.join(pairs)}. Leave out one of them.")
    backend = backend_of(ctx, app, url, token, user)
    given = AnswerOptions(tuple(group or ()), visit, key)

    async def act() -> int:
        async with backend.open(creates=False):
            if data is not None:
                run: Run | None = await backend.answer(run_id, transition, whole(data), given)
            else:
                run = await _answered(backend, run_id, transition, pairs or [], given)
            if run is None:
                say("Nothing was sent.")
                return WAITING
            put_run(run, json)
            await hint_without_workers(backend, run)
            return 0

    raise typer.Exit(execute(act))


def assign(
    ctx: typer.Context,
    run_id: RunId,
    transition: Transition,
    assignee: Annotated[str | None, typer.Option("--to", help="The user who is asked from now on.")] = None,
    group: Annotated[str | None, typer.Option("--to-group", help="The group that is asked from now on.")] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="Who assigns it, for the history of a database. Default: cli.")
    ] = None,
    app: Application = None,
    url: Url = None,
    token: TokenOption = None,
    json: Json = False,
) -> None:
    """Let another user or group answer an open question, and no other user."""
    if assignee is None and group is None:
        raise ConfigurationError("Say who is to answer: --to USER, --to-group GROUP, or both.")
    backend = backend_of(ctx, app, url, token, user)

    async def act() -> None:
        async with backend.open(creates=False):
            question = await backend.assign(run_id, transition, assignee, group)
        if json:
            put_json(question.model_dump(mode="json"))
        else:
            say(f"{question.title!r} is asked of {asked_of(question)}.")

    execute(act)


def asked_of(question: Question) -> str:
    """Return in words who is asked."""
    whom = [] if question.assignee is None else [question.assignee]
    whom += [] if question.group is None else [f"group {question.group}"]
    return " or ".join(whom) or question.user_id


async def _answered(
    backend: CommandBackend, run_id: str, transition: str, pairs: list[str], given: AnswerOptions
) -> Run | None:
    """Send the answer of the command line or of the terminal; None: the user decided not to answer."""
    page = await backend.inbox(WantedQuestions(run_id=run_id, groups=given.groups))
    asked = next((one for one in page.items if one.transition == transition), None)
    schema = None if asked is None else asked.payload_schema
    if asked is not None and given.visit is None:
        given = replace(given, visit=asked.visit)
    if pairs or schema is None or asked is None or not is_interactive():
        return await backend.answer(run_id, transition, payload(pairs, schema or {}) if pairs else None, given)
    before: Any = None
    while True:
        try:
            typed = await ask_payload(_signal_of(asked), before)
        except EOFError:
            typed = None
        if typed is None:
            return None
        try:
            return await backend.answer(run_id, transition, typed.data, given)
        except InvalidPayload as error:
            say(f"Refused: {error}")
            before = typed.data


def _signal_of(asked: Question) -> OpenSignal:
    return OpenSignal(
        transition=asked.transition,
        title=asked.title,
        description=asked.text or "",
        optional=False,
        schema=asked.payload_schema,
        source="",
        target="",
    )
