"""Groups of children for people: how far they are, their items, and the groups of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from stepwell.console.reading.views import ChildGroup, Reading
from stepwell.definition.authoring.context import Until
from stepwell.definition.authoring.groups import GroupItem
from stepwell.engine.groups import Progress
from stepwell.engine.run import Status
from stepwell.errors import GroupNotFound
from stepwell.execution.clock import to_datetime
from stepwell.runner.arguments import id_of
from stepwell.runner.groups import GroupProgress, item_page, members_query, progress_of
from stepwell.runner.models import Page
from stepwell.store import batches, groups
from stepwell.store.tx import Tx

_MOST: Final = 100
"""Groups of a run that are shown: the newest."""


@dataclass(frozen=True, slots=True)
class Groups(Reading):
    """Groups of children, as far as their app and user are visible."""

    async def progress(self, group_id: str) -> GroupProgress:
        """Return how far a group is. Raises GroupNotFound."""
        return progress_of(await self._progress(group_id))

    async def items(self, group_id: str, status: Status | None, limit: int, cursor: str | None) -> Page[GroupItem[Any]]:
        """Return a page of its runs, in the order of the starts. Raises GroupNotFound."""
        found = await self._progress(group_id)
        after = -1 if cursor is None else int(cursor)
        return item_page(*await self.reader.read(members_query(found.group.id, after, limit, status)), self.apps)

    async def covers(self, batch_id: str) -> bool:
        """Return whether the apps of all runs of a batch are visible: a start may have named another one than the batch's."""
        apps = self.apps
        return apps is None or await self.reader.read(lambda tx: batches.apps(tx, batch_id)) <= apps

    async def of_run(self, workflow_id: str) -> list[ChildGroup]:
        """Return the groups that a run started, the newest first. Raises WorkflowNotFound."""
        run_id, now = (await self.reader.row(workflow_id)).id, self._core.shared.clock.now()

        def query(tx: Tx) -> list[Progress]:
            return [groups.progress_of(tx, row, now) for row in groups.of_parent(tx, run_id, _MOST)]

        return [_shown(found) for found in await self.reader.read(query)]

    async def _progress(self, group_id: str) -> Progress:
        wanted, now = id_of(group_id) or "", self._core.shared.clock.now()
        found = await self.reader.read(lambda tx: groups.progress(tx, wanted, now))
        if (
            found is None
            or self._user not in (None, found.group.user_id)
            or (self.apps is not None and found.group.app_name not in self.apps)
        ):
            raise GroupNotFound(f"No group {group_id!r}.")
        return found


def _shown(found: Progress) -> ChildGroup:
    row = found.group
    return ChildGroup(
        group_id=row.id,
        label=row.label,
        workflow_name=row.workflow_name,
        callback=row.callback,
        until=cast("Until", row.until),
        max_in_flight=row.max_in_flight,
        outcome="completed" if row.outcome == "completed" else None if row.outcome is None else "failed",
        decided_by=row.decided_by,
        decided_at=None if row.outcome is None or row.decided_at is None else to_datetime(row.decided_at),
        progress=progress_of(found),
    )
