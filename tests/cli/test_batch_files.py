"""`stepwell batch` and `stepwell batches`: runs from lines of JSON and from tables, and how far they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stepwell.console.cli.terminal.bar import drawn, percent
from stepwell.console.cli.terminal.batch_lines import starts_of
from stepwell.errors import ConfigurationError, InvalidArgs
from stepwell.runner.groups import GroupProgress

from .conftest import Done, Shell

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "weight": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
}


@pytest.fixture
def post(stepwell: Shell) -> Shell:
    """A shell with the application of these tests."""
    stepwell.env["STEPWELL_APP"] = "parcels:stepwell"
    return stepwell


@pytest.fixture(scope="module")
def far_post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose commands reach it on a server."""
    here = Shell(tmp_path_factory.mktemp("server"))
    shell = Shell(tmp_path_factory.mktemp("afar"))
    url = here.serve("dev", "parcels:stepwell", "--no-reload", "--port", "{port}")
    del shell.env["STEPWELL_APP"]
    shell.env["STEPWELL_URL"] = url
    yield shell
    shell.close()
    here.close()


def write(shell: Shell, name: str, text: str | bytes) -> str:
    """The name of a new file in the shell's folder."""
    (shell.folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def results(done: Done) -> list[dict[str, Any]]:
    """The objects that were printed, one per line."""
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("on_each_database")
def test_a_batch_from_lines_that_all_complete(post: Shell) -> None:
    file = write(post, "p.ndjson", b'\xef\xbb\xbf{"city": "Bonn"}\r\n\n  \n{"city": "Oslo", "weight": 2.5}')
    done = post("batch", "deliver", file, "--results")
    assert done.returncode == 0, done.stderr
    assert [(one["index"], one["status"], one["result"]) for one in results(done)] == [
        (0, "completed", "Bonn 1  None"),
        (1, "completed", "Oslo 2.5  None"),
    ]
    assert "100 %, 2/2" in done.stderr


@pytest.mark.parametrize("text", ["city,weight,tags,note\r\n", "\ufeffcity,weight,tags,note\n"], ids=["crlf", "bom"])
def test_a_table_is_read_as_arguments_are(post: Shell, text: str) -> None:
    table = (
        text + '007,2.5,"[""a"",""b""]",null\n' + '"Kiel,\nHafen",,,\n' + "\n" + 'Bonn,3,[],"say ""hi"""\n' + "Ulm\n"
    )
    done = post("batch", "deliver", write(post, "P.CSV", table), "--results", "--quiet")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert [one["result"] for one in results(done)] == [
        "007 2.5 a,b null",
        "Kiel,\nHafen 1  None",
        'Bonn 3  say "hi"',
        "Ulm 1  None",
    ]


def test_stdin(post: Shell) -> None:
    done = post("batch", "weigh", "-", "--results", "--quiet", stdin="1\n2.5\n\n3")
    assert done.returncode == 0, done.stderr
    assert [one["result"] for one in results(done)] == [2, 5, 6]
    table = post("batch", "deliver", "-", "--csv", "--results", "--quiet", stdin="city\nBonn\n")
    assert [one["result"] for one in results(table)] == ["Bonn 1  None"]


def test_no_lines_are_a_batch_that_has_ended(post: Shell) -> None:
    done = post("batch", "deliver", write(post, "none.ndjson", "\n"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "ended"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.ndjson", '{"city": "Bonn"}\n\n{"city": 5}\n', "line 3: The args of Deliver don't fit"),
        ("p.ndjson", '{"city": "Bonn"}\n{"city": \n', "line 2 isn't valid JSON"),
        ("p.ndjson", b'{"city": "Bonn"}\n{"city": "\xff"}\n', "line 2 isn't valid JSON"),
        ("p.csv", "city,weight\nBonn,1\nOslo,heavy\n", "line 3: The args of Deliver don't fit"),
        ("p.csv", 'city,weight\n"Bonn\n",1\nOslo,1,2\n', "line 4 has 3 cells, and there are 2 headers"),
        ("p.csv", 'city\n"Bonn\n', "line 2 isn't valid CSV"),
        ("p.csv", "city,city\nBonn,Oslo\n", "line 1: the header 'city' is there twice"),
        ("p.csv", "city,\nBonn,Oslo\n", "line 1: a header is empty"),
        ("p.csv", b"city\nBonn\nK\xf6ln\n", "line 3 of 'p.csv' isn't UTF-8"),
        ("absent.csv", "", "'absent.csv' can't be read: No such file"),
    ],
    ids=str,
)
def test_nothing_is_stored_where_a_line_is_wrong(post: Shell, name: str, text: str | bytes, told: str) -> None:
    if name != "absent.csv":
        write(post, name, text)
    done = post("batch", "deliver", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert post.json("batches")["items"] == []
    assert post.json("runs")["items"] == []


def test_a_table_for_a_workflow_without_fields(post: Shell) -> None:
    done = post("batch", "weigh", write(post, "p.csv", "a\n1\n"))
    assert (done.returncode, "have no fields" in done.stderr) == (2, True)


def test_a_cell_names_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    file = tmp_path / "p.csv"
    file.write_text(f"city\n@{secret}\n")
    [start] = starts_of(str(file), "deliver", SCHEMA)
    assert start.args == {"city": f"@{secret}"}


def test_unknown_fields_are_refused_where_there_can_be_none(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("citi\nBonn\n")
    with pytest.raises(InvalidArgs, match="line 1: there is no field 'citi'; did you mean city"):
        starts_of(str(file), "deliver", SCHEMA)
    open_ = SCHEMA | {"additionalProperties": True}
    assert [one.args for one in starts_of(str(file), "deliver", open_)] == [{"citi": "Bonn"}]
    with pytest.raises(ConfigurationError, match="can't be read"):
        starts_of(str(tmp_path / "absent"), "deliver", SCHEMA)


# -- how it ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("on_each_database")
def test_a_batch_that_doesnt_complete_exits_with_1_and_says_which_lines(post: Shell) -> None:
    file = write(post, "p.ndjson", '{"city": "Bonn"}\n\n{"city": "Atlantis"}\n')
    done = post("batch", "deliver", file, "--label", "monday", "--json")
    assert done.returncode == 1
    batch = json.loads(done.stdout)
    assert (batch["label"], batch["status"], batch["progress"]["failed"], batch["user_id"]) == (
        *("monday", "ended", 1),
        "cli",
    )
    assert "line 3: " in done.stderr
    assert "there is no such city" in done.stderr
    shown = post("batches", batch["batch_id"])
    assert (shown.returncode, shown.stdout) == (0, f"{batch['batch_id']} monday ended: 2/2, 1 failed\n")
    followed = post("batches", batch["batch_id"], "--follow")
    assert (followed.returncode, followed.stdout) == (1, batch["batch_id"] + "\n")
    assert "run 2: " in followed.stderr
    printed = results(post("batches", batch["batch_id"], "--results"))
    assert [one["status"] for one in printed] == ["completed", "failed"]
    listed = post("batches")
    assert batch["batch_id"] in listed.stdout
    assert "monday" in listed.stdout
    assert post.json("batches", batch["batch_id"])["progress"]["total"] == 2


def test_a_key_counts_once(post: Shell) -> None:
    file = write(post, "p.ndjson", '{"city": "Bonn"}\n')
    first = post("batch", "deliver", file, "--key", "k", "--detach", "--json")
    again = post("batch", "deliver", file, "--key", "k", "--detach", "--json")
    assert json.loads(first.stdout) == {"batch_id": json.loads(again.stdout)["batch_id"], "created": True}
    assert json.loads(again.stdout)["created"] is False
    other = post("batch", "deliver", write(post, "q.ndjson", '{"city": "Oslo"}\n'), "--key", "k", "--detach")
    assert (other.returncode, other.stdout) == (2, "")
    assert "in which line 1 is another start" in other.stderr


def test_a_batch_that_goes_on_exits_with_3_after_its_timeout(post: Shell) -> None:
    done = post("batch", "await", "-", "--timeout", "0.5", stdin="null\n")
    assert done.returncode == 3, done.stderr
    assert "1 waiting" in post("batches", done.stdout.strip()).stdout


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["batch", "deliver", "-", "--stop-after-failures", "many"], "--stop-after-failures 'many'"),
        (["batch", "deliver", "-", "--stop-after-failures", "1.5"], "stop_after_failures=1.5"),
        (["batch", "nothing", "-"], "No workflow 'nothing'"),
        (["batch", "deliver", "-", "--detach", "--results"], "--results can't be combined with --detach"),
        (["batches", "--follow"], "--follow: name a batch"),
        (["batches", "0197a1b2-0000-7000-8000-000000000000"], "No batch '0197a1b2"),
        (["batches", "x", "--limit", "3"], "--limit can't be combined with an ID"),
    ],
    ids=str,
)
def test_what_can_not_be(post: Shell, args: list[str], told: str) -> None:
    done = post(*args, stdin='{"city": "Bonn"}\n')
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


