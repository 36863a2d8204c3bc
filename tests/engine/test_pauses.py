"""What is paused: which workflows, and what becomes of a start that was to begin at once."""

from __future__ import annotations

import pytest

from stepwell import END, Workflow, transition
from stepwell.definition.authoring.workflow import definition_of
from stepwell.engine.control import Request, begin, handed_back
from stepwell.engine.pauses import PauseRow, begun_later, covering


class Job(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


REQUEST = Request("r", "shop", "u1", "w", "null", "{}", priority=3)


def pause(app: str = "", workflow: str = "") -> PauseRow:
    """One without a reason."""
    return PauseRow(app, workflow, None, None, 1)


@pytest.mark.parametrize(
    ("one", "covered"),
    [
        (pause(), True),
        (pause("shop"), True),
        (pause("shop", "job"), True),
        (pause("", "job"), True),
        (pause("store"), False),
        (pause("store", "job"), False),
        (pause("", "other"), False),
    ],
)
def test_a_start_that_was_to_begin_is_stored_as_any_other(one: PauseRow, covered: bool) -> None:
    owned = begin(definition_of(Job), REQUEST._replace(owner="me"), 5)
    later = begin(definition_of(Job), REQUEST, 5)
    assert begun_later(owned, [one]) == (later if covered else owned)
    assert begun_later(later, [one]) == later
    assert covering([pause("nothing"), one], "shop", "job") == ([one] if covered else [])


def test_handlers_are_never_paused() -> None:
    assert covering([pause(), pause("shop"), pause("", "tick:daily")], "shop", "tick:daily") == []


def test_what_is_handed_back_is_ready_or_waits_out_its_delay() -> None:
    run = begin(definition_of(Job), REQUEST._replace(owner="me"), 5).run
    ready = handed_back(run._replace(place="second", version=4), 9).run
    assert (ready.status, ready.owner, ready.claim, ready.ready_at, ready.place) == ("pending", None, 2, 9, "second")
    retried = handed_back(run._replace(status="retrying", due_at=70), 9).run
    assert (retried.status, retried.owner, retried.ready_at, retried.due_at) == ("retrying", None, None, 70)
