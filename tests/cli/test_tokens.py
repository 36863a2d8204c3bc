"""`stepwell tokens`: made, shown once, listed without secrets, revoked."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Shell

SECRET = re.compile(r"sw_[A-Za-z0-9_-]{43}")


def test_a_token_is_shown_once(stepwell: Shell) -> None:
    made = stepwell("tokens", "create", "deploy", "--user", "ci", "--role", "admin", "--days", "30")
    assert made.returncode == 0
    secret = made.stdout.strip()
    assert SECRET.fullmatch(secret)
    assert "deploy" in made.stderr
    assert "Settings(auth=AuthSettings())" in made.stderr  # this application doesn't take tokens
    listed = stepwell("tokens", "list")
    assert secret not in listed.stdout
    assert secret[:9] in listed.stdout
    assert secret.encode() not in b"".join(one.read_bytes() for one in stepwell.folder.glob("*.db*"))


def test_tokens_as_json(stepwell: Shell) -> None:
    made = stepwell.json("tokens", "create", "read", "--role", "viewer", "--app-name", "shop", "--everybody")
    assert SECRET.fullmatch(made["token"])
    assert (made["role"], made["everybody"], made["apps"], made["user_id"]) == ("viewer", True, ["shop"], "cli")
    stepwell("tokens", "create", "other", "--user", "u1")
    assert [one["name"] for one in stepwell.json("tokens", "list")] == ["other", "read"]
    assert [one["name"] for one in stepwell.json("tokens", "list", "--user", "u1")] == ["other"]
    revoked = stepwell.json("tokens", "revoke", made["id"])
    assert revoked["revoked_at"] is not None
    assert stepwell.json("tokens", "revoke", made["id"]) == revoked


def test_where_tokens_are_accepted_nothing_is_missing(stepwell: Shell) -> None:
    made = stepwell("tokens", "create", "deploy", STEPWELL_AUTH="{}")
    assert "AuthSettings" not in made.stderr


def test_what_can_not_be_a_token_is_refused(stepwell: Shell) -> None:
    done = stepwell("tokens", "create", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: name: String should have at least 1 character\n"


def test_the_operators_own_machine_may_make_anything_and_revoking_says_what_goes_with_it(stepwell: Shell) -> None:
    made = stepwell.json("tokens", "create", "handlers", "--user", "system", "--role", "admin")
    assert (made["user_id"], made["created_by"], made["created_via"], made["descendants"]) == (
        *("system", "cli", "local"),
        0,
    )
    assert "has been" not in stepwell("tokens", "revoke", made["id"]).stderr


# -- through the API of a server ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell that reaches a server which takes tokens, as an admin."""
    shell = Shell(tmp_path_factory.mktemp("guarded"))
    made = shell("tokens", "create", "root", "--user", "root", "--role", "admin", "--app", "guarded:stepwell")
    url = shell.serve("-m", "uvicorn", "guarded:app", "--port", "{port}", program=Path(sys.executable))
    shell.env |= {"STEPWELL_URL": url, "STEPWELL_TOKEN": made.stdout.strip()}
    yield shell
    shell.close()


def test_a_server_makes_tokens(served: Shell) -> None:
    made = served("tokens", "create", "deploy", "--user", "ci", "--days", "30")
    assert (made.returncode, made.stderr.count("\n")) == (0, 1), made.stderr
    secret = made.stdout.strip()
    assert SECRET.fullmatch(secret)
    assert "of ci, operator. Keep it" in made.stderr
    assert served("runs", STEPWELL_TOKEN=secret).returncode == 0
    [told] = served.json("tokens", "list", "--user", "ci", "--limit", "1")
    assert (told["name"], told["created_by"], told["expires_at"] is not None) == ("deploy", "root", True)
    assert served.json("tokens", "create", "mine")["user_id"] == "root"


