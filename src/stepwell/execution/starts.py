"""Starts: everything is validated before anything is stored."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from stepwell.definition.authoring.workflow import Start as Start
from stepwell.definition.model import Definition
from stepwell.definition.values.inputs import args_json
from stepwell.engine.control import Request
from stepwell.engine.run import Moment
from stepwell.execution.arguments import (
    check_user,
    checked_key,
    checked_priority,
    due_at,
    labels_json,
    workspace_id,
)
from stepwell.execution.limits import under_limits
from stepwell.execution.shared import Shared, new_id
from stepwell.store.workspaces import workspace_of


@dataclass(frozen=True, slots=True)
class Origin:
    """The app and the user for which a run starts."""

    app_name: str
    user_id: str
    internal: int = 0


def requested(
    shared: Shared, start: Start, origin: Origin, now: Moment, owner: str | None = None, *, limited: bool = True
) -> tuple[Definition, Request]:
    """Return the start with everything validated. User code runs here, and not in what `begin` makes of it.

    It is under the limits of its workflow, unless it isn't stored.
    Raises UnknownApp, UnknownWorkflow, InvalidArgs, PayloadTooLarge, ValueError.
    """
    app_name = origin.app_name if start.app_name is None else start.app_name
    definition = shared.registry.get(app_name, start.workflow)
    check_user(origin.user_id)
    request = Request(
        new_id(),
        app_name,
        origin.user_id,
        workspace_of(app_name, origin.user_id)
        if start.workspace_id is None
        else workspace_id(start.workspace_id, origin.user_id),
        # A handler's args were bounded at the entry: a webhook's body may be larger than args.
        args_json(definition, start.args, sys.maxsize if origin.internal else shared.limits.args),
        definition.new_state(),
        labels_json(start.labels),
        checked_priority(start.priority),
        checked_key(start.idempotency_key),
        due_at(start.delay, start.at, now),
        owner,
        internal=origin.internal,
        ageing=shared.rules.ageing,
    )
    return definition, under_limits(definition, request, now) if limited else request
