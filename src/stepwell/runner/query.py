"""Reading runs: models of rows, pages, histories, and why a run is where it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stepwell.definition.model import Definition
from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.engine.pauses import covering
from stepwell.engine.run import RunRow, names_in
from stepwell.errors import GroupNotFound, InvalidArgs, WorkflowNotFound
from stepwell.execution.clock import SystemClock
from stepwell.execution.operations import visible
from stepwell.runner.arguments import (
    MOST_ROWS,
    check_limit,
    check_rows,
    checked_moment,
    checked_text,
    cursor_of,
    id_of,
    run_id,
    statuses_of,
    wanted_id,
    workflow_name_of,
)
from stepwell.runner.core import Core
from stepwell.runner.groups import GroupProgress, progress_of
from stepwell.runner.models import (
    Checkpoint,
    Explanation,
    Page,
    Run,
    Situation,
    StoredDocument,
    checkpoint_of,
    document_of,
    run_of,
    waiting_signals,
)
from stepwell.runner.step_models import StepRow, step_cursor, step_position, step_row_of
from stepwell.runner.weight import within_values
from stepwell.store import documents, groups, history, inbox, pauses, questions, runs, signals, workers
from stepwell.store.history import History
from stepwell.store.reading import limits, queries
from stepwell.store.reading.queries import Filter
from stepwell.store.tx import Tx

__all__ = ["Filter", "Reader"]

if TYPE_CHECKING:
    from stepwell.definition.authoring.workflow import Workflow
    from stepwell.runner.opening import Opening

T = TypeVar("T")

_BEGINNING: Final = re.compile(r"[0-9a-f]{8}-?[0-9a-f-]{0,27}")
"""The beginning of an id."""
_AFTER_ALL: Final = "g"
"""Comes after every character of an id."""
_SKEW: Final = 3_600_000_000
"""Microseconds by which the clocks of machines may differ."""
_LATELY: Final = 1_000
"""Rows of the history in which `explain` looks for signals that weren't used."""
_UNUSED: Final = 5
_HOLDERS: Final = 5
"""Runs that hold a limit, and that `explain` names."""
_PAGE_BYTES: Final = 64 * 1024 * 1024
_TEXTS: Final = {
    "app_name": "app_name",
    "workflow_name": "workflow",
    "label": "label",
    "user_id": "user_id",
    "workspace_id": "workspace_id",
    "parent_id": "parent_id",
    "place": "place",
    "text": "text",
}
"""The filters that are texts, and how callers name them."""


