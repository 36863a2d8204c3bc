"""A run with all that it owns, without ids and times, so that two runs of one story can be compared."""

from __future__ import annotations

import json
from typing import Any, Final

from stepwell.runner.models import Run
from stepwell.runner.runner import WorkflowRunner

_RUN: Final = {"workflow_name", "status", "place", "state", "result", "error", "waiting_for", "args", "version"}
_ROW: Final = {"version", "transition", "source", "target", "attempt", "status", "error", "state"}
_DOCUMENT: Final = {"name", "key", "content", "tags", "meta", "errors", "transition", "version", "internal"}


async def snapshot(runner: WorkflowRunner, run_id: str) -> dict[str, Any]:
    """Return the run with all it owns and its children, without ids and times, which differ between runs."""
    ids: dict[str, str] = {}
    found = await _snapshot(runner, run_id, "the run", ids)
    text = json.dumps(found)
    for known, name in ids.items():
        text = text.replace(known, f"<{name}>")
    snapshot: dict[str, Any] = json.loads(text)
    return snapshot


async def _snapshot(runner: WorkflowRunner, run_id: str, name: str, ids: dict[str, str]) -> dict[str, Any]:
    ids[run_id] = name
    run = await runner.get(run_id)
    history = [row.model_dump(mode="json", include=_ROW) for row in await runner.history(run_id)]
    documents = [
        one.model_dump(mode="json", include=_DOCUMENT) for one in await runner.documents(run_id, replaced=True)
    ]
    children = await children_of(runner, run_id)
    return {
        **run.model_dump(mode="json", include=_RUN),
        "history": history,
        "documents": documents,
        "children": [
            await _snapshot(runner, child.workflow_id, f"child {n} of {name}", ids)
            for n, child in enumerate(children, 1)
        ],
    }


async def children_of(runner: WorkflowRunner, run_id: str) -> list[Run]:
    """Return the children of a run in the order of their starts."""
    found: list[Run] = []
    cursor: str | None = None
    while True:
        page = await runner.list(parent_id=run_id, limit=1000, cursor=cursor)
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found[::-1]
