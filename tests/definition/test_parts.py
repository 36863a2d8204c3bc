"""Names, events, retries and codecs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from stepwell.definition.authoring.marks import Event, Retry
from stepwell.definition.text import document_name, told, workflow_name
from stepwell.definition.values.codec import canonical, codec_for
from stepwell.errors import NonRetryable, RetryAfter

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("ProcessOrder", "process_order"),
        ("ChatWorkflow", "chat"),
        ("HTTPCall", "http_call"),
        ("Workflow", "workflow"),
        ("Step2Workflow", "step2"),
    ],
)
def test_workflow_names(class_name: str, name: str) -> None:
    assert workflow_name(class_name) == name


@pytest.mark.parametrize(("class_name", "name"), [("Notes", "notes"), ("ErrorDocument", "error")])
def test_document_names(class_name: str, name: str) -> None:
    assert document_name(class_name) == name


def test_an_event_has_a_name() -> None:
    with pytest.raises(ValueError, match="an event needs a name"):
        Event("")


@pytest.mark.parametrize("path", ["invoice", "args", "result.id"])
def test_an_event_matches_args_or_state(path: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with 'args\.' or 'state\.'"):
        Event("e", match={"id": path})


def test_events_are_values() -> None:
    first, second = Event("e", match={"id": "args.id"}), Event("e", match={"id": "args.id"})
    assert (first, hash(first)) == (second, hash(second))
    assert Event("e", match={"id": "state.id"}).needs_state
    assert not first.needs_state


@pytest.mark.parametrize(
    ("retry", "failures", "seconds"),
    [
        (Retry(retries=9), 1, 1),
        (Retry(retries=9), 2, 2),
        (Retry(retries=9), 5, 16),
        (Retry(retries=9), 6, 30),
        (Retry(retries=9), 10_000, 30),
        (Retry(retries=9, delay=timedelta(days=9), max_delay=timedelta(days=99)), 1, 9 * 86_400),
        (Retry(retries=9, delay=timedelta(days=1), max_delay=timedelta(days=3)), 2, 2 * 86_400),
        (Retry(retries=9, delay=2 * SECOND, backoff="fixed"), 5, 2),
        (Retry(retries=9, delay=60 * SECOND), 1, 30),
        (Retry(retries=9, delay=timedelta(0)), 5, 0),
    ],
)
def test_delays_double_up_to_the_cap(retry: Retry, failures: int, seconds: float) -> None:
    assert retry.wait(failures) == timedelta(seconds=seconds)


def test_jitter_only_shortens() -> None:
    retry = Retry(retries=1, delay=10 * SECOND, jitter=0.2)
    assert (retry.wait(1, draw=0.0), retry.wait(1, draw=1.0)) == (10 * SECOND, 8 * SECOND)


def test_an_error_that_says_when_is_obeyed() -> None:
    assert Retry(retries=1).wait(1, RetryAfter(timedelta(hours=2))) == timedelta(hours=2)


def test_which_errors_are_worth_a_retry() -> None:
    retry = Retry(retries=1, on=OSError, give_up_on=FileNotFoundError)  # type: ignore[arg-type]
    assert retry.allows(OSError())
    assert retry.allows(RetryAfter(SECOND))
    assert not retry.allows(FileNotFoundError())
    assert not retry.allows(ValueError())
    assert not Retry(retries=1).allows(NonRetryable())


def test_a_group_is_worth_a_retry_if_all_its_exceptions_are() -> None:
    def group(*errors: BaseException) -> BaseException:
        return BaseExceptionGroup("outer", [BaseExceptionGroup("of a TaskGroup", errors)])

    retry = Retry(retries=1, on=(OSError,), give_up_on=(FileNotFoundError,))
    assert retry.allows(group(OSError(), ConnectionError()))
    assert not retry.allows(group(OSError(), ValueError()))
    assert not retry.allows(group(OSError(), FileNotFoundError()))
    assert retry.allows(group(OSError(), RetryAfter(SECOND)))
    assert not retry.allows(group(ValueError(), RetryAfter(SECOND)))
    assert not retry.allows(group(OSError(), NonRetryable()))
    assert not retry.allows(group(RetryAfter(SECOND), NonRetryable()))
    assert Retry(retries=1).allows(group(ValueError(), KeyError()))
    assert not Retry(retries=1).allows(group(ValueError(), SystemExit()))
    assert Retry(retries=1, on=(ExceptionGroup,)).allows(ExceptionGroup("named", [ValueError()]))
    assert not Retry(retries=1, give_up_on=(ExceptionGroup,)).allows(ExceptionGroup("named", [ValueError()]))


def test_of_a_group_the_longest_delay_is_obeyed() -> None:
    group = ExceptionGroup("both", [ValueError(), RetryAfter(SECOND), ExceptionGroup("in", [RetryAfter(9 * SECOND)])])
    assert Retry(retries=1).wait(1, group) == 9 * SECOND


def test_a_group_of_groups_is_read_once() -> None:
    group = ExceptionGroup("0", [ValueError("the one")])
    for level in range(200):
        group = ExceptionGroup(str(level), [group, group])
    assert Retry(retries=1).allows(group)
    assert told(group) == "ExceptionGroup: 199 (2 sub-exceptions): ValueError: the one"


@pytest.mark.parametrize(
    "options", [{"retries": -1}, {"delay": -SECOND}, {"max_delay": -SECOND}, {"jitter": 1.5}, {"backoff": "linear"}]
)
def test_a_retry_that_makes_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Retry"):
        Retry(**{"retries": 1, **options})


class Model(BaseModel):
    at: datetime | None = None
    count: int = Field(0, alias="n", ge=0)


def test_a_codec_dumps_by_alias_and_loads_what_it_dumped() -> None:
    codec = codec_for(Model)
    text = codec.dump(Model(n=3))
    assert text == '{"at":null,"n":3}'
    assert codec.load(text) == Model(n=3)


def test_a_codec_finds_what_was_assigned_against_the_type() -> None:
    broken = Model(n=3)
    broken.count = -1
    with pytest.raises(ValidationError):
        codec_for(Model).checked(broken)


def test_equal_values_have_one_canonical_text() -> None:
    assert canonical('{"b": 1, "a": [1, 2]}') == canonical('{"a":[1,2],"b":1}') == '{"a":[1,2],"b":1}'
