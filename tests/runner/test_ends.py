"""How often the database is asked for the ends of runs."""

from __future__ import annotations

import pytest

from stepwell.runner.ends import pause_after


@pytest.mark.parametrize(
    ("seconds", "count", "pause"),
    [
        (0.002, 0, 0.0),
        (0.002, 1, 0.002),
        (0.002, 5, 0.01),
        (0.002, 10_000, 0.038),
        (30.0, 1, 1.0),
    ],
    ids=["none", "one", "some", "thousands", "a database that hangs"],
)
def test_few_runs_are_asked_about_at_once_and_many_seldom(seconds: float, count: int, pause: float) -> None:
    assert pause_after(seconds, count) == pytest.approx(pause)
