"""One action on many runs: what it would hit, and doing it, a page at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs, StepwellError, StoreUnavailable, WorkflowNotFound
from stepwell.execution.clock import to_moment
from stepwell.http.asking import Asking
from stepwell.http.schemas import BulkChoice, BulkFailure, BulkPreview, BulkResult, RunFilter
from stepwell.runner.models import Page, Run
from stepwell.store.queries import Filter

_LOOKED_AT: Final = 1_000
_AT_ONCE: Final = 200
_SAMPLE: Final = 10
_ELIGIBLE: Final[dict[str, tuple[Status, ...]]] = {
    "retry": ("failed", "retrying"),
    "cancel": ("pending", "running", "waiting", "retrying", "failed"),
}


@dataclass(frozen=True, slots=True)
class Bulk:
    """An action on the runs that somebody chose."""

    asking: Asking
    choice: BulkChoice

    async def preview(self) -> BulkPreview:
        """What it would hit, as it stands now. Raises InvalidArgs."""
        page = await self._page(_LOOKED_AT, None)
        eligible, skipped = self._parted(page.items)
        return BulkPreview(
            matching=len(page.items),
            eligible=len(eligible),
            more=page.next_cursor is not None,
            skipped=skipped,
            sample=tuple(eligible[:_SAMPLE]),
        )

    async def do(self, reason: str | None, cursor: str | None) -> BulkResult:
        """It was done for a page of them. A run that refuses doesn't hold up the others. Raises StoreUnavailable."""
        page = self.asking.cursors.page(await self._page(_AT_ONCE, self.asking.cursors.position(cursor)))
        eligible, skipped = self._parted(page.items)
        answers = await asyncio.gather(*(self._one(run, reason) for run in eligible))
        failed = tuple(answer for answer in answers if answer is not None)
        return BulkResult(
            done=len(eligible) - len(failed), skipped=skipped, failed=failed, next_cursor=page.next_cursor
        )

    async def _one(self, run: Run, reason: str | None) -> BulkFailure | None:
        runner = self.asking.runner
        try:
            if self.choice.action == "retry":
                await runner.retry(run.workflow_id)
            else:
                await runner.cancel(run.workflow_id, reason=reason)
        except StoreUnavailable:
            raise
        except StepwellError as error:
            return BulkFailure(workflow_id=run.workflow_id, detail=str(error))
        return None

    def _parted(self, found: tuple[Run, ...]) -> tuple[list[Run], dict[str, int]]:
        wanted = _ELIGIBLE[self.choice.action]
        skipped = Counter(f"it is {run.status}" for run in found if run.status not in wanted)
        return [run for run in found if run.status in wanted], dict(skipped)

    async def _page(self, limit: int, cursor: str | None) -> Page[Run]:
        if (self.choice.runs is None) == (self.choice.filter is None):
            message = "Give either `runs` or `filter`."
            raise InvalidArgs(message, [{"loc": ("filter",), "msg": message, "type": "one_of"}])
        if self.choice.filter is not None:
            wanted = self.asking.within(filter_of(self.choice.filter))
            return await self.asking.runner.find(wanted, limit=limit, cursor=cursor, brief=True)
        return await self._named(self.choice.runs or (), limit, cursor)

    async def _named(self, ids: list[str] | tuple[()], limit: int, cursor: str | None) -> Page[Run]:
        chosen = sorted({one for one in ids if _is_id(one) and (cursor is None or one < cursor)}, reverse=True)
        found = [run for one in chosen[:limit] if (run := await self._there(one)) is not None]
        return Page(items=tuple(found), next_cursor=chosen[limit - 1] if len(chosen) > limit else None)

    async def _there(self, workflow_id: str) -> Run | None:
        try:
            return await self.asking.run(workflow_id)
        except WorkflowNotFound:
            return None


def _is_id(text: str) -> bool:
    # What isn't one names no run, and could be no cursor.
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def filter_of(given: RunFilter) -> Filter:
    """The filter as the store takes it."""
    return Filter(
        app_name=given.app_name,
        workflow_name=given.workflow,
        status=tuple(given.status) if given.status else None,
        label=given.label,
        workspace_id=given.workspace_id,
        user_id=given.user_id,
        place=given.place,
        text=given.q or None,
        created_after=None if given.created_after is None else to_moment(given.created_after),
        created_before=None if given.created_before is None else to_moment(given.created_before),
    )
