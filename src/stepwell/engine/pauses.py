"""Pauses: nothing that a pause covers is claimed or begun, until that same pause is lifted (rule 59).

- A pause names an app, a workflow, both or neither; what it doesn't name it covers whole. Each is its own: several may cover
  the same run, and lifting one lifts no other.
- Handlers of ticks and deliveries are covered by none: a webhook is answered and a tick fires, and the runs that they start
  wait.
- What executes goes to its next checkpoint, and is handed back there as it is (`control.handed_back`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stepwell.definition.text import is_handler
from stepwell.engine.commit import Commit
from stepwell.engine.run import BEGUN, Moment


class PauseRow(NamedTuple):
    """A pause. An empty name stands for all."""

    app_name: str
    workflow_name: str
    reason: str | None
    user_id: str | None
    """The user who paused it, where that is known."""
    paused_at: Moment

    def covers(self, app_name: str, workflow_name: str) -> bool:
        """Return whether runs of this workflow are paused by it."""
        return (
            self.app_name in ("", app_name)
            and self.workflow_name in ("", workflow_name)
            and not is_handler(workflow_name)
        )


def covering(pauses: Iterable[PauseRow], app_name: str, workflow_name: str) -> list[PauseRow]:
    """Return those of the pauses that cover this workflow."""
    return [pause for pause in pauses if pause.covers(app_name, workflow_name)]


def begun_later(commit: Commit, pauses: Sequence[PauseRow]) -> Commit:
    """Return the creation of a run that was to begin at once; ready and unclaimed if it is paused."""
    run = commit.run
    if run.owner is None or not covering(pauses, run.app_name, run.workflow_name):
        return commit
    waiting = run._replace(
        status="pending", claim=0, owner=None, headstart=run.headstart - BEGUN, ready_at=run.created_at
    )
    return commit._replace(run=waiting)
