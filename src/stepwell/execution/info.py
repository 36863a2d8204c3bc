"""The run and the attempt as a method knows them, and as fields of each line that is logged about them."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import MutableMapping
from typing import Any

from stepwell.definition.authoring.context import Info
from stepwell.definition.model import Transition
from stepwell.definition.text import is_a
from stepwell.engine.commit import Commit
from stepwell.engine.run import RunRow
from stepwell.errors import TransitionTimeout
from stepwell.execution.user_errors import logged

_log = logging.getLogger("stepwell.workflow")
_executed = logging.getLogger("stepwell.execution")


def info_of(run: RunRow, transition: Transition, *, durable: bool) -> Info:
    """Return the info of the run's next attempt of this transition."""
    return Info(
        workflow_id=run.id if durable else "",
        workspace_id=run.workspace_id,
        app_name=run.app_name,
        user_id=run.user_id,
        place=run.place,
        transition=transition.name,
        attempt=run.attempt + 1,
        labels=tuple(json.loads(run.labels)),
        idempotency_key=f"{run.id}:{transition.first_name}:{run.visit}",
    )


class RunLog(logging.LoggerAdapter[logging.Logger]):
    """The log of one run: each line has the run, the transition and the attempt, in its text and as `extra` fields."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        extra = self.extra or {}
        kwargs["extra"] = {**extra, **kwargs.get("extra", {})}
        return f"[{extra['workflow_id']} {extra['transition']}#{extra['attempt']}] {msg}", kwargs


def run_log(run: RunRow, transition: str) -> RunLog:
    """Return the logger of the run's next attempt of this transition."""
    return RunLog(_log, {"workflow_id": run.id, "transition": transition, "attempt": run.attempt + 1})


def log_failure(commit: Commit, error: BaseException | None) -> None:
    """Log a failed attempt that is stored: a warning while the run goes on, an error with its traceback if it failed.

    Of what a trigger's handler raises, the trigger tells; here only that it isn't tried again any more.
    Raises nothing: the attempt is stored, whatever the application's own filters and record factories make of its record.
    """
    if commit.run.internal and _told_by_trigger(commit, error):
        return
    try:
        _log_failure(commit, error)
    except Exception as refused:  # noqa: BLE001 - of the application's logging
        with contextlib.suppress(Exception):
            _executed.warning("run %s: its failure couldn't be logged: %r", commit.run.id, refused)


def _told_by_trigger(commit: Commit, error: BaseException | None) -> bool:
    given_up = commit.run.status == "failed" and commit.run.failures > 1
    return error is not None and not is_a(error, TransitionTimeout) and not given_up


def _log_failure(commit: Commit, error: BaseException | None) -> None:
    run, row = commit.run, commit.history
    assert row is not None  # each failed attempt has one
    extra = {
        "workflow_id": run.id, "workflow_name": run.workflow_name, "app_name": run.app_name, "user_id": run.user_id,
        "transition": row.transition, "attempt": row.attempt,
    }  # fmt: skip
    what = f"attempt {row.attempt} of {row.transition}" if row.transition else f"attempt {row.attempt}"
    if run.status == "failed":
        _executed.error(
            "run %s (%s) failed at %r, in %s: %s", run.id, run.workflow_name, run.place, what, row.error,
            exc_info=None if error is None else logged(error), extra=extra,
        )  # fmt: skip
        return
    then = "it is tried again" if run.status == "retrying" else f"the run goes on at {run.place!r}"
    _executed.warning("run %s (%s): %s failed, %s: %s", run.id, run.workflow_name, what, then, row.error, extra=extra)
