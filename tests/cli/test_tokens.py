"""`stepwell tokens`: made, shown once, listed without secrets, revoked."""

from __future__ import annotations

import re

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
