"""What a run's row says about the code that could execute it (rules 34, 46)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.life import Life
from stepwell import END, Workflow, transition
from stepwell.engine.choose import misfit


class Newer(Workflow, name="job", version=2):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"workflow_version": 1}, None),
        ({"workflow_version": 3}, "it is of version 3, and this code has version 2 of Newer"),
        ({"place": "gone"}, "its place 'gone' isn't in Newer any more"),
        ({"moves_to": "open"}, None),
        ({"moves_to": "gone"}, "the place 'gone' that it is to move to isn't in Newer any more"),
        ({"place": "open", "bound": "close"}, None),
        ({"place": "open", "bound": "shut"}, "the transition 'shut' that it is to retry doesn't leave 'open' any more"),
    ],
)
def test_a_row_tells_whether_code_can_execute_it(changes: dict[str, Any], why: str | None) -> None:
    life = Life(Newer)
    assert misfit(life.definition, life.run._replace(**changes)) == why


def test_without_the_workflow_nothing_can() -> None:
    assert misfit(None, Life(Newer).run) == "no such workflow is registered"
