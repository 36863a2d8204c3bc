"""The runs that an event starts and resumes, worked out before anything is written."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from stepwell.definition.model import Definition
from stepwell.definition.text import SYSTEM_USER, is_text
from stepwell.definition.values.inputs import args_json, bounded, details, payload_json, plain_json, summary
from stepwell.definition.values.misfit import ValueMisfit
from stepwell.engine.commit import Commit, Emission, Resume
from stepwell.engine.control import Request
from stepwell.engine.matching import event_key
from stepwell.errors import InvalidArgs, InvalidPayload
from stepwell.execution.limits import begin_limited
from stepwell.execution.shared import Shared, new_id
from stepwell.store.workspaces import EVENT_KEY, workspace_of

log = logging.getLogger("stepwell.events")

_MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """A listener that the event's data doesn't fit."""

    app_name: str
    workflow_name: str
    transition: str | None
    """None: the event would have started the workflow."""
    reason: str


def plan(
    shared: Shared,
    name: str,
    data: object,
    user_id: str | None,
    event_id: str | None,
    *,
    only_user: str | None,
) -> tuple[Emission, list[Refusal]]:
    """Return the emission with validated args and payloads, and the listeners that it doesn't fit.

    `user_id` is whose the started runs are, `only_user` restricts whose runs are resumed.
    Raises InvalidArgs for a name or an id that is none, InvalidPayload for data that isn't JSON, PayloadTooLarge.
    """
    _check_text("name", name)
    for what, given in (("event_id", event_id), ("user_id", user_id)):
        if given is not None:
            _check_text(what, given)
    text = bounded(_data_json(name, data), shared.limits.payload, f"The data of event {name!r}")
    plain, now = json.loads(text), shared.clock.now()
    identity = event_id or new_id()
    refused: list[Refusal] = []
    starts, resumes = [], []
    for app, definition in shared.registry.starting(name):
        for event in definition.on:
            if event.name == name and event_key(event, plain) is not None:
                start = _start(shared, app, definition, plain, user_id, identity, now, refused)
                starts += [start] if start else []
    for app, definition, transition in shared.registry.resuming(name):
        matched = event_key(transition.event, plain) if transition.event else None
        if matched is None:
            continue
        try:
            payload = payload_json(definition, transition, plain, shared.limits.payload)
        except InvalidPayload as error:
            refused.append(_refusal(name, app, definition, transition.name, error))
            continue
        resumes += [
            Resume(name, app, definition.name, called, matched, payload, transition.first_name)
            for called in (transition.name, *transition.was)
        ]
    return Emission(name, identity, only_user, tuple(starts), tuple(resumes), text), refused


def _check_text(what: str, given: Any) -> None:
    if not is_text(given, _MAX_TEXT):
        raise InvalidArgs(f"emit({what}={given!r}): give a text of 1 to {_MAX_TEXT} characters, without NUL.")


def _data_json(name: str, data: object) -> str:
    try:
        return plain_json(data)
    except (ValidationError, ValueMisfit) as error:
        raise InvalidPayload(f"The data of event {name!r} can't be stored: {summary(error)}", details(error)) from error


def _start(
    shared: Shared,
    app: str,
    definition: Definition,
    data: object,
    user_id: str | None,
    event_id: str,
    now: int,
    refused: list[Refusal],
) -> Commit | None:
    user = user_id or SYSTEM_USER
    try:
        request = Request(
            id=new_id(),
            app_name=app,
            user_id=user,
            workspace_id=workspace_of(app, user),
            args=args_json(definition, data, shared.limits.args),
            state=definition.new_state(),
            idempotency_key=f"{EVENT_KEY}{event_id}:{definition.name}",
            ageing=shared.rules.ageing,
        )
        return begin_limited(definition, request, now)
    except InvalidArgs as error:
        refused.append(_refusal(event_id, app, definition, None, error))
        return None


def _refusal(
    event: str, app: str, definition: Definition, transition: str | None, error: InvalidArgs | InvalidPayload
) -> Refusal:
    log.warning("event %s doesn't fit %s/%s (%s): %s", event, app, definition.name, transition or "start", error)
    return Refusal(app, definition.name, transition, str(error))
