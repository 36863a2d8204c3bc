"""Reading runs: models of rows, pages, histories, and why a run is where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

from stepwell.definition.inputs import is_text
from stepwell.definition.model import Definition
from stepwell.engine.run import Run as RunRow
from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs, WorkflowNotFound
from stepwell.execution.operations import visible
from stepwell.runner.core import Core
from stepwell.runner.explain import Explanation, explain
from stepwell.runner.models import Checkpoint, Page, Run, StoredDocument, checkpoint_of, document_of, run_of
from stepwell.store import documents, history, queries, runs, signals, workers
from stepwell.store.tx import Tx

if TYPE_CHECKING:
    from stepwell.definition.workflow import Workflow
    from stepwell.runner.opening import Opening

MOST_ROWS = 10_000
"""Rows of the history, and documents, that one call returns at most."""


class Reader:
    """The verbs that change nothing. With a user, everybody else's runs look as if they weren't there."""

    def __init__(self, opening: Opening, user_id: str | None = None) -> None:
        self._opening = opening
        self._user_id = user_id

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError unless the Stepwell is open."""
        return self._opening.core

    @property
    def restricted(self) -> bool:
        """True if this runner acts for one user only."""
        return self._user_id is not None

    async def get(self, workflow_id: str, *, user_id: str | None = None) -> Run:
        """The run as it stands. Raises WorkflowNotFound."""
        return self._model(await self._row(workflow_id, user_id))

    async def list(
        self,
        *,
        app_name: str | None = None,
        workflow: type[Workflow[Any, Any, Any]] | str | None = None,
        status: str | Sequence[str] | None = None,
        label: str | None = None,
        user_id: str | None = None,
        workspace_id: str | None = None,
        parent_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """A page of runs, newest first. `limit` is 1 to 1,000; `cursor` is the `next_cursor` of the page before."""
        if not _is_limit(limit):
            raise InvalidArgs(f"limit={limit!r}: it is 1 to 1,000.")
        wanted = queries.Filter(
            app_name=app_name,
            workflow_name=_workflow_name(workflow),
            status=_statuses(status),
            label=label,
            user_id=self._only(user_id),
            workspace_id=workspace_id,
            parent_id=parent_id,
        )
        before = _cursor(cursor)
        found = await self.core.store.read(lambda given: queries.list_runs(given, wanted, limit + 1, before))
        more = found[limit - 1].id if len(found) > limit else None
        return Page(items=tuple(self._model(row) for row in found[:limit]), next_cursor=more)

    async def history(
        self, workflow_id: str, *, user_id: str | None = None, after: int = -1, limit: int = MOST_ROWS
    ) -> Sequence[Checkpoint]:
        """The history after version `after`, oldest first; row 0 is the creation. `limit` is 1 to 10,000.

        A runner that acts for one user shows no tracebacks. Raises WorkflowNotFound.
        """
        _check_rows(limit)
        if not isinstance(after, int):
            raise InvalidArgs(f"after={after!r}: give the version of a row of the history.")
        await self._row(workflow_id, user_id)
        found = await self.core.store.read(lambda given: history.of_run(given, workflow_id, after, limit))
        return [checkpoint_of(entry, traces=not self.restricted) for entry in found]

    async def documents(
        self, workflow_id: str, *, user_id: str | None = None, replaced: bool = False, limit: int = MOST_ROWS
    ) -> Sequence[StoredDocument]:
        """The current documents, in order; with `replaced` their older versions too. Internal ones only without a user.

        `limit` is 1 to 10,000: the first ones. Raises WorkflowNotFound.
        """
        _check_rows(limit)
        await self._row(workflow_id, user_id)
        found = await self.core.store.read(
            lambda given: documents.of_run(given, workflow_id, current=not replaced, limit=limit)
        )
        return [document_of(row) for row in found if not row.internal or self._only(user_id) is None]

    async def explain(self, workflow_id: str, *, user_id: str | None = None) -> Explanation:
        """Why the run is where it is, in plain words. Raises WorkflowNotFound."""
        row = await self._row(workflow_id, user_id)

        def query(given: Tx) -> tuple[Any, Any]:
            return signals.inboxes(given, [workflow_id]), workers.all_of(given)

        inboxes, alive = await self.core.store.read(query)
        lane = [row.app_name, row.workflow_name]
        takers = sum(lane in workers.lanes_of(worker) for worker in alive)
        return explain(
            row, self._definition(row), inboxes.get(workflow_id, ()), alive, takers, machines=not self.restricted
        )

    async def _row(self, workflow_id: str, user_id: str | None = None) -> RunRow:
        check_id(workflow_id)
        row = await self.core.store.read(lambda given: runs.load_one(given, workflow_id))
        return visible(row, workflow_id, self._only(user_id))

    def _only(self, user_id: str | None) -> str | None:
        """The user to restrict to. Raises WorkflowNotFound for somebody else's name in a restricted runner."""
        if self._user_id is None or user_id in (None, self._user_id):
            return self._user_id or user_id
        raise WorkflowNotFound(f"This runner acts for user {self._user_id!r} only, not for {user_id!r}.")

    def _definition(self, row: RunRow) -> Definition | None:
        return self.core.shared.registry.find(row.app_name, row.workflow_name)

    def _model(self, row: RunRow) -> Run:
        return run_of(row, self._definition(row))


def check_id(workflow_id: object) -> None:
    """Raises WorkflowNotFound for what can't be the id of a run: no database needs to be asked for that."""
    if not is_text(workflow_id, 64):
        raise WorkflowNotFound(f"No run {workflow_id!r}.")


def _is_limit(limit: Any) -> bool:
    return isinstance(limit, int) and 1 <= limit <= 1000


def _check_rows(limit: Any) -> None:
    if not isinstance(limit, int) or not 1 <= limit <= MOST_ROWS:
        raise InvalidArgs(f"limit={limit!r}: it is 1 to {MOST_ROWS:,}.")


def _statuses(status: Any) -> tuple[str, ...] | None:
    if status is None:
        return None
    wanted = (status,) if isinstance(status, str) else tuple(status)
    known = get_args(Status)
    wrong = [one for one in wanted if one not in known]
    if wrong:
        raise InvalidArgs(f"status={wrong[0]!r} is none: a run is {', '.join(known)}.")
    return wanted


def _cursor(cursor: Any) -> str | None:
    try:
        return None if cursor is None else str(UUID(cursor))
    except (ValueError, AttributeError, TypeError):
        raise InvalidArgs(f"cursor={cursor!r}: give the next_cursor of the page before, or leave it out.") from None


def _workflow_name(workflow: Any) -> str | None:
    return workflow if workflow is None or isinstance(workflow, str) else workflow.stepwell_definition.name
