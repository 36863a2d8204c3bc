"""Reading runs: models of rows, pages, histories, and why a run is where it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args
from uuid import UUID

from stepwell.definition.inputs import is_text
from stepwell.definition.model import Definition
from stepwell.engine.run import Run as RunRow
from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs, WorkflowNotFound
from stepwell.execution.clock import SystemClock
from stepwell.execution.operations import visible
from stepwell.runner.core import Core
from stepwell.runner.explain import Explanation, explain
from stepwell.runner.models import Checkpoint, Page, Run, StoredDocument, checkpoint_of, document_of, run_of
from stepwell.store import documents, history, queries, runs, signals, workers
from stepwell.store.base import History
from stepwell.store.rows import fitting
from stepwell.store.tx import Tx

if TYPE_CHECKING:
    from stepwell.definition.workflow import Workflow
    from stepwell.runner.opening import Opening

_BEGINNING: Final = re.compile(r"[0-9a-f]{8}-?[0-9a-f-]{0,27}")
"""What may be the beginning of an id."""
_AFTER_ALL: Final = "g"
"""Comes after every character of an id."""
_SKEW: Final = 3_600_000_000
"""Microseconds by which the clocks of machines may differ."""
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
    def only(self) -> str | None:
        """The user for whom this runner acts; None: for all."""
        return self._user_id

    @property
    def restricted(self) -> bool:
        """True if this runner acts for one user only."""
        return self._user_id is not None

    async def get(self, workflow_id: str, *, user_id: str | None = None) -> Run:
        """The run as it stands. Raises WorkflowNotFound."""
        return self._model(await self.row(workflow_id, user_id))

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
        check_limit(limit)
        wanted = queries.Filter(
            app_name=app_name,
            workflow_name=_workflow_name(workflow),
            status=_statuses(status),
            label=label,
            user_id=self._only(user_id),
            workspace_id=workspace_id,
            parent_id=parent_id,
        )
        return await self.find(wanted, limit=limit, cursor=cursor)

    async def find(
        self,
        wanted: queries.Filter,
        *,
        limit: int = 50,
        cursor: str | None = None,
        brief: bool = False,
        most_bytes: int | None = None,
    ) -> Page[Run]:
        """A page of the runs that are wanted, newest first; with `brief` their args, state and result are left out.

        A page may hold fewer runs than `limit` and yet have a `next_cursor`: what no index leads to is looked for among
        a bounded number of runs at a time, and with `most_bytes` a page is no larger than that, unless by one run.
        """
        check_limit(limit)
        before, wanted = cursor_of(cursor), self._within(wanted)
        if wanted.text and _BEGINNING.fullmatch(wanted.text.lower()):
            start = _hyphened(wanted.text.lower())
            by_id = replace(wanted, text=None, oldest_id=start, newest_id=start + _AFTER_ALL)
            found = await self._page(by_id, limit, before, brief, most_bytes)
            if found.items:
                return found
        return await self._page(wanted, limit, before, brief, most_bytes)

    async def _page(
        self, wanted: queries.Filter, limit: int, before: str | None, brief: bool, most_bytes: int | None
    ) -> Page[Run]:
        def query(given: Tx) -> queries.Listed:
            if brief or most_bytes is None:
                return queries.list_runs(given, wanted, limit, before, brief=brief)
            return queries.list_within(given, wanted, limit, before, most_bytes)

        runs, cursor = await self.core.store.read(query)
        return Page(items=tuple(self._model(row) for row in runs), next_cursor=cursor)

    def _within(self, wanted: queries.Filter) -> queries.Filter:
        """Bounded by the ids of its time: they carry it, as the machines' clocks have it."""
        if not isinstance(self.core.shared.clock, SystemClock):
            return wanted
        oldest, newest = wanted.created_after, wanted.created_before
        return replace(
            wanted,
            oldest_id=None if oldest is None else _id_at(oldest - _SKEW),
            newest_id=None if newest is None else _id_at(newest + _SKEW),
        )

    async def history(
        self,
        workflow_id: str,
        *,
        user_id: str | None = None,
        after: int = -1,
        limit: int = MOST_ROWS,
        newest: bool = False,
        before: int | None = None,
        most_bytes: int | None = None,
    ) -> Sequence[Checkpoint]:
        """The history after version `after`, oldest first; row 0 is the creation. `limit` is 1 to 10,000.

        `before`: only the rows before this version. With `newest` the last `limit` ones; also oldest first. With
        `most_bytes` fewer of them, where their states are larger together. A runner that acts for one user shows no
        tracebacks. Raises WorkflowNotFound.
        """
        _check_rows(limit)
        if not isinstance(after, int):
            raise InvalidArgs(f"after={after!r}: give the version of a row of the history.")
        await self.row(workflow_id, user_id)

        def query(given: Tx) -> tuple[list[History], dict[str, str | None]]:
            start = max(after, history.newest(given, workflow_id, before, limit)) if newest else after
            rows = history.of_run(given, workflow_id, start, limit, before)
            if most_bytes is not None:
                rows = _fitting(rows, most_bytes, newest)
            return rows, signals.answerers(given, [row.row.signal_id for row in rows if row.row.signal_id])

        found, people = await self.core.store.read(query)
        return [
            checkpoint_of(entry, people.get(entry.row.signal_id or ""), traces=not self.restricted) for entry in found
        ]

    async def documents(
        self,
        workflow_id: str,
        *,
        user_id: str | None = None,
        replaced: bool = False,
        limit: int = MOST_ROWS,
        after: int = -1,
        before: str | None = None,
        newest: bool = False,
        internal: bool = True,
        most_bytes: int | None = None,
    ) -> Sequence[StoredDocument]:
        """The current documents, in order; with `replaced` their older versions too. Internal ones only without a user.

        `limit` is 1 to 10,000: the first ones, or with `newest` the last ones; `most_bytes`: as many of them as are no
        larger together. `after`: those saved after this version. `before`: those in front of the document of this id. Raises
        WorkflowNotFound.
        """
        _check_rows(limit)
        await self.row(workflow_id, user_id)
        shown = internal and self._only(user_id) is None
        found = await self.core.store.read(
            lambda given: documents.of_run(
                given,
                workflow_id,
                current=not replaced,
                limit=limit,
                after=after,
                before=before,
                newest=newest,
                internal=shown,
                most_bytes=most_bytes,
            )
        )
        return [document_of(row) for row in found]

    async def explain(self, workflow_id: str, *, user_id: str | None = None) -> Explanation:
        """Why the run is where it is, in plain words. Raises WorkflowNotFound."""
        row = await self.row(workflow_id, user_id)

        def query(given: Tx) -> tuple[Any, Any]:
            return signals.inboxes(given, [workflow_id]), workers.all_of(given)

        inboxes, alive = await self.core.store.read(query)
        lane = [row.app_name, row.workflow_name]
        takers = sum(lane in workers.lanes_of(worker) for worker in alive)
        return explain(
            row, self._definition(row), inboxes.get(workflow_id, ()), alive, takers, machines=not self.restricted
        )

    async def row(self, workflow_id: str, user_id: str | None = None) -> RunRow:
        """The stored row of a run. Raises WorkflowNotFound."""
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


