"""Runs that begin at a place of the test's choice, as if they had just entered it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stepwell.definition.authoring.marks import END, START
from stepwell.definition.model import Definition
from stepwell.definition.unset import UNSET
from stepwell.definition.values.misfit import shown
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin
from stepwell.engine.matching import listeners_of
from stepwell.errors import InvalidArgs, UnknownWorkflow
from stepwell.execution.forking import state_json
from stepwell.execution.limits import under_limits
from stepwell.execution.shared import Shared
from stepwell.execution.starts import Origin, Start, requested
from stepwell.nearest import suggestion


def standing(shared: Shared, start: Start, place: object, state: object, user_id: str) -> tuple[Definition, Commit]:
    """Return the commit that creates a run at this place, with this state; `UNSET`: the initial one.

    It is under the limits of its workflow, except that no other run stands for it or is replaced by it. Raises
    UnknownApp, UnknownWorkflow, InvalidArgs, InvalidState, PayloadTooLarge.
    """
    origin = Origin(start.app_name or app_of(shared, start.workflow), user_id)
    now = shared.clock.now()
    definition, request = requested(shared, start, origin, now, limited=False)
    where = checked_place(definition, place)
    if state is not UNSET:
        request = request._replace(state=state_json(definition, state, shared.limits.state))
    elsewhere = replace(definition, timed=definition.timed - {START})  # what START would work out isn't asked for
    commit = begin(definition, _as_entered(under_limits(elsewhere, request, now)), now)
    assert commit.history is not None  # a creation has a row
    run = commit.run._replace(place=where)
    creation = commit.history._replace(target=where)
    return definition, commit._replace(run=run, history=creation, listeners=listeners_of(definition, run))


def _as_entered(request: Request) -> Request:
    """Return the request without what concerns starts only: what its place works out is asked for when it is there."""
    return request._replace(due_at=None, expires_at=None, conflicts=(), timers=None, asked=())


def app_of(shared: Shared, workflow: Any) -> str:
    """Return the one app that lists the workflow. Raises UnknownWorkflow, InvalidArgs."""
    found = shared.registry.listing((workflow,))
    if len(found) == 1:
        return found[0]
    name = getattr(workflow, "__name__", None) or shown(workflow)
    if not found:
        raise UnknownWorkflow(f"No app of this harness lists {name}: add it to App(..., workflows=[...]).")
    apps = ", ".join(map(repr, found))
    raise InvalidArgs(f"{name} is listed by the apps {apps}: give one, as app_name={found[0]!r}.")


def checked_place(definition: Definition, place: object) -> str:
    """Return the place if a run of the workflow can stand in it. Raises InvalidArgs."""
    name, places = definition.workflow.__name__, [one for one in definition.places if one != END]
    if place == END:
        raise InvalidArgs(f"place=END: no run stands there. Places of {name}: {', '.join(places)}.")
    if isinstance(place, str) and place in places:
        return place
    known = suggestion(place if isinstance(place, str) else "", places)
    raise InvalidArgs(f"place={shown(place)}: {name} has no such place; {known}")
