"""The parameters of what starts and limits many runs, and the fields of what they return: users write these names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from stepwell import (
    Batch,
    BatchHandle,
    Concurrency,
    Debounce,
    Group,
    GroupItem,
    GroupProgress,
    RateLimit,
    Schedule,
    Start,
    Workflow,
    WorkflowRunner,
)
from stepwell.runner.schedules import RunnerSchedules

_COUNTS = "held pending running waiting retrying completed failed canceled"


def parameters(function: Callable[..., Any]) -> str:
    """The parameters with their defaults, without types."""
    signature = inspect.signature(function)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return str(inspect.Signature(bare))


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (
            Workflow.start_many,
            "(starts, *, callback=None, until='each', max_in_flight=None, show='hidden', label=None, meta=None, "
            "on_parent_end=None)",
        ),
        (Workflow.children, "(group_id)"),
        (WorkflowRunner.batch, "(batch_id)"),
        (BatchHandle.result, "(timeout=None)"),
        (BatchHandle.items, "(status=None)"),
        (BatchHandle.follow, "(every=datetime.timedelta(seconds=1))"),
        (BatchHandle.cancel, "(reason=None)"),
        (BatchHandle.retry_failed, "()"),
        (Concurrency, "(limit, *, key=None, name=None, holds='executing', on_conflict='queue')"),
        (RateLimit, "(limit, per, *, key=None, name=None)"),
        (Debounce, "(delay, *, key=None, max_wait=None)"),
        (WorkflowRunner.pause, "(app_name=None, workflow=None, reason=None, *, by=None)"),
        (RunnerSchedules.get, "(name, *, app_name, user_id=None)"),
        (RunnerSchedules.pause, "(name, *, app_name, user_id=None)"),
        (RunnerSchedules.resume, "(name, *, app_name, user_id=None)"),
        (RunnerSchedules.delete, "(name, *, app_name, user_id=None)"),
    ],
    ids=lambda given: getattr(given, "__qualname__", ""),
)
def test_parameters_stay(function: Callable[..., Any], wanted: str) -> None:
    assert parameters(function) == wanted


@pytest.mark.parametrize(
    ("function", "positional", "options"),
    [
        (WorkflowRunner.run_batch, ["starts"], "label max_in_flight stop_after_failures idempotency_key connection"),
        (
            RunnerSchedules.create,
            ["name", "workflow", "args"],
            "cron every at timezone overlap misfire catch_up jitter paused",
        ),
    ],
)
def test_who_starts_is_named_and_all_else_has_a_default(
    function: Callable[..., Any], positional: list[str], options: str
) -> None:
    found = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    named = [one for one in found if one.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [one.name for one in found if one not in named] == positional
    assert {one.name for one in named} == {"app_name", "user_id", *options.split()}
    assert all(one.default is not inspect.Parameter.empty for one in named if one.name in options.split())


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Group, "group_id total completed failed canceled results truncated"),
        (GroupItem, "index workflow_id status result error"),
        (GroupProgress, f"group_id total {_COUNTS} started_at finished_at rate eta"),
        (Batch, "batch_id label app_name user_id status created_at progress"),
        (
            Schedule,
            "name app_name user_id workflow_name args rule timezone overlap misfire catch_up jitter paused next last "
            "created_at",
        ),
    ],
)
def test_fields_stay_and_are_frozen(model: type[BaseModel], fields: str) -> None:
    assert {*fields.split()} <= model.model_fields.keys()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model.model_construct(), fields.split()[0], "x")


def test_a_start_names_its_app() -> None:
    assert Start("deliver", app_name="post").app_name == "post"