def test_a_server_lists_tokens_over_its_pages(served: Shell) -> None:
    for name in ("one", "two", "three"):
        served("tokens", "create", name, "--user", "pager")
    names = [one["name"] for one in served.json("tokens", "list", "--user", "pager", "--limit", "2")]
    assert names == ["three", "two"]
    assert len(served.json("tokens", "list", "--limit", "2")) == 2
    assert "pager" in served("tokens", "list").stdout


def test_a_server_revokes_tokens_also_the_one_that_asks(served: Shell) -> None:
    made = served.json("tokens", "create", "short", "--user", "bob")
    revoked = served("tokens", "revoke", made["id"], STEPWELL_TOKEN=made["token"])
    assert (revoked.returncode, revoked.stdout.strip()) == (0, made["id"]), revoked.stderr
    assert served("runs", STEPWELL_TOKEN=made["token"]).returncode == 2
    again = served.json("tokens", "revoke", made["id"])
    assert again["revoked_at"] is not None
    assert served.json("tokens", "revoke", made["id"]) == again


def test_revoking_on_a_server_says_how_many_go_with_it(served: Shell) -> None:
    made = served.json("tokens", "create", "parent", "--user", "eve")
    child = served.json("tokens", "create", "child", "--token", made["token"])
    grandchild = served.json("tokens", "create", "grandchild", "--token", child["token"])
    assert (child["created_with"], grandchild["created_with"]) == (made["id"], child["id"])
    shown = served("tokens", "list", "--user", "eve").stdout
    assert f"eve, with {child['id']}" in shown
    revoked = served("tokens", "revoke", made["id"])
    assert (revoked.returncode, revoked.stdout.strip()) == (0, made["id"])
    assert revoked.stderr == "2 that were created with it have been revoked too.\n"
    assert served("runs", STEPWELL_TOKEN=grandchild["token"]).returncode == 2


def test_revoking_on_the_database_says_how_many_go_with_it(served: Shell) -> None:
    made = served.json("tokens", "create", "parent", "--user", "eve")
    child = served.json("tokens", "create", "child", "--token", made["token"])
    revoked = served("tokens", "revoke", made["id"], "--app", "guarded:stepwell")
    assert revoked.stderr == "1 that was created with it has been revoked too.\n"
    assert served.json("tokens", "list", "--user", "eve")[0]["id"] == child["id"]


def test_a_server_refuses_what_exceeds_who_asks(served: Shell) -> None:
    viewer = served("tokens", "create", "look", "--user", "vi", "--role", "viewer").stdout.strip()
    above = served("tokens", "create", "more", "--role", "admin", STEPWELL_TOKEN=viewer)
    assert (above.returncode, above.stdout) == (2, "")
    assert "role 'admin' is above yours, 'viewer'" in above.stderr
    other = served.json("tokens", "create", "other", "--user", "ann")
    hidden = served("tokens", "revoke", other["id"], STEPWELL_TOKEN=viewer)
    assert (hidden.returncode, f"No token '{other['id']}'" in hidden.stderr) == (2, True)
    unknown = served("tokens", "create", "x", "--app-name", "nothing")
    assert (unknown.returncode, "there is no app 'nothing'" in unknown.stderr) == (2, True)
    nobody = served("tokens", "list", STEPWELL_TOKEN="")
    assert (nobody.returncode, "STEPWELL_TOKEN" in nobody.stderr) == (2, True)


def test_an_application_on_the_command_line_goes_before_the_server(served: Shell) -> None:
    names = [one["name"] for one in served.json("tokens", "list", "--app", "guarded:stepwell")]
    assert "root" in names
    both = served("tokens", "list", "--app", "guarded:stepwell", "--url", "http://localhost:1")
    assert (both.returncode, "give one of them" in both.stderr) == (2, True)


def test_a_server_that_takes_no_tokens_says_so(afar: Shell) -> None:
    done = afar("tokens", "create", "deploy")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "API tokens aren't accepted here" in done.stderr
