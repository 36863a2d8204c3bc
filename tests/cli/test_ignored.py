"""No option is accepted and ignored; commands that only read create nothing; what needs a person comes first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from stepwell.console.cli.program import defaults_of, program

from .conftest import Shell


@pytest.fixture
def desk(stepwell: Shell) -> Shell:
    """A shell at the desk."""
    stepwell.env["STEPWELL_APP"] = "desk:stepwell"
    return stepwell


REFUSED: list[tuple[list[str], str]] = [
    (["runs", "--follow"], "--follow: name a run, as in stepwell runs ID --follow"),
    (["runs", "x", "--status", "failed"], "--status can't be combined with an ID"),
    (["runs", "x", "--workflow", "judge"], "--workflow can't be combined with an ID"),
    (["runs", "x", "--limit", "5"], "--limit can't be combined with an ID"),
    (["runs", "x", "--cursor", "c"], "--cursor can't be combined with an ID"),
    (["runs", "x", "--app-name", "desk"], "--app-name can't be combined with an ID"),
    (["runs", "--limit", "0"], "Input should be greater than or equal to 1"),
    (["runs", "--status", "runing"], "Did you mean 'running'?"),
    (["runs", "--token", "t"], "--token is for a server"),
    (["run", "judge", "--data", "{}", "--arg", "a=1"], "--arg can't be combined with --data"),
    (["run", "judge", "--detach", "--timeout", "5"], "--timeout can't be combined with --detach"),
    (["run", "judge", "--timeout", "-1"], "Input should be greater than or equal to 0"),
    (["run", "judge", "--delay", "5", "--at", "2030-01-01"], "--delay and --at: give one of them"),
    (["run", "jugde"], "Did you mean 'judge'?"),
    (["run", "tell", "--arg", "a=1", "--arg", "a=2"], "'a' is given twice"),
    (["signal", "x", "remark", "text", "--data", '"other"'], "--data can't be combined with text"),
    (["signal", "x", "remark", "text", "--app", "desk:stepwell", "--url", "http://h"], "--app and --url"),
    (["list", "jugde"], "Did you mean 'judge'?"),
    (["runs", "--folow"], "No such option: --folow"),
]


@pytest.mark.parametrize(
    ("command", "text"), REFUSED, ids=lambda given: " ".join(given) if isinstance(given, list) else ""
)
def test_what_does_nothing_is_refused(desk: Shell, command: list[str], text: str) -> None:
    done = desk(*command)
    assert done.returncode == 2, done
    assert text in " ".join(done.stderr.replace("│", " ").split())
    assert not (desk.folder / "stepwell.db").exists()


def test_an_unknown_argument_is_refused_with_the_right_one(stepwell: Shell) -> None:
    done = stepwell("run", "pack", "--arg", "nunber=1", "--detach")
    assert (done.returncode, "there is no 'nunber'; did you mean number?" in done.stderr) == (2, True)


# -- commands that only read ----------------------------------------------------------------------------------------------

READING = [
    ["runs"],
    ["runs", "01990000-0000-7000-8000-000000000000"],
    ["runs", "01990000-0000-7000-8000-000000000000", "--follow"],
    ["watch"],
    ["schedules", "list"],
    ["paused"],
    ["limits"],
    ["inbox"],
    ["answer", "01990000-0000-7000-8000-000000000000", "remark", "x", "--user", "ann"],
    ["assign", "01990000-0000-7000-8000-000000000000", "remark", "--to", "ann"],
    ["resume", "--everything"],
    ["tokens", "list"],
    ["tokens", "revoke", "01990000-0000-7000-8000-000000000000"],
    ["signal", "01990000-0000-7000-8000-000000000000", "remark", "x"],
    ["cancel", "01990000-0000-7000-8000-000000000000"],
    ["retry", "01990000-0000-7000-8000-000000000000"],
]


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_where_there_is_no_database_none_is_made_and_it_is_named(desk: Shell, command: list[str], empty: bool) -> None:
    file = desk.folder / "stepwell.db"
    if empty:
        file.touch()
    before = sorted(path.name for path in desk.folder.iterdir())
    done = desk(*command)
    assert f"There is no database at {file.resolve()} yet" in done.stderr
    found = (
        ["runs"],
        ["schedules", "list"],
        ["paused"],
        ["limits"],
        ["inbox"],
        ["resume", "--everything"],
        ["tokens", "list"],
    )
    assert done.returncode == (0 if command in found else 2)
    after = sorted(path.name for path in desk.folder.iterdir() if path.name != "__pycache__")
    assert after == [name for name in before if name != "__pycache__"]
    assert not empty or file.stat().st_size == 0


def test_what_is_empty_is_named_too(desk: Shell) -> None:
    run = desk("run", "tell", "--detach")
    assert run.returncode == 0, run
    found = desk("runs", "--workflow", "tel")
    assert f"No such runs in {(desk.folder / 'stepwell.db').resolve()}." in found.stderr
    assert "No workflow 'tel': did you mean tell?" in found.stderr
    assert desk("runs", "--status", "failed").stderr.startswith("No such runs in ")


def test_a_list_as_json_is_a_page_as_ever(desk: Shell) -> None:
    assert desk.json("runs") == {"items": [], "next_cursor": None}


# -- what needs a person ----------------------------------------------------------------------------------------------------


def test_runs_that_wait_for_an_answer_come_first_with_what_is_asked(desk: Shell) -> None:
    waiting = desk("run", "judge", "--quiet").returncode
    assert waiting == 3
    [run] = desk.json("runs")["items"]
    shown = desk("runs").stdout
    head, rest = shown.split("\n\n", 1)
    assert head.startswith("1 waiting for an answer")
    assert "opine(verdict=Verdict [stars=integer]" in head
    assert "Say what you think." in head
    assert "remark(string)" in head
    assert run["workflow_id"] in head
    assert run["workflow_id"] in rest
    assert "waiting for an answer" not in desk("runs", "--status", "completed").stdout
    assert "waiting for an answer" not in desk("runs", "--workflow", "tell").stdout


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["Ada"], "Ada"),
        (["123"], "123"),
        (["a=b"], "a=b"),
        (['"quoted"'], '"quoted"'),
        (["{}"], "{}"),
        (["Ada Lovelace"], "Ada Lovelace"),
    ],
)
def test_a_plain_text_is_a_payload(desk: Shell, given: list[str], sent: str) -> None:
    desk("run", "judge", "--quiet")
    [run] = desk.json("runs")["items"]
    done = desk("signal", run["workflow_id"], "remark", *given)
    assert done.returncode == 0, done
    followed = desk("run", "tell", "--quiet")  # a worker, for as long as that takes
    assert followed.returncode == 0, followed
    desk.until(
        lambda: f"noted: {sent}" in desk("runs", run["workflow_id"], "--json").stdout or carries(desk, run, sent)
    )


def carries(desk: Shell, run: Any, sent: str) -> bool:
    """Whether the signal that is stored, or was executed, carries this."""
    import sqlite3

    with sqlite3.connect(desk.folder / "stepwell.db") as connection:
        texts = [row[0] for row in connection.execute("SELECT data FROM stepwell_signals")]
        texts += [row[0] for row in connection.execute("SELECT content FROM stepwell_documents")]
    return any(json.loads(text) in (sent, {"text": f"noted: {sent}"}) for text in texts if text)


def test_several_words_want_quotes(desk: Shell) -> None:
    desk("run", "judge", "--quiet")
    [run] = desk.json("runs")["items"]
    done = desk("signal", run["workflow_id"], "remark", "Ada", "Lovelace")
    assert (done.returncode, "it takes one value. Put it in quotes" in done.stderr) == (2, True)


def test_fields_may_come_as_one_json_object(desk: Shell) -> None:
    desk("run", "judge", "--quiet")
    [run] = desk.json("runs")["items"]
    refused = desk("signal", run["workflow_id"], "opine", "good")
    assert (refused.returncode, "'good' isn't NAME=VALUE" in refused.stderr) == (2, True)
    slip = desk("signal", run["workflow_id"], "opine", "verdikt=good")
    assert (slip.returncode, "did you mean verdict?" in slip.stderr) == (2, True)
    assert desk("signal", run["workflow_id"], "opine", '{"verdict": "good", "note": "a=b"}').returncode == 0


def test_one_workflow_is_listed_with_all_that_it_takes(stepwell: Shell, desk: Shell) -> None:
    shown = desk("list", "judge").stdout
    assert shown.startswith("desk/judge: Judge it\n")
    assert "arguments: none" in shown
    assert "signal opine:" in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "verdict good|bad required" in lines
    assert "stars integer default 3 1 to 5" in lines
    assert "note string|null default null" in lines
    assert "signal remark: string" in lines
    assert "signal decline: none" in lines
    assert desk.json("list", "judge")["name"] == "judge"


# -- STEPWELL_APP in .env ---------------------------------------------------------------------------------------------------


def test_the_application_may_be_named_in_the_file(desk: Shell) -> None:
    (desk.folder / ".env").write_text("STEPWELL_APP=desk:stepwell\n")
    del desk.env["STEPWELL_APP"]
    assert "judge" in desk("list").stdout
    assert "pack" in desk("list", STEPWELL_APP="shop:stepwell").stdout, "the environment goes before the file"
    assert "pack" in desk("list", "--app", "shop:stepwell").stdout


def test_a_server_in_the_file_comes_after_an_application_in_the_environment(desk: Shell) -> None:
    (desk.folder / ".env").write_text("STEPWELL_URL=http://127.0.0.1:9\n")
    assert "judge" in desk("list").stdout
    del desk.env["STEPWELL_APP"]
    done = desk("list")
    assert (done.returncode, "127.0.0.1:9" in done.stderr) == (2, True)


def commands(command: Any) -> Iterator[Any]:
    for one in getattr(command, "commands", {}).values():
        yield from commands(one)
    if not getattr(command, "commands", None):
        yield command


def test_every_command_that_takes_them_finds_them_in_the_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = typer.main.get_command(program)
    assert defaults_of(root) == {}
    (tmp_path / ".env").write_text("STEPWELL_APP=a:b\nSTEPWELL_URL=u\nSTEPWELL_TOKEN=t\nOTHER=o\n")
    found = json.dumps(defaults_of(root))
    for name, value in (("app", "a:b"), ("url", "u"), ("token", "t")):
        takers = [one for one in commands(root) for option in one.params if option.name == name and option.envvar]
        assert takers
        assert found.count(f'"{name}": "{value}"') == len(takers)
