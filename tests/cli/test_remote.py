"""The same commands, with the runs on a server: reached over HTTP, in a folder without an application."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import httpx
import pytest

from stepwell.console.cli.backends.answers import error_of, json_of
from stepwell.console.cli.backends.api_client import api_of
from stepwell.errors import (
    ConfigurationError,
    IdempotencyConflict,
    InvalidPayload,
    NoAccess,
    NotSignedIn,
    RunFinished,
    StepwellError,
    StoreUnavailable,
    WorkflowNotFound,
)

from .conftest import Shell

# -- commands -------------------------------------------------------------------------------------------------------------


def test_workflows_are_listed(afar: Shell) -> None:
    told = {one["name"]: one for one in afar.json("list")}
    assert set(told) == {"judge", "fill", "hurry", "tell"}
    assert told["judge"]["app_name"] == "desk"
    done = afar("list", "--app-name", "nothing")
    assert (done.returncode, done.stderr) == (2, "error: No app 'nothing'. Known apps: desk.\n")


def test_a_run_is_followed_to_its_end(afar: Shell) -> None:
    done = afar("run", "tell")
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
    assert "[1] tell: start -> told (" in done.stderr
    assert "    assistant: Hello" in done.stderr
    assert "[2] finish: told -> end (" in done.stderr
    run_id = done.stderr.split()[1]
    shown = afar("runs", run_id).stdout
    assert "    Your receipt\n      number: 7\n" in shown, "the title of the document's class"
    assert [one["title"] for one in afar.json("runs", run_id)["documents"]] == [
        *(None, None, "Your \x1b[31mreceipt", "Our terms", None, None),
    ]
    again = afar.json("run", "tell")
    assert (again["status"], again["result"], again["user_id"]) == ("completed", "told", "local")


def test_keys_and_labels_are_sent(afar: Shell) -> None:
    first = afar("run", "judge", "--key", "k1", "--label", "red", "--label", "big", "--detach").stdout
    assert afar("run", "judge", "--key", "k1", "--detach").stdout == first
    run = afar.json("runs", first.strip())
    assert (run["labels"], run["idempotency_key"]) == (["red", "big"], "k1")
    other = afar("run", "tell", "--key", "k1")
    assert (other.returncode, other.stderr.count("\n")) == (1, 1)


def test_a_run_is_started_for_somebody_else(afar: Shell) -> None:
    run_id = afar("run", "judge", "--user", "ann", "--detach").stdout.strip()
    assert afar.json("runs", run_id)["user_id"] == "ann"
    assert [one["workflow_id"] for one in afar.json("runs", "--user", "ann")["items"]] == [run_id]
    assert afar("runs", run_id, "--user", "bob").returncode == 2
    assert afar("cancel", run_id, "--user", "bob").returncode == 2


def test_a_run_waits_is_signalled_and_goes_on(afar: Shell) -> None:
    done = afar("run", "judge", "--json")
    assert done.returncode == 3
    run_id = json.loads(done.stdout)["workflow_id"]
    refused = afar("signal", run_id, "opine", "verdict=good", "stars=9")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "stars: Input should be less than or equal to 5" in refused.stderr
    unknown = afar("signal", run_id, "nothing")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert afar("signal", run_id, "remark", "--data", '"hm"').returncode == 0
    assert afar("runs", run_id, "--follow").returncode == 3
    assert afar("signal", run_id, "opine", "verdict=good", "stars=4", "--key", "once").returncode == 0
    followed = afar("runs", run_id, "--follow", "--json")
    assert followed.returncode == 0, followed.stderr
    assert json.loads(followed.stdout)["result"]["stars"] == 4
    assert afar("cancel", run_id).returncode == 1
    shown = afar("runs", run_id)
    assert "It completed at" in shown.stdout


def test_a_run_is_cancelled(afar: Shell) -> None:
    run_id = afar("run", "judge", "--detach").stdout.strip()
    assert "canceled" in afar("cancel", run_id, "--reason", "no more").stdout
    assert afar("runs", run_id, "--follow").returncode == 1
    retried = afar("retry", run_id)
    assert (retried.returncode, retried.stderr.count("\n")) == (1, 1)


def test_runs_come_in_pages(afar: Shell) -> None:
    afar("run", "judge", "--detach")
    afar("run", "judge", "--detach")
    page = afar.json("runs", "--limit", "1", "--workflow", "judge")
    assert len(page["items"]) == 1
    following = afar.json("runs", "--limit", "1", "--workflow", "judge", "--cursor", page["next_cursor"])
    assert following["items"][0]["workflow_id"] < page["items"][0]["workflow_id"]
    assert "more: --cursor" in afar("runs", "--limit", "1").stderr


def test_watching_tells_each_change(afar: Shell) -> None:
    watching = afar.start("watch", "--json")
    run_id = afar("run", "tell", "--detach").stdout.strip()
    assert watching.stdout is not None
    while json.loads(line := watching.stdout.readline())["workflow_id"] != run_id or '"completed"' not in line:
        pass
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 130


def test_schedules_are_listed_and_steered(afar: Shell) -> None:
    (told,) = afar.json("schedules", "list")
    assert (told["app_name"], told["name"], told["workflow"], told["paused"]) == ("desk", "nightly", "tell", False)
    assert "desk/nightly is paused" in afar("schedules", "pause", "nightly").stdout
    assert afar.json("schedules", "list")[0]["paused"] is True
    assert "desk/nightly is active, next" in afar("schedules", "resume", "desk/nightly").stdout
    tick = afar.json("schedules", "fire", "nightly", "--key", "once")
    assert tick["outcome"] == "fired"
    assert afar.json("schedules", "fire", "nightly", "--key", "once")["workflow_id"] == tick["workflow_id"]
    assert afar.json("schedules", "fire", "nightly")["workflow_id"] != tick["workflow_id"]
    assert afar("runs", tick["workflow_id"], "--follow").returncode == 0
    assert "only a failed" in afar("schedules", "retry", "nightly").stderr
    assert "nightly" in afar("schedules", "list").stdout
    missing = afar("schedules", "pause", "weekly")
    assert (missing.returncode, missing.stderr) == (2, "error: No schedule 'weekly'. Known schedules: desk/nightly.\n")


def test_apps_are_paused_and_resumed(afar: Shell) -> None:
    made = afar.json("pause", "--app-name", "desk", "--reason", "a look")
    assert (made["app_name"], made["workflow"], made["reason"]) == ("desk", None, "a look")
    run_id = afar("run", "tell", "--detach").stdout.strip()
    assert "--app-name desk" in afar("runs", run_id).stdout
    assert afar.json("paused") == [made]
    assert "still paused: app 'desk'" in afar("resume", "--app-name", "desk", "--workflow", "tell").stderr
    assert afar("resume", "--app-name", "desk").stdout == "resumed: app 'desk'\n"
    assert afar("runs", run_id, "--follow").returncode == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "jugde"], "No workflow 'jugde'. Known workflows: fill, hurry, judge, tell."),
        (["runs", "nobody"], "No run 'nobody'"),
        (["runs", "../me"], "No run '../me'"),
        (["runs", "--status", "lost"], "query.status.0: Input should be 'pending', 'running'"),
        (["run", "judge", "--arg", "x=1"], "takes no args"),
        (["runs", "--app", "desk:stepwell", "--url", "http://localhost:1"], "--app and --url: give one of them."),
        (["runs", "--url", "ftp://localhost"], "--url 'ftp://localhost': name a server, as in https://"),
        (["runs", "--token", "@nothing"], "'@nothing' can't be read"),
        (["runs", "--url", "http://127.0.0.1:1"], "http://127.0.0.1:1/api/v1 can't be reached"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(afar: Shell, args: list[str], said: str) -> None:
    done = afar(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert (done.stderr.count("\n"), done.stderr[:7]) == (1, "error: ")


def test_an_application_on_the_command_line_goes_before_a_server_of_the_environment(stepwell: Shell) -> None:
    stepwell.env["STEPWELL_URL"] = "http://127.0.0.1:1"
    assert stepwell("runs").returncode == 2
    assert stepwell("runs", "--app", "shop:stepwell").returncode == 0
    del stepwell.env["STEPWELL_APP"]
    del stepwell.env["STEPWELL_URL"]
    assert "give --app MODULE:ATTR or set STEPWELL_APP" in stepwell("runs").stderr


# -- people -----------------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_while_the_run_is_on_a_server(afar: Shell) -> None:
    typist = afar.typist("run", "judge")
    typist.sees("Choose 1 to 4")
    typist.types("2")
    typist.sees("Remark: ")
    typist.types("hm")
    typist.sees("noted: hm")
    typist.sees("Choose 1 to 4")
    typist.types("1")
    for text in ("It is good", "", "fine"):
        typist.sees(": ")
        typist.types(text)
    typist.sees("opine")
    assert typist.ends() == 0
    assert json.loads(typist.data) == {"verdict": "good", "stars": 3, "note": "fine", "source": "form"}


def test_a_question_that_is_answered_elsewhere_is_abandoned_while_it_is_open(afar: Shell) -> None:
    typist = afar.typist("run", "judge")
    typist.sees("Choose 1 to 4")
    typist.types("1")
    typist.sees("Choose 1 to 2")
    typist.presses(b"1, no ")
    run_id = typist.shown.split()[1]
    assert afar("signal", run_id, "decline").returncode == 0
    typist.sees_that_it_is_settled("Answered elsewhere meanwhile")
    typist.sees("decline")
    assert typist.ends() == 0
    assert typist.data == "declined\n"


def test_an_editor_isnt_closed_when_its_question_is_answered_elsewhere(afar: Shell) -> None:
    tool = f"{sys.executable} {Path(__file__).with_name('slow_editor.py')} {afar.folder / 'go'} {afar.folder / 'open'}"
    typist = afar.typist("run", "fill", EDITOR=tool, VISUAL=tool)
    typist.sees("Open the editor?")
    typist.types("")
    afar.until((afar.folder / "open").exists)
    run_id = typist.shown.split()[1]
    assert afar("signal", run_id, "fill", "--data", '{"items": []}').returncode == 0
    assert afar("runs", run_id, "--follow").returncode == 0
    (afar.folder / "go").touch()
    typist.sees("the editor is closed")
    typist.sees_that_it_is_settled("Answered elsewhere meanwhile")
    assert typist.ends() == 0


def test_who_leaves_is_told_how_to_come_back(afar: Shell) -> None:
    typist = afar.typist("run", "judge")
    typist.sees("Choose 1 to 4")
    run_id = typist.shown.split()[1]
    typist.presses(b"\x03")
    assert typist.ends() == 130
    assert f"stepwell runs {run_id} --follow --url {afar.env['STEPWELL_URL']}" in typist.shown
    assert afar.json("runs", run_id)["status"] == "waiting"


# -- servers ----------------------------------------------------------------------------------------------------------------


def test_following_goes_on_when_the_server_comes_back(stepwell: Shell) -> None:
    url = stepwell.serve("dev", "desk:stepwell", "--no-reload", "--port", "{port}")
    port = url.rsplit(":", 1)[1]
    typist = stepwell.typist("run", "judge", STEPWELL_URL=url)
    typist.sees("Choose 1 to 4")
    run_id = typist.shown.split()[1]
    (server,) = stepwell.processes
    server.kill()
    server.wait(60)
    again = stepwell.start("dev", "desk:stepwell", "--no-reload", "--port", port)
    stepwell.until(lambda: "Application startup complete" in stepwell.log(again))
    assert stepwell("signal", run_id, "decline", STEPWELL_URL=url).returncode == 0
    typist.sees_that_it_is_settled("Answered elsewhere meanwhile")
    typist.sees("decline")
    assert typist.ends() == 0
    assert typist.shown.count("[1] ask: start -> desk") == 1


def test_a_token_opens_what_it_may(stepwell: Shell) -> None:
    token = stepwell("tokens", "create", "mine", "--user", "ann", "--app", "guarded:stepwell").stdout.split()[-1]
    viewer = stepwell(
        "tokens", "create", "look", "--user", "bob", "--role", "viewer", "--app", "guarded:stepwell"
    ).stdout.split()[-1]
    python = Path(sys.executable)
    stepwell.env["STEPWELL_URL"] = stepwell.serve("-m", "uvicorn", "guarded:app", "--port", "{port}", program=python)
    nobody = stepwell("runs")
    assert (nobody.returncode, nobody.stderr.count("\n")) == (2, 1)
    assert "STEPWELL_TOKEN" in nobody.stderr
    (stepwell.folder / "token").write_text(f"{token}\n")
    started = stepwell("run", "tell", "--token", "@token", "--json")
    assert (started.returncode, json.loads(started.stdout)["user_id"]) == (0, "ann"), started.stderr
    run_id = json.loads(started.stdout)["workflow_id"]
    assert stepwell("runs", run_id, STEPWELL_TOKEN=token).returncode == 0
    others = stepwell("runs", run_id, STEPWELL_TOKEN=viewer)
    assert (others.returncode, f"No run '{run_id}'" in others.stderr) == (2, True)
    forbidden = stepwell("run", "tell", STEPWELL_TOKEN=viewer)
    assert (forbidden.returncode, "the role operator or admin" in forbidden.stderr) == (2, True)
    assert forbidden.stderr.count("\n") == 1
    everybodys = stepwell("limits", STEPWELL_TOKEN=token)
    assert (everybodys.returncode, "everybody" in everybodys.stderr) == (2, True)
    for user in ("ann", "bob"):
        made = ("schedules", "create", f"of {user}", "judge", "--every", "1h", "--user", user)
        assert stepwell(*made, "--app", "guarded:stepwell", STEPWELL_URL="").returncode == 0
    listed = stepwell("schedules", "list", "--json", STEPWELL_TOKEN=token)
    assert [one["name"] for one in json.loads(listed.stdout)] == ["of ann"]


# -- answers ----------------------------------------------------------------------------------------------------------------

REQUEST = httpx.Request("GET", "http://there/api/v1/runs")


def problem(status: int, kind: str = "about:blank", **more: object) -> httpx.Response:
    body = {"type": kind, "title": "No", "status": status, "detail": "It is so.", **more}
    headers = {"content-type": "application/problem+json"}
    return httpx.Response(status, content=json.dumps(body), headers=headers, request=REQUEST)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (problem(401), NotSignedIn),
        (problem(403), NoAccess),
        (problem(404), WorkflowNotFound),
        (problem(409), RunFinished),
        (problem(409, "urn:stepwell:idempotency-conflict"), IdempotencyConflict),
        (
            problem(422, "urn:stepwell:invalid-payload", errors=[{"loc": ["a"], "msg": "b", "type": "c"}]),
            InvalidPayload,
        ),
        (problem(503), StoreUnavailable),
        (problem(500), StepwellError),
        (httpx.Response(404, text="<html>", request=REQUEST), ConfigurationError),
        (httpx.Response(307, headers={"location": "/login"}, request=REQUEST), ConfigurationError),
        (
            httpx.Response(502, content=b"[]", headers={"content-type": "application/json"}, request=REQUEST),
            StepwellError,
        ),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else str(one.status_code),
)
def test_a_problem_becomes_the_error_that_it_was(response: httpx.Response, kind: type[StepwellError]) -> None:
    error = error_of(response)
    assert type(error) is kind or isinstance(error, ConfigurationError)
    if response.headers.get("content-type") == "application/problem+json":
        assert str(error).startswith("It is so.")
    if isinstance(error, InvalidPayload):
        assert error.errors() == [{"loc": ["a"], "msg": "b", "type": "c"}]


def test_what_isnt_an_answer_of_the_api_says_so() -> None:
    with pytest.raises(
        ConfigurationError, match="answered 200 OK, which isn't an answer of Stepwell's API: is --url right"
    ):
        json_of(httpx.Response(200, text="<html>", request=REQUEST))
    assert json_of(httpx.Response(204, request=REQUEST)) is None


def test_the_api_of_a_server() -> None:
    assert api_of("http://a:1") == api_of("http://a:1/") == api_of("http://a:1/api/v1?x=1") == "http://a:1/api/v1"
    assert api_of("https://a/b") == "https://a/b/api/v1"
    for wrong in ("a:1", "/x", "http://", "ws://a"):
        with pytest.raises(ConfigurationError):
            api_of(wrong)
