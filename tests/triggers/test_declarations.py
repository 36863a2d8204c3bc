"""A declaration that exists is right; one that is wrong says everything that is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell.definition.schedules.schedule_times import CronRule, IntervalRule
from stepwell.errors import DefinitionError
from stepwell.triggers import cron_schedule, github_signature, interval_schedule, webhook_route
from stepwell.triggers.declare import StartWorkflow, duplicates

GITHUB = github_signature("s")


async def on_tick() -> None: ...


def test_defaults() -> None:
    schedule = cron_schedule("0 9 * * *", handler=on_tick)
    assert (schedule.name, schedule.action, schedule.rule) == ("on_tick", on_tick, CronRule("0 9 * * *", "UTC"))
    assert (schedule.overlap, schedule.misfire) == ("skip", "latest")
    assert (schedule.catch_up, schedule.jitter) == (timedelta(days=1), timedelta(0))


def test_a_schedule_that_starts_a_workflow() -> None:
    schedule = interval_schedule(timedelta(hours=6), name="cleanup", workflow="cleanup", args={}, user_id="u1")
    assert schedule.action == StartWorkflow("cleanup", {}, "u1")
    assert schedule.rule == IntervalRule(timedelta(hours=6))


def test_all_faults_of_a_schedule() -> None:
    wrong: dict[str, Any] = {"overlap": "never", "misfire": "some", "catch_up": -timedelta(1), "jitter": 5}
    with pytest.raises(DefinitionError) as caught:
        cron_schedule("61 * * * *", timezone="Nowhere", name="", **wrong)
    assert len(caught.value.faults) == 8


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "n"}, "either a handler"),
        ({"handler": on_tick, "workflow": "w"}, "either a handler"),
        ({"handler": on_tick, "args": {}}, "belongs to workflow"),
        ({"handler": "on_tick", "name": "n"}, "must be a function"),
        ({"workflow": "w"}, "name=''"),
        ({"workflow": 7, "name": "n"}, "workflow=7"),
        ({"workflow": "w", "name": "n", "args": "text"}, "args='text'"),
        ({"workflow": "w", "name": "n", "user_id": ""}, "user_id=''"),
        ({"workflow": "w", "name": "n" * 201}, "1 to 200 characters"),
    ],
)
def test_faults_of_a_schedule(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        interval_schedule(timedelta(hours=1), **options)


def test_a_webhook_has_its_handlers_name() -> None:
    assert webhook_route("/hooks/github", verify=GITHUB, handler=on_tick).name == "on_tick"


@pytest.mark.parametrize("path", ["hooks", "", "/", "/a/{id}", "/a?b", "/a b", None])
def test_a_path_is_served_exactly_as_it_is(path: str) -> None:
    with pytest.raises(DefinitionError, match="the path"):
        webhook_route(path, verify=GITHUB, handler=on_tick)


@pytest.mark.parametrize("verify", [None, "secret", github_signature, type(GITHUB)])
def test_a_webhook_has_a_verifier(verify: Any) -> None:
    with pytest.raises(DefinitionError, match="must be a verifier"):
        webhook_route("/a", verify=verify, handler=on_tick)


def test_names_are_unique_in_their_kind() -> None:
    assert duplicates({"schedule": ["a", "b"], "webhook": ["a"]}) == []
    assert duplicates({"schedule": ["a", "a"]}) == ["two schedules are named 'a': give one of them another name=..."]
