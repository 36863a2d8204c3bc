"""Widgets that fire a transition: shown with a run, and usable at some of its places only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from stepwell.definition.model import Place


class Widget(BaseModel):
    """Fires the signal transition `transition` from the places `enabled_at`; from all where it waits if left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transition: str
    enabled_at: Sequence[str] = ()
    label: str | None = None
    """What is written on it; None: the transition's name as words."""


class Form(Widget):
    """The fields of the transition's payload, with a button that sends them."""

    type: Literal["form"] = "form"
    title: str | None = None


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
    """Everything that is wrong with the widgets of the workflow class named `owner`."""
    signals = {t.name: t.method for place in places.values() for t in place.waiting if t.kind == "signal"}
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


def not_a_widget(owner: str, given: object) -> str:
    """The fault of something else in `ui=`."""
    return f"{owner}: {given!r} in its ui isn't a widget; give a Form, PromptInput or Button of stepwell.definition.ui."


def _place_faults(owner: str, widget: Widget, places: Mapping[str, Place]) -> Iterator[str]:
    waits_at = sorted(name for name, place in places.items() if _waits(place, widget.transition))
    for name in widget.enabled_at:
        if name not in waits_at:
            why = "doesn't wait" if name in places else "can't be, for it isn't a place of the workflow"
            yield (
                f"{owner}: its {_shown(widget)} and is enabled at '{name}', where {widget.transition} {why}; "
                f"enable it at {' or '.join(repr(one) for one in waits_at)}."
            )


def _waits(place: Place, name: str) -> bool:
    return any(t.name == name and t.kind == "signal" for t in place.waiting)


def _shown(widget: Widget) -> str:
    return f"{type(widget).__name__} fires '{widget.transition}'"
