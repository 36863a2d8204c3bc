"""Schedules made from the command line: in a database, and over a server's API."""

from __future__ import annotations

import pytest

from .conftest import Shell


@pytest.fixture(params=["database", "server"])
def shell(request: pytest.FixtureRequest) -> Shell:
    if request.param == "server":
        found: Shell = request.getfixturevalue("afar")
        return found
    found = request.getfixturevalue("stepwell")
    found.env["STEPWELL_APP"] = "desk:stepwell"
    return found


def test_a_schedule_is_made_changed_fired_and_deleted(shell: Shell) -> None:
    made = shell.json("schedules", "create", "hourly", "tell", "--every", "1h", "--user", "ann", "--overlap", "allow")
    assert (made["app_name"], made["name"], made["user_id"], made["workflow"]) == ("desk", "hourly", "ann", "tell")
    assert (made["declared"], made["overlap"], len(made["next"])) == (False, "allow", 10)
    taken = shell("schedules", "create", "hourly", "tell", "--every", "1h", "--user", "ann")
    assert taken.returncode != 0
    assert "already" in taken.stderr
    assert "ann" in shell("schedules", "list").stdout
    assert [one["name"] for one in shell.json("schedules", "list", "--user", "ann")] == ["hourly"]
    assert shell.json("schedules", "list", "--user", "bob") == []

    changed = shell.json("schedules", "update", "hourly", "--cron", "0 9 * * *", "--timezone", "Europe/Berlin")
    assert changed["rule"] == "0 9 * * * (Europe/Berlin)"
    assert "Nothing to change" in shell("schedules", "update", "hourly").stderr
    assert "desk/hourly is paused" in shell("schedules", "pause", "hourly", "--user", "ann").stdout
    assert "desk/hourly is active, next" in shell("schedules", "resume", "desk/hourly").stdout
    tick = shell.json("schedules", "fire", "hourly", "--key", "once")
    assert shell.json("schedules", "fire", "hourly", "--key", "once")["workflow_id"] == tick["workflow_id"]
    assert shell.json("runs", tick["workflow_id"])["user_id"] == "ann"

    shell("schedules", "create", "hourly", "tell", "--at", "2999-01-01T08:00", "--user", "bob")
    assert "name one with --user" in shell("schedules", "pause", "hourly").stderr
    assert shell("schedules", "delete", "hourly", "--user", "ann").stdout == "desk/hourly is deleted\n"
    assert [one["user_id"] for one in shell.json("schedules", "list") if not one["declared"]] == ["bob"]
    missing = shell("schedules", "delete", "hourly", "--user", "ann")
    assert (missing.returncode, missing.stderr) == (2, "error: No schedule 'hourly'. Known schedules: none.\n")
    assert shell.json("runs", tick["workflow_id"])["workflow_name"] == "tell"


def test_args_are_read_by_the_workflows_schema(stepwell: Shell) -> None:
    options = ("--every", "2h", "--paused", "--jitter", "5m", "--catch-up", "30m")
    made = stepwell.json("schedules", "create", "packing", "pack", "--arg", "number=7", *options)
    assert made["paused"] is True
    wrong = stepwell("schedules", "update", "packing", "--arg", "number=7", "--arg", "size=huge")
    assert wrong.returncode != 0
    assert "size" in wrong.stderr
    assert stepwell("schedules", "update", "packing", "--data", '{"number": "8"}', "--misfire", "all").returncode == 0
    tick = stepwell.json("schedules", "fire", "packing")
    assert stepwell.json("runs", tick["workflow_id"])["args"]["number"] == "8"
    unlike = stepwell("schedules", "create", "other", "pack", "--every", "1h", "--arg", "nmber=7")
    assert "did you mean number" in unlike.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give one of cron=, every= and at="),
        (("--every", "1h", "--cron", "@daily"), "not cron= and every="),
        (("--every", "soon"), "--every 'soon': give seconds"),
        (("--cron", "99 * * * *"), "the minute '99'"),
        (("--cron", "@daily", "--timezone", "Mars/Phobos"), "Mars/Phobos"),
        (("--at", "2020-01-01T08:00"), "is in the past"),
        (("--every", "1h", "--overlap", "never"), "overlap"),
    ],
)
def test_what_cannot_be_is_refused(shell: Shell, options: tuple[str, ...], said: str) -> None:
    done = shell("schedules", "create", "s", "tell", *options)
    assert done.returncode != 0
    assert said in done.stderr
    assert "s" not in [one["name"] for one in shell.json("schedules", "list")]
