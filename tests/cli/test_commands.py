"""The commands: data on stdout, everything else on stderr, and what the exit codes say."""

from __future__ import annotations

import json

import pytest

from .conftest import Shell

pytestmark = pytest.mark.usefixtures("on_each_database")


def test_a_completed_run_exits_with_0_and_prints_its_result(stepwell: Shell) -> None:
    done = stepwell("run", "pack", "--arg", "number=007", "--arg", "cents=900", "--arg", "size=large")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["number"], result["cents"], result["size"]) == ("007", 900, "large")
    assert "[1] pack: start -> packed" in done.stderr
    assert "[2] ship: packed -> end" in done.stderr


def test_the_console_script_says_by_its_exit_code_how_a_run_ended(stepwell: Shell) -> None:
    completed = stepwell.script("run", "pack", "--arg", "number=1", "--json")
    assert (completed.returncode, json.loads(completed.stdout)["status"]) == (0, "completed")
    failed = stepwell.script("run", "break", "--json")
    assert (failed.returncode, json.loads(failed.stdout)["status"]) == (1, "failed")
    assert stepwell.script("run", "review", "--quiet").returncode == 3
    wrong = stepwell.script("run", "nothing")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


def test_arguments_come_from_files_stdin_and_json(stepwell: Shell) -> None:
    (stepwell.folder / "tags.json").write_text('["a", "b"]')
    done = stepwell(
        "run", "pack", "--quiet", "--arg", "number=1", "--arg", "tags=@tags.json", "--arg", "note=@-", stdin="null"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert (result["tags"], result["note"]) == (["a", "b"], "null")
    whole = stepwell("run", "pack", "--quiet", "--data", "@-", stdin='{"number": "2"}')
    assert json.loads(whole.stdout)["number"] == "2"


def test_json_is_all_that_is_on_stdout(stepwell: Shell) -> None:
    done = stepwell("run", "pack", "--arg", "number=1", "--json")
    run = json.loads(done.stdout)
    assert (run["status"], run["place"], run["user_id"]) == ("completed", "end", "cli")
    assert stepwell.json("runs")["items"][0]["workflow_id"] == run["workflow_id"]
    shown = stepwell.json("runs", run["workflow_id"])
    assert [row["transition"] for row in shown["history"]] == [None, "pack", "ship"]


def test_a_failed_run_exits_with_1_and_can_be_retried(stepwell: Shell) -> None:
    done = stepwell("run", "break")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ValueError: snapped" in done.stderr
    run_id = stepwell.json("runs", "--status", "failed")["items"][0]["workflow_id"]
    (stepwell.folder / "mended").touch()
    retried = stepwell("retry", run_id)
    assert (retried.returncode, "No worker takes shop/break" in retried.stderr) == (0, True)
    stepwell.worker()
    assert stepwell("runs", run_id, "--follow").returncode == 0
    assert stepwell("cancel", run_id).returncode == 1
    assert stepwell("cancel", run_id).stderr.startswith("error: Run ")


def test_a_run_that_waits_for_input_exits_with_3_and_goes_on_when_it_is_signalled(stepwell: Shell) -> None:
    done = stepwell("run", "review", "--json")
    assert done.returncode == 3
    run_id = json.loads(done.stdout)["workflow_id"]
    refused = stepwell("signal", run_id, "decide", "--data", '{"approved": "perhaps"}')
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "approved" in refused.stderr
    assert stepwell("signal", run_id, "decide", "approved=true", "note=fine").returncode == 0
    stepwell.worker()
    followed = stepwell("runs", run_id, "--follow", "--json")
    assert followed.returncode == 0, followed.stderr
    assert json.loads(followed.stdout)["result"] == "True fine"


def test_a_run_is_forked_repaired_and_deleted(stepwell: Shell) -> None:
    run_id = json.loads(stepwell("run", "review", "--json").stdout)["workflow_id"]
    rows = stepwell.json("runs", run_id)["history"]
    waits = next(row["version"] for row in rows if row["target"] not in (None, "end"))
    forked = stepwell("fork", run_id, "--checkpoint", str(waits), "--key", "k", "--json")
    assert forked.returncode == 0, forked.stderr
    assert json.loads(forked.stdout)["forked_from"] == [run_id, waits]
    again = stepwell.json("fork", run_id, "--checkpoint", str(waits), "--key", "k")
    assert again["workflow_id"] == json.loads(forked.stdout)["workflow_id"]
    refused = stepwell("fork", run_id, "--checkpoint", "0")
    assert (refused.returncode, "leads to no place" in refused.stderr) == (2, True)
    assert stepwell("retry", run_id, "--data", "1").returncode == 1
    unfinished = stepwell("delete", run_id)
    assert (unfinished.returncode, "Cancel it first" in unfinished.stderr) == (1, True)
    assert stepwell("cancel", run_id).returncode == 0
    assert stepwell("delete", run_id).returncode == 0
    assert stepwell("runs", run_id).returncode == 2


def test_a_run_gets_other_labels_and_another_subject(stepwell: Shell) -> None:
    run_id = json.loads(stepwell("run", "review", "--json", "--label", "old").stdout)["workflow_id"]
    changed = stepwell.json("update", run_id, "--label", "a", "--label", "b", "--subject", "Rent")
    assert (changed["labels"], changed["subject"]) == (["a", "b"], "Rent")
    assert stepwell.json("update", run_id, "--subject", "")["labels"] == ["a", "b"]
    none = stepwell.json("update", run_id, "--no-labels")
    assert (none["labels"], none["subject"]) == ([], None)
    for wrong in (["--label", "a", "--no-labels"], []):
        assert stepwell("update", run_id, *wrong).returncode == 2
    rows = stepwell.json("runs", run_id)["history"]
    assert all(row["transition"] is not None for row in rows[1:])


def test_a_workspace_is_made_and_holds_a_run(stepwell: Shell) -> None:
    made = stepwell.json("workspaces", "create", "Spring", "--app-name", "shop")
    assert (made["app_name"], made["user_id"], made["title"]) == ("shop", "cli", "Spring")
    done = stepwell("run", "pack", "--arg", "number=1", "--json", "--workspace", made["workspace_id"])
    assert json.loads(done.stdout)["workspace_id"] == made["workspace_id"]
    assert stepwell.json("workspaces", "rename", made["id"], "Summer") == made | {"title": "Summer"}
    assert stepwell.json("workspaces", "list", "--user", "cli") == [made | {"title": "Summer"}]
    assert "Summer" in stepwell("workspaces", "list").stdout
    missing = stepwell("workspaces", "rename", "none", "Autumn")
    assert (missing.returncode, "No workspace 'none'" in missing.stderr) == (2, True)


def test_a_cancelled_run_exits_with_1(stepwell: Shell) -> None:
    run_id = json.loads(stepwell("run", "review", "--json").stdout)["workflow_id"]
    assert stepwell("cancel", run_id, "--reason", "no more").returncode == 0
    followed = stepwell("runs", run_id, "--follow")
    assert followed.returncode == 1
    assert "canceled" in followed.stdout


def test_timers_are_waited_for(stepwell: Shell) -> None:
    done = stepwell("run", "tea", "--app-name", "annex")
    assert (done.returncode, done.stdout.strip()) == (0, "tea")


def test_a_detached_run_is_queued_and_named(stepwell: Shell) -> None:
    done = stepwell("run", "pack", "--arg", "number=1", "--detach")
    run_id = done.stdout.strip()
    assert stepwell.json("runs", run_id)["status"] == "pending"


def test_a_followed_run_goes_on_after_the_timeout(stepwell: Shell) -> None:
    worker = stepwell.worker()
    done = stepwell("run", "nap", "--timeout", "0.2", "--json")
    assert (done.returncode, json.loads(done.stdout)["result"]) == (3, None)
    stepwell.until(stepwell.naps)
    assert stepwell.naps() == [worker.pid]


def test_users_see_their_own(stepwell: Shell) -> None:
    run_id = stepwell("run", "review", "--user", "ann", "--detach").stdout.strip()
    assert stepwell.json("runs", "--user", "ann")["items"][0]["workflow_id"] == run_id
    assert stepwell.json("runs", "--user", "bob")["items"] == []
    assert stepwell("runs", run_id, "--user", "bob").returncode == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["list", "--app", "nowhere:stepwell"], "there is no module 'nowhere'"),
        (["list", "--app", "shop:nothing"], "It has 'stepwell'."),
        (["list", "--app", "shop"], "isn't MODULE:ATTR"),
        (["list", "--app", "shop:shop"], "an App, not a Stepwell"),
        (["run", "pakc"], "No workflow 'pakc'. Known workflows: break, nap, pack, review, stay, tea."),
        (["run", "tea"], "Several apps list 'tea'"),
        (["run", "tea", "--app-name", "sohp"], "No app 'sohp'. Known apps: annex, shop."),
        (["run", "pack"], "number: Field required"),
        (["run", "pack", "--arg", "number"], "isn't NAME=VALUE"),
        (["run", "pack", "--arg", "number=@nothing"], "can't be read"),
        (["runs", "nobody"], "No run 'nobody'"),
        (["worker", "shop:stepwell", "--workflows", "pakc"], "no workflow 'pakc'"),
        (["tokens", "revoke", "nobody"], "No token 'nobody'"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(stepwell: Shell, args: list[str], said: str) -> None:
    done = stepwell(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")


def test_the_steps_of_a_run_are_listed(stepwell: Shell) -> None:
    run = json.loads(stepwell("run", "stay", "--json").stdout)
    told = stepwell("steps", run["workflow_id"])
    assert told.returncode == 0, told.stderr
    assert [line.split()[:2] for line in told.stdout.splitlines() if "room" in line] == [["room", "book"]]
    [row] = stepwell.json("steps", run["workflow_id"])
    assert (row["name"], row["status"], row["attempts"], row["value"], row["undo"]) == (
        "room",
        "completed",
        1,
        101,
        "free",
    )
    empty = json.loads(stepwell("run", "pack", "--arg", "number=1", "--json").stdout)
    assert stepwell("steps", empty["workflow_id"]).stderr == "The run has no steps in its journal.\n"
    assert stepwell("steps", "01990000-0000-7000-8000-000000000000").returncode != 0


def test_a_cancel_clears_up_first_unless_it_is_forced(stepwell: Shell) -> None:
    first, second = (json.loads(stepwell("run", "stay", "--json").stdout)["workflow_id"] for _ in range(2))
    canceled = stepwell.json("cancel", first)
    assert (canceled["place"], canceled["canceling"]) == ("leaving", True)
    forced = stepwell.json("cancel", second, "--force")
    assert (forced["status"], forced["canceling"]) == ("canceled", False)