# -- on a server ----------------------------------------------------------------------------------------------------------


def test_the_same_on_a_server(far_post: Shell) -> None:
    file = write(far_post, "p.csv", 'city,weight\n"Bonn\n",2\n\nAtlantis,\n')
    done = far_post("batch", "deliver", file, "--label", "far", "--stop-after-failures", "0.9")
    assert done.returncode == 1, done.stderr
    batch_id = done.stdout.strip()
    assert "line 5: " in done.stderr
    printed = results(far_post("batches", batch_id, "--results"))
    assert [one["result"] for one in printed] == ["Bonn\n 2  None", None]
    assert far_post.json("batches")["items"][0]["label"] == "far"
    wrong = far_post("batch", "deliver", write(far_post, "q.ndjson", '\n{"city": "Bonn"}\n\n{"city": 1}\n'))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "line 4: The args of Deliver don't fit" in wrong.stderr
    absent = far_post("batches", "0197a1b2-0000-7000-8000-000000000000")
    assert (absent.returncode, "No batch" in absent.stderr) == (2, True)


# -- the bar --------------------------------------------------------------------------------------------------------------


def progress(**counts: int) -> GroupProgress:
    """A progress with these counts."""
    names = ("held", "pending", "running", "waiting", "retrying", "completed", "failed", "canceled")
    found = {name: counts.get(name, 0) for name in names}
    now = datetime.now(UTC)
    return GroupProgress(
        group_id="g",
        total=sum(found.values()),
        **found,
        started_at=now,
        finished_at=None,
        rate=12.5,
        eta=now + timedelta(seconds=90),
    )


def test_the_bar_fits_into_every_terminal() -> None:
    found = progress(pending=500, completed=450, failed=50)
    for width in range(120):
        assert len(drawn(found, width)) <= width
        assert drawn(found, width).isprintable()
    assert drawn(found, 119).startswith("[###############---------------]  50 %  500/1,000  50 failed  12.5/s  1 min")
    assert drawn(found, 6) == " 50 %"
    assert percent(progress(completed=999, running=1)) == 99
    assert percent(progress()) == 100


def test_a_pipe_gets_lines_without_control_characters(post: Shell) -> None:
    file = write(post, "p.ndjson", '{"city": "Bonn"}\n' * 20)
    done = post("batch", "deliver", file)
    assert all(line.isprintable() for line in done.stderr.splitlines())
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=str)
def test_a_terminal_gets_a_bar(post: Shell, env: dict[str, str]) -> None:
    file = write(post, "p.ndjson", '{"city": "Bonn"}\n' * 3)
    typist = post.typist("batch", "deliver", file, **env)
    typist.sees("100 %  3/3")
    assert typist.ends() == 0
    assert "\x1b[" not in typist.shown