def _fitting(found: list[History], most: int, newest: bool) -> list[History]:
    """The first (or last) rows that are no larger together: each is told with its whole state."""
    ordered = found[::-1] if newest else found
    kept = ordered[: fitting((len(one.state or "") + len(one.row.trace or "") for one in ordered), most)]
    return kept[::-1] if newest else kept


def check_id(workflow_id: object) -> None:
    """Raises WorkflowNotFound for what can't be the id of a run: no database needs to be asked for that."""
    if not is_text(workflow_id, 64):
        raise WorkflowNotFound(f"No run {workflow_id!r}.")


def check_limit(limit: Any) -> None:
    """Raises InvalidArgs for what can't be the size of a page."""
    if not isinstance(limit, int) or not 1 <= limit <= 1000:
        raise InvalidArgs(f"limit={limit!r}: it is 1 to 1,000.")


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


def cursor_of(cursor: Any) -> str | None:
    """The id after which a page goes on. Raises InvalidArgs."""
    try:
        return None if cursor is None else str(UUID(cursor))
    except (ValueError, AttributeError, TypeError):
        raise InvalidArgs(f"cursor={cursor!r}: give the next_cursor of the page before, or leave it out.") from None


def _hyphened(beginning: str) -> str:
    """The beginning of an id as ids are written, whoever copied it without its hyphens."""
    digits = beginning.replace("-", "")
    groups = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(group for group in groups if group)


def _id_at(moment: int) -> str:
    """The first id of a millisecond: the first 48 bits are the time (RFC 9562, UUIDv7)."""
    text = f"{min(max(moment // 1000, 0), 2**48 - 1):012x}"
    return f"{text[:8]}-{text[8:]}"


def _workflow_name(workflow: Any) -> str | None:
    return workflow if workflow is None or isinstance(workflow, str) else workflow.stepwell_definition.name