class Reader:
    """The verbs that change nothing. With a user, other users' runs don't exist for them."""

    def __init__(self, opening: Opening, user_id: str | None = None, asked_by: str | None = None) -> None:
        self._opening = opening
        self._user_id = user_id
        self._asked_by = asked_by
        """The user whose request this is; None: the application's own code."""

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

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Return the result of `query`, in the turn of the user whose request this is.

        Raises ReadTooLong, TooManyReads or StoreUnavailable.
        """
        return await self.core.store.read_for(self._asked_by, query)

    async def get(self, workflow_id: str, *, user_id: str | None = None) -> Run:
        """Return the run as it stands. Raises WorkflowNotFound."""
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
        place: str | None = None,
        text: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """Return a page of runs, newest first.

        `text` is looked for in ids, subjects, names, places, labels, keys, and in the first 16,384 characters of errors and
        args. `created_after` and `created_before` are aware datetimes. `limit` is 1 to 1,000; `cursor` is the `next_cursor`
        of the page before. A page of large runs may hold fewer than `limit` and yet have a `next_cursor`: it is no larger
        than 64 MiB, unless by one run.
        """
        check_limit(limit)
        wanted = Filter(
            app_name=checked_text("app_name", app_name),
            workflow_name=workflow_name_of(workflow),
            status=statuses_of(status),
            label=checked_text("label", label),
            user_id=self._only(user_id),
            workspace_id=wanted_id("workspace_id", workspace_id),
            parent_id=wanted_id("parent_id", parent_id),
            place=checked_text("place", place),
            text=checked_text("text", text) or None,
            created_after=checked_moment("created_after", created_after),
            created_before=checked_moment("created_before", created_before),
        )
        return await self.find(wanted, limit=limit, cursor=cursor, most_bytes=_PAGE_BYTES)

    async def find(
        self,
        wanted: Filter,
        *,
        limit: int = 50,
        cursor: str | None = None,
        brief: bool = False,
        most_bytes: int | None = None,
    ) -> Page[Run]:
        """Return a page of the runs that are wanted, newest first; `brief` omits their args, state and result.

        A page may hold fewer runs than `limit` and yet have a `next_cursor`: values without an index are looked for among
        a bounded number of runs at a time, and with `most_bytes` a page is no larger than that, unless by one run.
        """
        check_limit(limit)
        for name, what in _TEXTS.items():
            given = getattr(wanted, name)
            if given and not is_text(given, len(given)):  # no database stores it
                raise InvalidArgs(f"{what}={given!r}: give a text without NUL and halves of surrogate pairs.")
        before, wanted = cursor_of(cursor), self._within(wanted)
        if wanted.text and _BEGINNING.fullmatch(wanted.text.lower()):
            digits = wanted.text.lower().replace("-", "")  # an id may be copied without its hyphens
            groups = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
            start = "-".join(group for group in groups if group)
            by_id = replace(wanted, text=None, oldest_id=start, newest_id=start + _AFTER_ALL)
            found = await self._page(by_id, limit, before, brief, most_bytes)
            if found.items:
                return found
        return await self._page(wanted, limit, before, brief, most_bytes)

    async def _page(
        self, wanted: Filter, limit: int, before: str | None, brief: bool, most_bytes: int | None
    ) -> Page[Run]:
        def query(given: Tx) -> queries.Listed:
            if brief or most_bytes is None:
                return queries.list_runs(given, wanted, limit, before, brief=brief)
            return queries.list_within(given, wanted, limit, before, most_bytes)

        found, cursor = await self.read(query)
        kept = found
        if self._asked_by is not None:
            kept = within_values(found, lambda row: (row.args, row.state, row.result))
            cursor = cursor if len(kept) == len(found) else kept[-1].id
        items = [self._model(row) for row in kept]
        return Page(items=tuple([await self._migrated(one) for one in items] if brief else items), next_cursor=cursor)

    async def _migrated(self, run: Run) -> Run:
        """Return a run of which only a part was read with the signals that may be sent to it: migrations need all of it."""
        definition = self.core.shared.registry.find(run.app_name, run.workflow_name)
        if (
            definition is None
            or not definition.migrations
            or run.workflow_version >= definition.version
            or run.status in ("completed", "canceled", "failed")
        ):
            return run
        row = await self.read(lambda given: runs.load_one(given, run.workflow_id))
        return run if row is None else run.model_copy(update={"waiting_for": waiting_signals(row, definition)})

    def _within(self, wanted: Filter) -> Filter:
        """Return the filter bounded by the ids of its time: ids carry the time of the machines' clocks."""
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
        """Return the history after version `after`, oldest first; row 0 is the creation. `limit` is 1 to 10,000.

        `before`: only the rows before this version. With `newest` the last `limit` ones; also oldest first. With
        `most_bytes` fewer of them, where their states are larger together. A runner that acts for one user shows no
        tracebacks. Raises WorkflowNotFound.
        """
        check_rows(limit)
        if not isinstance(after, int):
            raise InvalidArgs(f"after={after!r}: give the version of a row of the history.")
        run = (await self.row(workflow_id, user_id)).id

        def query(given: Tx) -> tuple[list[History], dict[str, str | None]]:
            start = max(after, history.newest(given, run, before, limit)) if newest else after
            end = before
            if most_bytes is not None:
                start, end = history.fitting(given, run, start, before, limit, most_bytes, last=newest)
            rows = history.of_run(given, run, start, limit, end)
            return rows, signals.answerers(given, [row.row.signal_id for row in rows if row.row.signal_id])

        found, people = await self.read(query)
        if most_bytes is not None:
            found = within_values(found, lambda entry: (entry.state,), last=newest)
        return [
            checkpoint_of(entry, people.get(entry.row.signal_id or ""), traces=not self.restricted) for entry in found
        ]

    async def steps(
        self, workflow_id: str, *, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[StepRow]:
        """Return a page of the run's steps, by visits and in the order in which they began. `limit` is 1 to 1,000.

        A page of large values may hold fewer, and yet have a `next_cursor`. Raises WorkflowNotFound, InvalidArgs.
        """
        check_limit(limit)
        after = step_position(cursor)
        run = (await self.row(workflow_id, user_id)).id
        found, more = await self.read(lambda given: history.steps_after(given, run, after, limit, _PAGE_BYTES))
        kept = found if self._asked_by is None else within_values(found, lambda row: (row.value,))
        more = more or len(kept) < len(found)
        return Page(items=tuple(map(step_row_of, kept)), next_cursor=step_cursor(kept[-1]) if more and kept else None)

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
        """Return the current documents, in order; with `replaced` their older versions too. Internal ones only without a user.

        `limit` is 1 to 10,000: the first ones, or with `newest` the last ones; `most_bytes`: as many of them as are no
        larger together. `after`: those saved after this version. `before`: those in front of the document of this id. Raises
        WorkflowNotFound.
        """
        check_rows(limit)
        run = (await self.row(workflow_id, user_id)).id
        shown = internal and self._only(user_id) is None
        found = await self.read(
            lambda given: documents.of_run(
                given,
                run,
                current=not replaced,
                limit=limit,
                after=after,
                before=before,
                newest=newest,
                internal=shown,
                most_bytes=most_bytes,
            )
        )
        if most_bytes is not None:
            found = within_values(found, lambda row: (row.content, row.meta), last=newest)
        return [document_of(row) for row in found]

    async def explain(self, workflow_id: str, *, user_id: str | None = None) -> Explanation:
        """Return why the run is where it is, in plain words. Raises WorkflowNotFound."""
        row, only, now = await self.row(workflow_id, user_id), self._only(user_id), self.core.shared.clock.now()
        limit_of, lane = self.core.store.applier.gates.limits.of, [row.app_name, row.workflow_name]

        def query(given: Tx) -> Situation:
            kept, alive = inbox.outline(given, row.id), workers.all_of(given)
            called = names_in(row.callbacks)
            return Situation(
                row,
                self._definition(row),
                kept,
                alive,
                takers=sum(lane in workers.lanes_of(worker) for worker in alive),
                unused=history.unused_in(given, row.id, row.version - _LATELY, _UNUSED),
                machines=not self.restricted,
                pauses=covering(pauses.all_of(given), row.app_name, row.workflow_name),
                hold=limits.hold_of(given, row, limit_of, now, _HOLDERS, only),
                ahead=limits.ahead(given, row),
                asked=[one for one in questions.open_of(given, row.id, row.visit) if one.transition not in called],
                now=now,
            )

        return self._opening.explain(await self.read(query))

    async def group(self, group_id: str, *, user_id: str | None = None) -> GroupProgress:
        """Return how far a group of children is, counted from its runs. Raises GroupNotFound."""
        only, wanted, now = self._only(user_id), id_of(group_id) or "", self.core.shared.clock.now()
        found = await self.read(lambda given: groups.progress(given, wanted, now))
        if found is None or only not in (None, found.group.user_id):
            raise GroupNotFound(f"No group {shown(group_id)}" + (f" of user {only!r}." if only is not None else "."))
        return progress_of(found)

    async def row(self, workflow_id: str, user_id: str | None = None) -> RunRow:
        """Return the stored row of a run. Raises WorkflowNotFound."""
        store, only = self.core.store, self._only(user_id)  # that it isn't open is said first
        run = run_id(workflow_id, only)
        row = await store.read_for(self._asked_by, lambda given: runs.load_one(given, run))
        return visible(row, run, only)

    def _only(self, user_id: str | None) -> str | None:
        """Return the user to restrict to. Raises InvalidArgs, or WorkflowNotFound for another user in a restricted runner."""
        if user_id is not None:
            checked_text("user_id", user_id)
        if self._user_id is None or user_id in (None, self._user_id):
            return self._user_id or user_id
        raise WorkflowNotFound(f"This runner acts for user {self._user_id!r} only, not for {user_id!r}.")

    def _definition(self, row: RunRow) -> Definition | None:
        return self.core.shared.registry.find(row.app_name, row.workflow_name)

    def _model(self, row: RunRow) -> Run:
        return run_of(row, self._definition(row))


def _id_at(moment: int) -> str:
    """Return the first id of a millisecond: the first 48 bits are the time (RFC 9562, UUIDv7)."""
    text = f"{min(max(moment // 1000, 0), 2**48 - 1):012x}"
    return f"{text[:8]}-{text[8:]}"
