"""`python -m examples.crawl`, as a user would run it, and its proof against logs of limits that weren't kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from examples.crawl.proof import most_at_once, problems, too_early
from examples.crawl.web import Visit

from backends import Database

ROOT = Path(__file__).parents[2]
SHOWN = [
    "ada, round 1",
    "ada: 156 pages in 4 rounds; missing: shop-0.example/gone",
    "bob: 12 pages in 2 rounds; missing: none",
    "All together: 169 requests",
    "✓ No host had more than 2 at once, or 5 a second.",
]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(f"empty_{request.param}")
    return found


def test_every_page_is_fetched_once_and_no_host_is_over_its_limits(database: Database) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.crawl"],
        cwd=ROOT,
        env={**os.environ, "STEPWELL_DATABASE_URL": database.url, "COLUMNS": "160"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in SHOWN if line not in done.stdout] == [], done.stdout
    assert done.stderr == ""
    groups = "SELECT total FROM stepwell_groups WHERE user_id = ? ORDER BY created_at"
    assert database.read(groups, "ada") == [(12,), (36,), (108,), (1,)]
    assert database.read(groups, "bob") == [(3,), (9,)]


def visit(number: int, began: float, seconds: float = 0.5, host: str = "a") -> Visit:
    return Visit(host, f"/{number}", began, began + seconds)


def found_in(*log: Visit) -> list[str]:
    return problems(log, since=0.0, at_once=3, at_once_per_host=2, per_second_and_host=3)


def test_visits_under_way_at_once_are_counted() -> None:
    assert most_at_once([]) == 0
    assert most_at_once([visit(1, 0.0), visit(2, 0.5), visit(3, 1.0)]) == 1  # one ends as the next begins
    assert most_at_once([visit(1, 0.0, 2.0), visit(2, 0.5), visit(3, 1.1), visit(4, 1.2)]) == 3


def test_visits_before_their_window_are_found() -> None:
    first = [visit(number, 0.1 * number) for number in range(3)]
    assert too_early([*first, visit(3, 1.0)], 3, 1.0, 0.0) == []
    assert too_early([*first, visit(3, 0.9)], 3, 1.0, 0.0) == [visit(3, 0.9)]
    late = [visit(number, 5.0 + 0.01 * number) for number in range(4)]  # on their way for long, and allowed long ago
    assert too_early(late, 3, 1.0, 0.0) == []


def test_each_limit_that_is_not_kept_is_a_problem() -> None:
    kept = [visit(1, 0.0), visit(2, 0.0), visit(1, 0.0, host="b"), visit(3, 0.5), visit(4, 1.0)]
    assert found_in(*kept) == []
    assert found_in(*kept, visit(2, 0.1, host="c")) == ["4 pages at once, not 3"]
    assert found_in(visit(1, 0.0), visit(2, 0.1), visit(3, 0.2)) == ["a: 3 pages at once, not 2"]
    assert found_in(*(visit(number, 0.2 * number, 0.1) for number in range(4))) == [
        "a/3: 0.60 s after the start, before its turn"
    ]
    assert found_in(visit(1, 0.0), visit(1, 2.0)) == ["a/1 was fetched more than once"]
