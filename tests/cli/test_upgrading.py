"""`stepwell db`: the statements of an upgrade, executed by hand, and whether this version can work with the tables."""

from __future__ import annotations

import pytest

from backends import Database

from .conftest import Shell


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, stepwell: Shell) -> Database:
    """A database without tables."""
    found: Database = request.getfixturevalue(f"empty_{request.param}")
    stepwell.env["STEPWELL_DATABASE_URL"] = found.url
    return found


def test_statements_that_are_executed_by_hand_are_an_upgrade(stepwell: Shell, empty: Database) -> None:
    absent = stepwell("db", "check")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert "has no Stepwell tables" in absent.stderr
    printed = stepwell("db", "upgrade", "--sql")
    assert printed.returncode == 0, printed.stderr
    assert stepwell("db", "current").stdout.strip() == "none", "printing executes nothing"
    for statement in printed.stdout.replace("BEGIN;", "").replace("COMMIT;", "").split(";\n"):
        if statement.strip():
            empty.execute(statement)
    revision = stepwell("db", "current").stdout.strip()
    checked = stepwell("db", "check")
    assert (checked.returncode, checked.stdout.strip()) == (0, revision)
    assert stepwell("db", "upgrade", "--sql").stdout.strip() == "", "there is nothing more to do"
    assert stepwell("db", "upgrade").stdout.strip() == revision


def test_two_forms_at_once_are_refused(stepwell: Shell, empty: Database) -> None:
    both = stepwell("db", "upgrade", "--sql", "--json")
    assert (both.returncode, both.stdout) == (2, "")
    assert "give one of them" in both.stderr
