"""The lease as a value (rule 31): what is due at a moment, without a thread, a loop or a database."""

from __future__ import annotations

import pytest

from stepwell.store.workers import WorkerRow
from stepwell.worker.lease import Lease, Observer, Turn


def turning(seconds: float = 30.0, beaten: float = 100.0) -> Lease:
    return Lease(seconds, beaten)


def test_it_beats_three_times_in_a_lease() -> None:
    lease, beats = turning(), []
    for tenth in range(1, 301):
        now = 100 + tenth / 10
        lease.loop_turned(now)
        for due in lease.take_due(now):
            assert due == Turn.BEAT
            lease.beaten_at = now
            beats.append(now)
    assert len(beats) == 3


def test_it_is_over_without_a_heartbeat_and_told_once() -> None:
    lease = turning()
    lease.loop_turned(130.0)
    assert lease.holds(130.0)
    assert Turn.LAPSE not in lease.take_due(130.0)
    lease.loop_turned(130.1)
    assert not lease.holds(130.1), "whatever the thread has noticed"
    assert lease.take_due(130.1) == [Turn.LAPSE, Turn.BEAT]
    assert lease.take_due(130.2) == [Turn.BEAT]
    assert not lease.resume(130.2)
    lease.beaten_at = 130.3
    assert not lease.holds(130.3), "until what is owned was read again"
    assert lease.resume(130.3)
    assert lease.holds(130.3)


def test_a_blocked_loop_is_named_and_given_up_after_four_leases() -> None:
    lease = turning(seconds=10)
    lease.loop_turned(100.0)
    told = []
    for second in range(101, 150):
        found = lease.take_due(float(second))
        told += [(due, second) for due in found if due != Turn.BEAT]
        if Turn.BEAT in found:
            lease.beaten_at = float(second)
    assert told == [(Turn.NAME_BLOCKER, 102), (Turn.GIVE_UP, 141)]
    assert lease.beaten_at <= 140, "a process whose loop is blocked doesn't look alive for ever"
    lease.loop_turned(150.0)
    assert not lease.stuck(150.0)
    assert lease.take_due(152.0)[0] == Turn.NAME_BLOCKER, "the next time it is named again"


@pytest.mark.parametrize("still", [41.0, 3600.0])
def test_a_process_that_stood_still_blames_no_method(still: float) -> None:
    lease = turning(seconds=10)
    lease.loop_turned(100.0)
    now = 100.0 + lease.turn_seconds + still
    lease.slept(lease.turn_seconds + still, 0.01, now)
    assert lease.take_due(now) == [Turn.LAPSE, Turn.BEAT], (
        "others may have taken its runs over, but no method blocked the loop"
    )
    assert not lease.stuck(now)


def test_a_thread_that_is_a_little_late_excuses_nothing() -> None:
    lease = turning(seconds=10)
    lease.loop_turned(100.0)
    for turn in range(40):
        lease.slept(lease.turn_seconds + 0.5, 0, 101.0 + turn)
    assert lease.stuck(141.0)


def test_a_standstill_excuses_nothing_that_comes_after_it() -> None:
    lease = turning(seconds=10)
    lease.loop_turned(200.0)  # before the thread of the heartbeat has gone on
    lease.slept(lease.turn_seconds + 90, 0, 200.0)
    assert lease.stuck(240.1)


def test_a_method_that_holds_the_interpreter_is_no_standstill() -> None:
    """The thread is late because the process was busy, not because it stood still."""
    lease = turning(seconds=10)
    lease.loop_turned(100.0)
    for turn in range(9):
        lease.slept(lease.turn_seconds + 5, 5, 105.0 + 5 * turn)
    assert lease.stuck(145.0)


def worker(counter: int) -> WorkerRow:
    return WorkerRow("other", counter, "host", 1, "[]", 0, 0)


def test_another_worker_is_dead_when_its_counter_stood_still_while_this_one_beat() -> None:
    observer = Observer(10)
    assert observer.dead([worker(1)], "me", 1, 100.0) == []
    assert observer.dead([worker(1)], "me", 2, 111.0) == [], "this process hasn't beaten twice since"
    assert observer.dead([worker(1)], "me", 3, 111.0) == [worker(1)]
    assert observer.dead([worker(2)], "me", 4, 112.0) == [], "it beats again"
