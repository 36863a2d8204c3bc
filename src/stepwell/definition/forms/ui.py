"""Widgets that fire a transition: shown with a run, and usable at some of its places only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, SerializerFunctionWrapHandler, model_serializer

from stepwell.definition.forms.fitting import (
    layout_faults,
    no_field,
    properties_of,
    schema_of,
    takes_text,
    widget_misfits,
)
from stepwell.definition.forms.widgets import FieldGroup, FieldWidget
from stepwell.definition.model import Place, Transition
from stepwell.definition.text import type_name


class Widget(BaseModel):
    """A widget that fires the signal transition `transition` at the places `enabled_at`; by default wherever it waits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transition: str
    enabled_at: Sequence[str] = ()
    label: str | None = None
    """The text on it; None: the transition's name in words."""


class Form(Widget):
    """The fields of the transition's payload, with a button that sends them.

    `fields`, `order` and `groups` override those of the payload's model.
    """

    type: Literal["form"] = "form"
    title: str | None = None
    fields: Mapping[str, InstanceOf[FieldWidget]] = Field(default_factory=dict)
    """Widgets by the field's name in JSON."""
    order: Sequence[str] = ()
    """The first fields; the others follow as they are declared."""
    groups: Sequence[FieldGroup] = ()

    @model_serializer(mode="wrap")
    def _told(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = handler(self)
        own = {
            "fields": {name: widget.as_schema() for name, widget in self.fields.items()},
            "order": list(self.order),
            "groups": [group.as_schema() for group in self.groups],
        }
        return {name: own.get(name, value) for name, value in told.items() if own.get(name, True)}


class PromptInput(Widget):
    """A line to write in, as in a chat."""

    type: Literal["prompt-input"] = "prompt-input"
    placeholder: str = ""
    field: str | None = None
    """The field of the payload that gets the text; None: the text is the payload."""


class Button(Widget):
    """Sends `data` at a click."""

    type: Literal["button"] = "button"
    data: Any = None
    variant: Literal["primary", "secondary", "danger"] = "primary"


def widget_faults(owner: str, ui: Sequence[object], places: Mapping[str, Place]) -> Iterator[str]:
    """Yield all faults of the widgets of the workflow class named `owner`."""
    signals = {t.name: t for place in places.values() for t in place.waiting if t.kind == "signal"}
    for widget in ui:
        if not isinstance(widget, Widget):
            yield not_a_widget(owner, widget)
        elif widget.transition not in signals:
            yield (
                f"{owner}: its {_shown(widget)}, which isn't a signal transition of it; "
                f"name one of those with wait=True: {', '.join(sorted(signals)) or 'none yet'}."
            )
        else:
            yield from _place_faults(owner, widget, places)
            yield from payload_faults(owner, widget, signals[widget.transition])


def not_a_widget(owner: str, given: object) -> str:
    """Return the fault of another object in `ui=`."""
    return f"{owner}: {given!r} in its ui isn't a widget; give a Form, PromptInput or Button of stepwell.ui."


def payload_faults(owner: str, widget: Widget, t: Transition) -> Iterator[str]:
    """Yield the parts of a widget for which the transition's payload has no place; nothing while the payload isn't known."""
    if isinstance(widget, Form) and (widget.fields or widget.order or widget.groups):
        faults = _form_faults(widget, t)
    elif isinstance(widget, PromptInput):
        faults = _prompt_faults(widget, t)
    else:
        return
    if not t.payload_pending:
        yield from (f"{owner}: its {_shown(widget)}: {fault}" for fault in faults)


def _form_faults(form: Form, t: Transition) -> Iterator[str]:
    if t.payload is None:
        yield f"{t.method} takes no payload; leave out fields, order and groups."
    if t.payload is None or (schema := schema_of(t.payload.codec)) is None:
        return
    name, properties = type_name(t.payload.codec.type), properties_of(schema)
    if properties is None:
        yield f"the payload is {name}, which has no fields to name; leave out fields, order and groups, or take a model."
        return
    if unknown := [field for field in form.fields if field not in properties]:
        yield no_field(name, unknown, properties)
    for field in form.fields.keys() & properties.keys():
        yield from widget_misfits(f"{name}.{field}", form.fields[field].as_schema(), properties[field], schema)
    yield from layout_faults(name, properties, form.order, [group.as_schema() for group in form.groups])


def _prompt_faults(prompt: PromptInput, t: Transition) -> Iterator[str]:
    if t.payload is None or (schema := schema_of(t.payload.codec)) is None:
        return
    name, properties = type_name(t.payload.codec.type), properties_of(schema)
    if prompt.field is None:
        if properties and not takes_text(schema):
            yield f"it sends a text, and the payload is {name}; say which of its fields takes it: field='...'."
    elif properties is None:
        yield f"the payload is {name}, which has no field {prompt.field!r}; leave out field=."
    elif prompt.field not in properties:
        yield no_field(name, [prompt.field], properties)
    elif not takes_text({**properties[prompt.field], "$defs": schema.get("$defs", {})}):
        yield f"{name}.{prompt.field} takes no text; name a field that is a str."


def _place_faults(owner: str, widget: Widget, places: Mapping[str, Place]) -> Iterator[str]:
    waits_at = sorted(
        name
        for name, place in places.items()
        if any(t.name == widget.transition and t.kind == "signal" for t in place.waiting)
    )
    for name in widget.enabled_at:
        if name not in waits_at:
            why = "doesn't wait" if name in places else "can't fire, because it isn't a place of the workflow"
            yield (
                f"{owner}: its {_shown(widget)} and is enabled at '{name}', where {widget.transition} {why}; "
                f"enable it at {' or '.join(repr(one) for one in waits_at)}."
            )


def _shown(widget: Widget) -> str:
    return f"{type(widget).__name__} fires '{widget.transition}'"
