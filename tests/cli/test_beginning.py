"""`stepwell run` says when, how urgently and where a run begins: on a database, and on a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stepwell.console.cli.terminal.arguments import begins, delay_of, moment_of
from stepwell.errors import ConfigurationError
from stepwell.store.workspaces import workspace_of

from .conftest import Shell

WHEN = datetime(2100, 1, 31, 8, 0, tzinfo=UTC)
REFUSED = [
    (["--delay", "soon"], "--delay 'soon': give seconds"),
    (["--at", "later"], "--at 'later': give a time"),
    (["--delay", "1", "--at", "2100-01-01"], "--delay and --at: give one of them."),
    (["--priority", "9999999999"], "priority"),
    (["--workspace", "nowhere"], "nowhere"),
]


@pytest.fixture(params=["database", "server"])
def desk(request: pytest.FixtureRequest) -> Shell:
    """A shell that reaches the desk, on either way."""
    if request.param == "server":
        shell: Shell = request.getfixturevalue("afar")
        return shell
    here: Shell = request.getfixturevalue("stepwell")
    here.env["STEPWELL_APP"] = "desk:stepwell"
    return here


def test_a_run_begins_later(desk: Shell) -> None:
    run_id = desk("run", "tell", "--delay", "2h", "--detach").stdout.strip()
    run = desk.json("runs", run_id)
    left = datetime.fromisoformat(run["due_at"]) - datetime.now(UTC)
    assert run["status"] == "pending"
    assert timedelta(hours=1) < left <= timedelta(hours=2)


def test_a_run_begins_at_a_time(desk: Shell) -> None:
    done = desk("run", "tell", "--at", WHEN.isoformat(), "--detach")
    assert datetime.fromisoformat(desk.json("runs", done.stdout.strip())["due_at"]) == WHEN


def test_following_waits_for_the_beginning(desk: Shell) -> None:
    done = desk("run", "tell", "--delay", "0.5")
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr


def test_a_run_has_a_priority_and_a_workspace(desk: Shell) -> None:
    workspace = workspace_of("desk", "ann")
    given = ["--user", "ann", "--priority", "7", "--delay", "1d", "--detach"]
    first = desk.json("runs", desk("run", "tell", *given).stdout.strip())
    assert (first["priority"], first["workspace_id"]) == (7, workspace)
    second = desk.json("runs", desk("run", "tell", *given, "--workspace", workspace).stdout.strip())
    assert second["workspace_id"] == workspace


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_what_can_not_be_is_refused(desk: Shell, given: list[str], said: str) -> None:
    done = desk("run", "tell", *given, "--detach")
    assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("1.5s", 1.5), ("15m", 900), ("2 h", 7200), ("1d", 86400)]
)
def test_delays(text: str, seconds: float) -> None:
    assert delay_of(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "-1", "1w", "nan", "1e3", "\u0661", "999999999d"])
def test_what_is_no_delay(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--delay"):
        delay_of(text)


def test_a_time_without_a_zone_is_local() -> None:
    assert moment_of("2100-01-31T08:00") == datetime(2100, 1, 31, 8, 0).astimezone()
    assert moment_of("2100-01-31T08:00Z") == WHEN
    assert begins(None, None) == (None, None)
