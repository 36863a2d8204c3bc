"""What is set apart: logged once, told until it works again, and nothing else is kept back by it."""

from __future__ import annotations

import pytest

from stepwell.errors import StoreUnavailable
from stepwell.faults import Faults


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def handle(faults: Faults, name: str, error: Exception | None) -> None:
    with faults.apart(name, again=5):
        if error is not None:
            raise error


def test_the_others_go_on_and_it_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    faults, handled = Faults(Clock()), []
    for _ in range(3):
        for name in ("a", "bad", "b"):
            with faults.apart(name):
                if name == "bad":
                    raise ValueError("no moment")
                handled.append(name)
    assert handled == ["a", "b"] * 3
    [record] = [record for record in caplog.records if record.getMessage() == "bad: ValueError: no moment"]
    assert record.exc_info is not None
    assert faults.listed() == ["bad: ValueError: no moment"]
    assert faults.listed(brief=True) == ["bad: ValueError"]


def test_what_works_again_is_told_no_more_and_logged_anew_when_it_breaks_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = Faults(Clock())
    handle(faults, "x", ValueError("1"))
    handle(faults, "x", None)
    assert faults.listed() == []
    assert faults.of("x") is None
    handle(faults, "x", ValueError("2"))
    assert caplog.text.count("x: ValueError") == 2


def test_it_rests_before_it_is_tried_again() -> None:
    clock = Clock()
    faults = Faults(clock)
    handle(faults, "x", ValueError())
    assert faults.resting("x")
    assert not faults.resting("y")
    clock.now = 5
    assert not faults.resting("x")


def test_what_is_not_met_again_is_forgotten() -> None:
    clock = Clock()
    faults = Faults(clock)
    handle(faults, "gone", ValueError())
    clock.now = 301
    assert faults.of("gone") is None
    assert faults.listed() == []


def test_that_the_database_is_away_is_nobodys_own_fault() -> None:
    faults = Faults(Clock())
    with pytest.raises(StoreUnavailable):
        handle(faults, "x", StoreUnavailable("away"))
    handle(faults, "x", StoreUnavailable("The database refuses this write.", refused=True))
    assert faults.listed() == ["x: StoreUnavailable: The database refuses this write."]


def test_what_the_caller_knows_better_and_what_ends_the_process_pass() -> None:
    faults = Faults(Clock())
    with pytest.raises(KeyError), faults.apart("x", but=(KeyError,)):
        raise KeyError
    with pytest.raises(KeyboardInterrupt), faults.apart("x"):
        raise KeyboardInterrupt
    assert faults.listed() == []


def test_an_error_that_cannot_be_printed_is_told_too() -> None:
    faults = Faults(Clock())
    handle(faults, "x", Silent())
    assert faults.listed() == ["x: Silent: it can't be printed"]


def test_many_are_counted_and_some_are_named() -> None:
    faults = Faults(Clock())
    for n in range(2_000):
        handle(faults, f"run {n}", ValueError("x" * 1_000))
    told = faults.listed()
    assert len(told) == 21
    assert told[-1] == "and 980 more"
    assert len(told[0]) < 400
