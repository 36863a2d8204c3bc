"""What belongs to a run besides its history and its documents: its children, and what it has journaled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from stepwell.definition.context import Show
from stepwell.engine.run import Run as RunRow
from stepwell.execution.clock import to_datetime
from stepwell.runner.models import Page
from stepwell.runner.query import check_limit, cursor_of
from stepwell.runner.sight import Sight
from stepwell.runner.views import Child, Step
from stepwell.store import history, overview

_HIDDEN: Final = {"show": "hidden"}


@dataclass(frozen=True, slots=True)
class Parts(Sight):
    """The parts of single runs."""

    async def children(self, workflow_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Child]:
        """The runs that a run started, newest first. Raises WorkflowNotFound."""
        check_limit(limit)
        before = cursor_of(cursor)
        await self.reader.row(workflow_id)
        found, links = await self._core.store.read(
            lambda tx: (overview.children(tx, workflow_id, limit + 1, before), overview.links(tx, workflow_id))
        )
        shown = {link.get("workflow_id"): link for link in map(json.loads, links)}
        more = found[limit - 1].id if len(found) > limit else None
        return Page(
            items=tuple(self._child(row, shown.get(row.id, _HIDDEN)) for row in found[:limit]), next_cursor=more
        )

    def _child(self, row: RunRow, shown: Mapping[str, Any]) -> Child:
        return Child(
            run=self._model(row),
            callback=row.callback,
            label=shown.get("label"),
            show=shown["show"] if shown.get("show") in get_args(Show) else "hidden",
            on_parent_end="abandon" if row.on_parent_end == "abandon" else "cancel",
        )

    async def steps(
        self, workflow_id: str, *, visit: int | None = None, limit: int = 1_000, most_bytes: int | None = None
    ) -> list[Step]:
        """What the run has journaled last (in one visit), oldest first. Raises WorkflowNotFound."""
        await self.reader.row(workflow_id)
        found = await self._core.store.read(lambda tx: history.steps_of(tx, workflow_id, visit, limit, most_bytes))
        return [
            Step(
                visit=row.visit,
                transition=row.transition,
                name=row.name,
                value=json.loads(row.value),
                recorded_at=to_datetime(row.recorded_at),
            )
            for row in found
        ]
