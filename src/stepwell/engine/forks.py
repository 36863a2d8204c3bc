"""Forks: new runs that begin at the target of a row in another run's history (rule 55).

- A fork has a history of its own from version 0 on; its row 0 leads to its place. It stands at the beginning of a visit:
  timers count from now, nothing is journaled, and nothing of inbox, children and timers comes along.
- What a run was before migrations changed it stays with it, so that a fork of an early row sees the version and the args
  that belong to the state of then.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from stepwell.definition.authoring.marks import END
from stepwell.definition.model import Definition
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin
from stepwell.engine.matching import listeners_of
from stepwell.engine.run import HistoryRow, Moment, RunRow


class ForkOrigin(NamedTuple):
    """The row that a fork comes from, and a digest of what it was given."""

    run_id: str
    version: int
    given: str


class Former(NamedTuple):
    """A run before migrations changed it."""

    until: int
    """The last version of its history that earlier code has written."""
    workflow_version: int
    args: str


def with_former(text: str | None, former: Former) -> str:
    """Return `RunRow.former` with one more entry."""
    return json.dumps([*([] if text is None else json.loads(text)), former], ensure_ascii=False)


def as_of(run: RunRow, row: HistoryRow, state: str) -> RunRow:
    """Return the run as it was once this row was written: at its target, with this state."""
    found = [] if run.former is None else [Former(*one) for one in json.loads(run.former)]
    then = next((one for one in found if row.version <= one.until), None)
    version, args = (run.workflow_version, run.args) if then is None else then[1:]
    return run._replace(
        workflow_version=version, args=args, state=state, place=row.target or run.place, status="pending", owner=None,
        result=None, moves_to=None, detours=None, bound=None, failing=None, callbacks=None, timers=None,
    )  # fmt: skip


def leads_on(row: HistoryRow) -> bool:
    """Return whether a run can begin at the target of this row."""
    return row.target is not None and row.target != END and row.status != "void"


def fork(definition: Definition, request: Request, origin: ForkOrigin, place: str, now: Moment) -> Commit:
    """Return the commit that creates a run at this place, ready at once, under the limits of its workflow.

    It was asked for as it is: no unfinished run of its keys stands for it, and it replaces none.
    """
    commit = begin(definition, request, now)
    run = commit.run._replace(
        place=place, forked_from=origin.run_id, forked_at=origin.version, forked_with=origin.given
    )
    creation = HistoryRow(run.id, 0, None, None, place, 0, "committed", None, None, run.state, None, now, now)
    return commit._replace(run=run, history=creation, listeners=listeners_of(definition, run))
