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


LIMITED = """
import asyncio
from datetime import timedelta
from stepwell import END, App, RateLimit, Stepwell, Workflow, transition

class Mail(Workflow, rate_limit=RateLimit(1, per=timedelta(hours=1))):
    @transition(target=END)
    async def send(self) -> None: ...

stepwell = Stepwell(apps=[App("post", workflows=[Mail])])
"""


def test_limits_in_use_are_listed_with_what_they_hold_back(stepwell: Shell) -> None:
    (stepwell.folder / "other.py").write_text(LIMITED)
    stepwell.env["STEPWELL_APP"] = "other:stepwell"
    first, second = (stepwell("run", "mail", "--detach").stdout.strip() for _ in range(2))
    stepwell.worker(target="other:stepwell")
    stepwell.until(lambda: stepwell.json("runs", first)["status"] == "completed")
    stepwell.until(lambda: stepwell.json("limits", "--held")["items"])
    [one] = stepwell.json("limits")["items"]
    assert (one["rule"], one["limit"], one["holding"], one["held"]) == ("post/mail#0", 1, 1, 1)
    listed = stepwell("limits").stdout
    assert [text in listed for text in ("post/mail#0", "rate", "OPENS")] == [True] * 3
    shown = stepwell("limits", one["id"]).stdout
    assert shown.startswith("at most 1 run may begin in any 3600 s (rate_limit[0] of post/mail): 1 hold it, 1 wait")
    assert second in shown
    assert "It has been held back since" in stepwell("runs", second).stdout
    wrong = stepwell("limits", one["id"], "--held")
    assert (wrong.returncode, "can't be combined with an ID" in wrong.stderr) == (2, True)
    missing = stepwell("limits", "nothing")
    assert (missing.returncode, missing.stderr) == (2, "error: No run holds the limit 'nothing', or waits for it.\n")
