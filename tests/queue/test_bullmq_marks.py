"""What a process knows of BullMQ's queues: how many jobs to ask of which, and when there will be the next. Pure."""

from __future__ import annotations

from stepwell.queue.bullmq.jobs import Marker, Marks, Shares


def test_a_queue_is_asked_for_more_each_time_it_had_all_that_was_asked() -> None:
    shares, asked = Shares(), []
    shares.add(["tea"])
    for _ in range(6):
        asked.append(shares.of(1_000))
        shares.answered(asked[-1], {})
    assert asked == [[("tea", count)] for count in (2, 8, 32, 128, 256, 256)]


def test_a_share_that_had_no_room_says_nothing_about_the_queue() -> None:
    shares = Shares()
    shares.add(["tea"])
    shares.answered([("tea", 1)], {})
    assert shares.of(100) == [("tea", 2)]


def test_queues_have_turns_where_there_are_more_than_wanted() -> None:
    shares = Shares()
    shares.add(["tea", "milk", "sugar"])
    first = shares.of(2)
    shares.answered(first, {})
    assert first == [("tea", 1), ("milk", 1)]
    assert shares.of(2) == [("sugar", 1), ("tea", 1)]


def test_an_empty_queue_is_asked_no_more_until_it_is_named_again() -> None:
    shares = Shares()
    shares.add(["tea"])
    shares.answered([("tea", 2)], {"tea": 0})
    assert not shares
    assert shares.of(5) == []
    shares.add(["tea", "tea"])
    assert shares.of(5) == [("tea", 2)]


def test_the_earlier_of_two_marks_counts() -> None:
    marks = Marks()
    marks.add(Marker("tea", 3_000))
    marks.add(Marker("tea", 5_000))
    assert marks.seconds_left(2_000, 60) == 1.0
    assert marks.take_ripe(2_999) == []
    assert marks.take_ripe(3_000) == [Marker("tea", 3_000)]
    assert marks.take_ripe(9_000) == []


def test_what_an_emptied_queue_says_of_its_next_job_replaces_the_mark() -> None:
    marks = Marks()
    marks.add(Marker("tea", 3_000))
    marks.emptied({"tea": 7_000, "milk": 0})
    assert marks.take_all() == [Marker("tea", 7_000)]
    marks.add(Marker("tea", 3_000))
    marks.emptied({"tea": 0})
    assert marks.seconds_left(0, 60) == 60


def test_a_mark_of_the_past_is_waited_for_no_longer_than_a_moment() -> None:
    marks = Marks()
    marks.add(Marker("tea", 0))
    assert marks.seconds_left(5_000, 60) == 0.001
