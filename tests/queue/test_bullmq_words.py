"""What Stepwell's things are called in BullMQ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.queue.bullmq.jobs import FURTHEST, INBOX, MIDDLE, job_id, job_priority, milliseconds, misleading, queue_of
from stepwell.store.tx import WakeUp

names = st.text(min_size=1, max_size=30)
int32 = st.integers(-(2**31), 2**31 - 1)


def test_ordinary_names_stay_readable() -> None:
    assert queue_of(("shop", "process_order")) == "stepwell.shop.process_order"
    assert queue_of(("my shop", "cron:nightly.report")) == "stepwell.my%20shop.cron%3Anightly%2Ereport"


@given(names, names, names, names)
def test_no_two_lanes_share_a_queue(app: str, workflow: str, other_app: str, other_workflow: str) -> None:
    one, other = (app, workflow), (other_app, other_workflow)
    assert (queue_of(one) == queue_of(other)) == (one == other)
    assert ":" not in queue_of(one)
    assert queue_of(one) != INBOX


@given(int32, int32)
def test_a_higher_priority_never_goes_later(one: int, other: int) -> None:
    if one >= other:
        assert job_priority(one) <= job_priority(other)
    assert 1 <= job_priority(one) < 2**21


@given(st.integers(-FURTHEST, FURTHEST))
def test_priorities_up_to_a_million_are_told_apart(priority: int) -> None:
    assert job_priority(priority) == MIDDLE - priority


def test_a_job_is_named_by_the_run_and_the_moment() -> None:
    wake_up = WakeUp("0193", "shop", "ship", 0, 1_700_000_000_000_001)
    assert job_id(wake_up) == job_id(wake_up._replace(priority=3)) == "0193-1700000000000001"
    assert job_id(wake_up, 2) == "0193-1700000000000001-2"
    assert job_id(wake_up._replace(at=wake_up.at + 1)) != job_id(wake_up)


def test_a_job_is_never_due_before_its_run() -> None:
    assert [milliseconds(moment) for moment in (1999, 2000, 2001)] == [2, 2, 3]


@pytest.mark.parametrize(
    ("fields", "odd"),
    [
        ({}, []),
        ({"atm": "0", "stc": "12", "ats": "x"}, []),
        ({"atm": "1.5", "stc": ""}, ["atm", "stc"]),
        ({"atm": "9" * 19}, ["atm"]),
        ({"parent": '{"id": "7", "queueKey": "bull:orders", "fpof": true}', "parentKey": "bull:orders:7"}, []),
        ({"parent": '{"id": 7, "queueKey": "bull:orders"}'}, []),
        ({"parentKey": "bull:orders:7"}, []),
        ({"parent": "{}", "parentKey": "bull:orders:7"}, ["parent"]),
        ({"parent": '{"id": ["7"], "queueKey": "bull:orders"}'}, ["parent"]),
        ({"parent": '{"id": true, "queueKey": "bull:orders"}'}, ["parent"]),
        ({"parent": "[" * 100_000, "parentKey": "orders"}, ["parent", "parentKey"]),
    ],
)
def test_only_fields_that_bullmq_cannot_have_written_are_removed(fields: dict[str, str], odd: list[str]) -> None:
    assert misleading(fields) == odd
