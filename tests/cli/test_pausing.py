"""Pausing on the command line: what is paused, and what is refused."""

from __future__ import annotations

import json

from .conftest import Shell


def test_what_is_paused_is_begun_once_it_is_resumed(stepwell: Shell) -> None:
    said = stepwell("pause", "--app-name", "shop", "--workflow", "pack", "--reason", "no boxes")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("paused: workflow 'pack' of app 'shop', since ")
    assert said.stdout.endswith(", by 'cli' (no boxes)\n")
    run_id = stepwell("run", "pack", "--arg", "number=1", "--detach").stdout.strip()
    worker = stepwell.worker()
    assert stepwell.json("runs", run_id)["status"] == "pending"
    assert "`stepwell resume --app-name shop --workflow pack`" in stepwell("runs", run_id).stdout
    listed = stepwell("paused").stdout
    assert [text in listed for text in ("shop", "pack", "cli", "no boxes")] == [True] * 4
    every = stepwell("pause", "--everything")
    assert every.stdout.startswith("paused: everything, since ")
    lifted = stepwell("resume", "--app-name", "shop", "--workflow", "pack")
    assert lifted.stdout == "resumed: workflow 'pack' of app 'shop'\n"
    assert "still paused: everything, since" in lifted.stderr
    assert "Lift that with `stepwell resume --everything`." in lifted.stderr
    assert stepwell.json("runs", run_id)["status"] == "pending"
    assert json.loads(stepwell("resume", "--everything", "--json").stdout)["remaining"] == []
    assert stepwell("runs", run_id, "--follow").returncode == 0
    assert worker.poll() is None
    assert stepwell("resume", "--everything").stdout == "everything wasn't paused\n"


def test_what_is_meant_has_to_be_named(stepwell: Shell) -> None:
    for verb in ("pause", "resume"):
        nothing = stepwell(verb)
        assert (nothing.returncode, nothing.stdout) == (2, "")
        assert "--everything for all apps" in nothing.stderr
        both = stepwell(verb, "--everything", "--app-name", "shop")
        assert (both.returncode, "can't be combined" in both.stderr) == (2, True)
        wrong = stepwell(verb, "--app-name", "shpo")
        assert (wrong.returncode, "did you mean 'shop'" in wrong.stderr) == (2, True)
