"""Definitions as JSON and as diagrams."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from stepwell.definition.authoring.asks import Ask
from stepwell.definition.authoring.marks import END, START, Event, Retry, transition
from stepwell.definition.authoring.workflow import Workflow
from stepwell.definition.compile.export import to_json, to_mermaid
from stepwell.definition.forms.ui import Button, Form, PromptInput


class Args(BaseModel):
    invoice: str


class Decision(BaseModel):
    approved: bool


class Review(
    Workflow[Args],
    title="Review it",
    run_timeout=timedelta(hours=1),
    on=Event("invoice.made"),
    ui=[
        Form(transition="decide", enabled_at=["review"]),
        PromptInput(transition="chat", placeholder="Say it"),
        Button(transition="decide", label="Yes", data={"approved": True}),
    ],
):
    """Ask a person."""

    def is_large(self) -> bool:
        return True

    @transition(target="review", when=is_large, priority=1, retry=Retry(retries=2), error_place="in trouble")
    async def ask(self) -> None: ...

    @transition(target=END)
    async def skip(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self, decision: Decision) -> None: ...

    @transition("review", "review", wait=True, keep=True)
    async def chat(self, text: str) -> None: ...

    @transition("review", END, after=timedelta(days=2, hours=3))
    async def expire(self) -> None: ...

    @transition("review", "in trouble", on=Event("invoice.gone", match={"id": "args.invoice"}))
    async def gone(self) -> None: ...

    @transition("in trouble", END, retry=Retry(retries=1), retry_target="review")
    async def mend(self) -> None: ...


TOLD = to_json(Review.stepwell_definition)


def told(name: str) -> Any:
    return next(t for t in TOLD["transitions"] if t["name"] == name)


def test_it_is_json() -> None:
    assert json.loads(json.dumps(TOLD)) == TOLD


def test_the_workflow() -> None:
    assert (TOLD["name"], TOLD["title"], TOLD["description"]) == ("review", "Review it", "Ask a person.")
    assert (TOLD["version"], TOLD["run_timeout"], TOLD["priority"]) == (1, 3600, 0)
    assert TOLD["on"] == [{"name": "invoice.made", "match": {}}]


def test_the_schemas() -> None:
    assert TOLD["args"]["required"] == ["invoice"]
    assert TOLD["state"] == {"additionalProperties": True, "type": "object"}
    assert TOLD["result"] == {}


def test_the_places_with_their_ways_out_as_they_are_tried() -> None:
    assert TOLD["places"] == [
        {"name": "start", "automatic": ["ask", "skip"], "waiting": []},
        {"name": "review", "automatic": [], "waiting": ["decide", "chat", "expire", "gone"]},
        {"name": "in trouble", "automatic": ["mend"], "waiting": []},
        {"name": "end", "automatic": [], "waiting": []},
    ]


def test_an_automatic_transition() -> None:
    assert told("ask") == {
        "name": "ask",
        "method": "ask",
        "source": "start",
        "target": "review",
        "kind": "automatic",
        "keep": False,
        "after": None,
        "after_method": None,
        "event": None,
        "guard": "is_large",
        "priority": 1,
        "retry": {
            "retries": 2,
            "delay": 1,
            "backoff": "exponential",
            "max_delay": 30,
            "jitter": 0,
            "on": ["Exception"],
            "give_up_on": [],
        },
        "retry_target": None,
        "error_place": "in trouble",
        "timeout": None,
        "ask": None,
        "payload": None,
    }


class Asks(Workflow[None, None, None]):
    def person(self) -> str:
        return "ann"

    @transition(target="asked")
    async def begin(self) -> None: ...

    @transition(
        "asked",
        END,
        wait=True,
        ask=Ask("May I?", assignee=person, group="ops", due=timedelta(days=1), documents=["receipt"]),
    )
    async def decide(self) -> None: ...


def test_whom_a_transition_asks() -> None:
    [asks] = [one["ask"] for one in to_json(Asks.stepwell_definition)["transitions"] if one["name"] == "decide"]
    assert asks == {
        "title": "May I?",
        "text": None,
        "assignee": {"method": "person"},
        "group": "ops",
        "due": 86_400,
        "documents": ["receipt"],
    }


def test_what_waits() -> None:
    payload = told("decide")["payload"]
    assert (payload["parameter"], payload["envelope"], payload["optional"]) == ("decision", False, False)
    assert payload["schema"]["required"] == ["approved"]
    assert told("expire")["after"] == 183_600
    assert told("gone")["event"] == {"name": "invoice.gone", "match": {"id": "args.invoice"}}


def test_the_widgets() -> None:
    form, prompt, button = TOLD["ui"]
    assert (form["type"], form["transition"], form["enabled_at"]) == ("form", "decide", ["review"])
    assert (prompt["type"], prompt["transition"], prompt["placeholder"]) == ("prompt-input", "chat", "Say it")
    assert (button["type"], button["label"], button["data"]) == ("button", "Yes", {"approved": True})


def test_a_type_that_no_schema_can_describe_is_anything() -> None:
    class Odd(Workflow[None, dict[str, Any], Callable[[], int]]):
        @transition(target=END)
        async def go(self) -> None: ...

    assert to_json(Odd.stepwell_definition)["result"] == {}


def test_a_diagram() -> None:
    assert to_mermaid(Review.stepwell_definition) == (
        "stateDiagram-v2\n"
        '    state "in trouble" as place_2\n'
        "    [*] --> review: ask [is_large]\n"
        "    [*] --> place_2: ask failed\n"
        "    [*] --> [*]: skip\n"
        "    review --> [*]: decide (signal)\n"
        "    review --> review: chat (signal)\n"
        "    review --> [*]: expire (after 2d 3h)\n"
        "    review --> place_2: gone (on invoice.gone)\n"
        "    place_2 --> [*]: mend\n"
        "    place_2 --> review: mend retries\n"
    )


def test_a_start_that_is_come_back_to_is_a_state_of_the_diagram() -> None:
    class Loop(Workflow):
        @transition(target="state", wait=True)
        async def go(self) -> None: ...

        @transition("state", START, when=lambda self: True)
        async def back(self) -> None: ...

        @transition("state", END)
        async def stop(self) -> None: ...

    assert to_mermaid(Loop.stepwell_definition) == (
        "stateDiagram-v2\n"
        '    state "state" as place_1\n'
        "    [*] --> start\n"
        "    start --> place_1: go (signal)\n"
        "    place_1 --> start: back [ lambda ]\n"
        "    place_1 --> [*]: stop\n"
    )
