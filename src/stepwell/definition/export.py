"""Definitions and documents as JSON for Studio and other tools; diagrams are in `mermaid.py`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from stepwell.definition.codec import Codec, codec_for
from stepwell.definition.document import Document
from stepwell.definition.event import Event
from stepwell.definition.mermaid import to_mermaid
from stepwell.definition.model import Definition, Payload, Place, Transition
from stepwell.definition.retry import Retry

__all__ = ["document_to_json", "to_json", "to_mermaid"]


def to_json(definition: Definition) -> dict[str, Any]:
    """All that can be told about a workflow without its code, as JSON values; durations are seconds."""
    return {
        "name": definition.name,
        "title": definition.title,
        "description": definition.description,
        "version": definition.version,
        "run_timeout": _seconds(definition.run_timeout),
        "priority": definition.priority,
        "on": [_event(event) for event in definition.on],
        "args": definition.args and _schema(definition.args),
        "state": _schema(definition.state),
        "result": _schema(definition.result),
        "places": [_place(place) for place in definition.places.values()],
        "transitions": [_transition(t) for t in definition.transitions],
        "ui": [_widget(widget) for widget in definition.ui],
    }


def document_to_json(document: type[Document]) -> dict[str, Any]:
    """All that can be told about a document type, as JSON values."""
    return {
        "name": document.document_name,
        "title": document.document_title,
        "tags": list(document.document_tags),
        "internal": document.document_internal,
        "schema": _schema(codec_for(document)),
        "ui": [_widget(widget) for widget in document.document_ui],
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "name": place.name,
        "automatic": [t.name for t in place.automatic],
        "waiting": [t.name for t in place.waiting],
    }


def _transition(t: Transition) -> dict[str, Any]:
    return {
        "name": t.name,
        "method": t.method,
        "source": t.source,
        "target": t.target,
        "kind": t.kind,
        "keep": t.keep,
        "after": _seconds(t.after),
        "event": t.event and _event(t.event),
        "guard": t.guard_name,
        "priority": t.priority,
        "retry": t.retry and _retry(t.retry),
        "retry_target": t.retry_target,
        "error_place": t.error_place,
        "timeout": _seconds(t.timeout),
        "payload": t.payload and _payload(t.payload),
    }


def _payload(payload: Payload) -> dict[str, Any]:
    return {
        "parameter": payload.parameter,
        "envelope": payload.envelope,
        "optional": payload.optional,
        "schema": _schema(payload.codec),
    }


def _retry(retry: Retry) -> dict[str, Any]:
    return {
        "retries": retry.retries,
        "delay": _seconds(retry.delay),
        "backoff": retry.backoff,
        "max_delay": _seconds(retry.max_delay),
        "jitter": retry.jitter,
        "on": [error.__name__ for error in retry.on],
        "give_up_on": [error.__name__ for error in retry.give_up_on],
    }


def _event(event: Event) -> dict[str, Any]:
    return {"name": event.name, "match": dict(event.match)}


def _widget(widget: Any) -> Any:
    return widget.model_dump(mode="json") if isinstance(widget, BaseModel) else widget


def _schema(codec: Codec[Any]) -> dict[str, Any]:
    try:
        return codec.schema()
    except PydanticInvalidForJsonSchema:
        return {}  # the schema of anything: what the type accepts can't be said in JSON schema


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
