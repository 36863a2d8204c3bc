"""The program: all commands, and errors turned into one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer

from stepwell.console.cli.commands import (
    batches,
    db,
    dev,
    limits,
    pausing,
    people,
    repairing,
    run,
    runs,
    schedules,
    steering,
    steps,
    tokens,
    worker,
    workflows,
    workspaces,
)
from stepwell.console.cli.terminal.output import FAILED, MISCONFIGURED, say
from stepwell.errors import (
    AlreadyAnswered,
    DefinitionError,
    IdempotencyConflict,
    RunBusy,
    RunFailed,
    RunFinished,
    RunNotFinished,
    StepwellError,
)

_FILE: Final = ".env"
_NAMES: Final = ("STEPWELL_APP", "STEPWELL_URL", "STEPWELL_TOKEN")
"""Variables that are read from it as from the environment, which takes precedence."""

program = typer.Typer(
    name="stepwell",
    help="Durable workflows: develop, run, inspect and operate them.",
    epilog="Exit codes: 0 completed, 1 failed or cancelled, 2 configuration or connection, 3 waiting for input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
program.command("dev")(dev.dev)
program.command("worker")(worker.worker)
program.command("run")(run.run)
program.command("batch")(batches.batch)
program.command("batches")(batches.batches)
program.command("list")(workflows.list_workflows)
program.command("runs")(runs.runs)
program.command("signal")(steering.signal)
program.command("cancel")(steering.cancel)
program.command("inbox")(people.inbox)
program.command("answer")(people.answer)
program.command("assign")(people.assign)
program.command("steps")(steps.steps)
program.command("retry")(repairing.retry)
program.command("fork")(repairing.fork)
program.command("update")(repairing.update)
program.command("delete")(repairing.delete)
program.command("pause")(pausing.pause)
program.command("resume")(pausing.resume)
program.command("paused")(pausing.paused)
program.command("limits")(limits.limits)
program.command("watch")(runs.watch)
program.command("check")(workflows.check)
program.command("new")(dev.new)
program.add_typer(schedules.program, name="schedules")
program.add_typer(workspaces.program, name="workspaces")
program.add_typer(db.program, name="db")
program.add_typer(tokens.program, name="tokens")


def main() -> None:
    """Run the command of this process's arguments, and exit."""
    try:
        program(default_map=defaults_of(typer.main.get_command(program)))
    except (AlreadyAnswered, RunBusy, RunFailed, RunFinished, RunNotFinished, IdempotencyConflict) as error:
        _exit(error, FAILED)
    except StepwellError as error:
        _exit(error, MISCONFIGURED)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _exit(error: StepwellError, code: int) -> None:
    # A DefinitionError is a list. Any other error is one line, whatever a database or a driver has put into it.
    text = str(error) if isinstance(error, DefinitionError) else " ".join(str(error).split())
    say(f"error: {text}")
    sys.exit(code)


def defaults_of(command: Any) -> dict[str, Any]:
    """Return the values in `.env` for the options of a Click command, and of those below it."""
    if not Path(_FILE).is_file():
        return {}
    from dotenv import dotenv_values

    found = dotenv_values(_FILE)
    return _defaults(command, {name: value for name in _NAMES if (value := found.get(name))})


def _defaults(command: Any, values: Mapping[str, str]) -> dict[str, Any]:
    if commands := getattr(command, "commands", None):
        return {name: _defaults(one, values) for name, one in commands.items()}
    return {one.name: values[one.envvar] for one in command.params if one.envvar in values}
