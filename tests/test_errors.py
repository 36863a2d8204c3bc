"""Every error, how it is made, its text and the HTTP status with which the API answers."""

from __future__ import annotations

import inspect
import re
from datetime import timedelta

import pytest

from stepwell import errors
from stepwell.errors import StepwellError

TABLE: list[tuple[StepwellError, int, str]] = [
    (errors.StepwellError("something is wrong"), 500, "something is wrong"),
    (errors.ConfigurationError("queue_url: no such scheme"), 500, "queue_url: no such scheme"),
    (
        errors.DefinitionError("Workflow 'Order'", ["no transition leaves START", "place 'paid' can't be left"]),
        500,
        "Workflow 'Order' can't be used:\n  - no transition leaves START\n  - place 'paid' can't be left",
    ),
    (
        errors.NotBuilt("Settings.queue_url"),
        501,
        "Settings.queue_url isn't built yet in this version of Stepwell; nothing was stored.",
    ),
    (errors.UnknownApp("no app 'shop'"), 404, "no app 'shop'"),
    (errors.UnknownWorkflow("no workflow 'order'"), 404, "no workflow 'order'"),
    (errors.UnknownTransition("no signal 'approve'"), 422, "no signal 'approve'"),
    (errors.WorkflowNotFound("no run 'w1'"), 404, "no run 'w1'"),
    (errors.WorkspaceNotFound("no workspace 'ws1'"), 404, "no workspace 'ws1'"),
    (errors.InvalidArgs("order_id: missing", [{"loc": ("order_id",), "type": "missing"}]), 422, "order_id: missing"),
    (errors.InvalidPayload("note: too long", [{"loc": ("note",), "type": "too_long"}]), 422, "note: too long"),
    (errors.PayloadTooLarge("state: 2 MiB"), 413, "state: 2 MiB"),
    (errors.RunFinished("run 'w1' is completed"), 409, "run 'w1' is completed"),
    (errors.IdempotencyConflict("key 'k'"), 409, "key 'k'"),
    (errors.StatelessError("parked at 'review'"), 409, "parked at 'review'"),
    (errors.TransitionFailed("returned a value"), 500, "returned a value"),
    (errors.TransitionTimeout("took longer than 30 s"), 500, "took longer than 30 s"),
    (errors.RunFailed("run 'w1' failed", workflow_id="w1", status="failed"), 409, "run 'w1' failed"),
    (errors.LeaseLost("run 'w1'"), 409, "run 'w1'"),
    (errors.StoreUnavailable("disk full", outcome="unknown", workflow_id="w1"), 503, "disk full"),
    (errors.NonRetryable("the card was stolen"), 500, "the card was stolen"),
    (errors.RetryAfter(timedelta(seconds=1.5)), 500, "try again after 1.5 s"),
    (errors.RetryAfter(timedelta(minutes=1), "the bank is busy"), 500, "the bank is busy"),
]


@pytest.mark.parametrize(("error", "status", "text"), TABLE, ids=lambda value: type(value).__name__)
def test_an_error_says_what_is_wrong(error: StepwellError, status: int, text: str) -> None:
    assert str(error) == text
    assert error.http_status == status
    assert isinstance(error, StepwellError)


def test_every_error_is_in_the_table() -> None:
    assert {type(error).__name__ for error, _, _ in TABLE} == set(errors.__all__)


def public_classes() -> dict[str, type[StepwellError]]:
    found = inspect.getmembers(errors, lambda value: inspect.isclass(value) and issubclass(value, StepwellError))
    return {name: value for name, value in found if not name.startswith("_")}


def test_every_class_is_public() -> None:
    assert sorted(public_classes()) == errors.__all__


def drawn_tree() -> dict[str, str]:
    """Each class in the module's docstring, with the class that it is drawn under."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^([ │]*(?:[├└]── )?)([A-Z]\w+)(?:\s{2,}\S|$)", line):
            depth, name = len(match[1]), match[2]
            path = [(at, above) for at, above in path if at < depth]
            parents[name] = path[-1][1] if path else ""
            path.append((depth, name))
    return parents


def test_the_docstring_draws_the_tree() -> None:
    classes = public_classes()
    public_parents = {
        name: next((base.__name__ for base in cls.__mro__[1:] if base.__name__ in classes), "")
        for name, cls in classes.items()
    }
    assert drawn_tree() == public_parents


@pytest.mark.parametrize("error", [errors.InvalidArgs, errors.InvalidPayload])
def test_validation_errors_carry_pydantics_list(error: type[errors.InvalidArgs] | type[errors.InvalidPayload]) -> None:
    assert error("wrong", [{"loc": ("a", 0), "type": "missing"}]).errors() == [{"loc": ("a", 0), "type": "missing"}]


def test_errors_carry_what_a_program_needs() -> None:
    failed = errors.RunFailed("cancelled", workflow_id="w1", status="canceled")
    assert (failed.workflow_id, failed.status) == ("w1", "canceled")

    lost = errors.StoreUnavailable("gone", outcome="unknown", workflow_id="w1")
    assert (lost.outcome, lost.workflow_id) == ("unknown", "w1")
    assert errors.StoreUnavailable("gone").outcome == "nothing"

    assert errors.DefinitionError("App 'shop'", ["one", "two"]).faults == ("one", "two")
    assert errors.RetryAfter(timedelta(seconds=2)).delay == timedelta(seconds=2)
    assert isinstance(errors.NotBuilt("FanOut"), NotImplementedError)
