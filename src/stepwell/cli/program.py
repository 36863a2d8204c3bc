"""All commands put together, and errors made into one line and an exit code."""

from __future__ import annotations

import sys

import typer

from stepwell.cli import cancel, check, db, dev, list, new, retry, run, runs, schedules, signal, tokens, watch, worker
from stepwell.cli.output import FAILED, MISCONFIGURED, say
from stepwell.errors import DefinitionError, IdempotencyConflict, RunFailed, RunFinished, StepwellError

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
program.command("list")(list.list_workflows)
program.command("runs")(runs.runs)
program.command("signal")(signal.signal)
program.command("cancel")(cancel.cancel)
program.command("retry")(retry.retry)
program.command("watch")(watch.watch)
program.command("check")(check.check)
program.command("new")(new.new)
program.add_typer(schedules.program, name="schedules")
program.add_typer(db.program, name="db")
program.add_typer(tokens.program, name="tokens")


def main() -> None:
    """Runs the command of this process's arguments, and exits."""
    try:
        program()
    except (RunFailed, RunFinished, IdempotencyConflict) as error:
        _exit(error, FAILED)
    except StepwellError as error:
        _exit(error, MISCONFIGURED)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _exit(error: StepwellError, code: int) -> None:
    # What a class breaks is a list. Anything else is one line, whatever a database or a driver has put into it.
    text = str(error) if isinstance(error, DefinitionError) else " ".join(str(error).split())
    say(f"error: {text}")
    sys.exit(code)
