"""What a run waits for is asked in the terminal: on a database, by real keys in a pseudo-terminal."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Shell
from .typist import Typist

CTRL_C, CTRL_D = b"\x03", b"\x04"


@pytest.fixture
def desk(stepwell: Shell) -> Shell:
    """A shell at the desk."""
    stepwell.env["STEPWELL_APP"] = "desk:stepwell"
    return stepwell


def editor(folder: Path, *texts: str) -> str:
    """An editor that writes one text after the other, each time it is opened; what it opened with is in `opened`."""
    script = folder / "editor"
    script.write_text(f"""#!{sys.executable}
import sys, time
from pathlib import Path
texts, opened, file = {list(texts)!r}, Path({str(folder / "opened")!r}), Path(sys.argv[1])
before = opened.read_text().count("<<<") if opened.exists() else 0
with opened.open("a") as seen:
    seen.write("<<<" + file.read_text())
if before < len(texts):
    time.sleep(1.1)  # saved is what has another time
    file.write_text(texts[before])
""")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def test_one_of_several_answers_is_chosen_and_its_fields_are_asked(desk: Shell) -> None:
    typist = desk.typist("run", "judge")
    typist.sees("The run waits at desk. Choose an answer:")
    assert "1) Opine: Say what you think." in typist.sees("Choose 1 to 4")
    typist.types("9")
    typist.sees("Choose a number from 1 to 4.")
    typist.types("1")
    assert "1) It is good\n  2) bad" in typist.sees("Choose 1 to 2: ")
    typist.types("2")
    typist.sees("Stars (1 to 5) [3]: ")
    typist.types("many")
    typist.sees("'many' isn't a number.")
    typist.types("5")
    typist.sees("Note: ")
    typist.types("")
    typist.sees("opine: desk -> end")
    assert typist.ends() == 0
    assert json.loads(typist.data) == {"verdict": "bad", "stars": 5, "note": None, "source": "form"}


def test_what_is_refused_is_asked_again_with_what_was_written(desk: Shell) -> None:
    typist = desk.typist("run", "judge", "--json")
    typist.sees("Choose 1 to 4")
    typist.types("1")
    for text in ("1", "17", "lovely"):
        typist.sees(": ")
        typist.types(text)
    assert "stars: Input should be less than or equal to 5" in typist.sees("Choose 1 to 2 [1]: ")
    typist.types("")
    typist.sees("[17]: ")
    typist.types("4")
    typist.sees("Note [lovely]: ")
    typist.types("")
    assert typist.ends() == 0
    assert json.loads(typist.data)["result"] == {"verdict": "good", "stars": 4, "note": "lovely", "source": "form"}


def test_a_run_that_waits_again_is_asked_again(desk: Shell) -> None:
    typist = desk.typist("run", "judge")
    typist.sees("Choose 1 to 4")
    typist.types("2")
    typist.sees("Remark: ")
    typist.types("hm")
    typist.sees("noted: hm")
    typist.sees("Choose 1 to 4")
    typist.types("Leave it waiting")
    assert typist.ends() == 3
    assert "waiting for opine, remark, decline" in typist.shown


def test_an_answer_without_a_payload_is_confirmed(desk: Shell) -> None:
    typist = desk.typist("run", "judge")
    typist.sees("Choose 1 to 4")
    typist.types("3")
    typist.sees("Decline? [y/n] ")
    typist.types("n")
    assert typist.ends() == 3
    run_id = typist.shown.split()[1]
    again = desk.typist("runs", run_id, "--follow")
    again.sees("Choose 1 to 4")
    again.types("3")
    again.sees("Decline?")
    again.types("yes")
    again.sees("No live worker registers desk/judge.")
    desk.worker(target="desk:stepwell")
    assert again.ends() == 0
    assert "completed at end" in again.data


def test_it_is_left_waiting_by_ctrl_d_and_left_alone_by_ctrl_c(desk: Shell) -> None:
    typist = desk.typist("run", "fill")
    typist.sees("Open the editor? [Y/n] ")
    typist.presses(CTRL_D)
    assert typist.ends() == 3
    typist = desk.typist("run", "fill")
    typist.sees("Open the editor? [Y/n] ")
    run_id = typist.shown.split()[1]
    typist.presses(CTRL_C)
    assert typist.ends() == 130
    assert f"The run isn't cancelled. Follow it again: stepwell runs {run_id} --follow" in typist.shown
    assert desk.json("runs", run_id)["status"] == "waiting"


def test_a_larger_form_is_written_in_the_editor_until_it_fits(desk: Shell) -> None:
    right = {"items": [{"name": "book", "count": 2}], "express": True}
    wrong = {"items": [{"name": "car"}]}
    tool = editor(desk.folder, "{no json", json.dumps(wrong), json.dumps(right))
    typist = desk.typist("run", "fill", EDITOR=tool, VISUAL=tool)
    typist.sees("Open the editor?")
    typist.types("")
    typist.sees("The text isn't valid JSON")
    typist.sees("Edit it again? [Y/n] ")
    typist.types("")
    typist.sees("there is book and lamp")
    typist.sees("Open the editor?")
    typist.types("")
    assert typist.ends() == 0
    assert json.loads(typist.data) == right
    first, second, third = [text.strip() for text in (desk.folder / "opened").read_text().split("<<<")[1:]]
    assert json.loads(first) == {"items": [], "express": False}
    assert second == "{no json"
    assert json.loads(third) == wrong


def test_an_editor_that_is_closed_without_saving_leaves_it_waiting(desk: Shell) -> None:
    tool = editor(desk.folder)
    typist = desk.typist("run", "fill", EDITOR=tool, VISUAL=tool)
    typist.sees("Open the editor?")
    typist.types("")
    assert typist.ends() == 3


def pass_an_hour(desk: Shell) -> None:
    """What waits has done so for an hour longer."""
    with closing(sqlite3.connect(desk.folder / "stepwell.db", timeout=60)) as connection, connection:
        hour = 3_600_000_000
        connection.execute("UPDATE stepwell_runs SET entered_at=entered_at-?, due_at=due_at-?", (hour, hour))


def test_a_question_that_a_timer_answers_is_abandoned(desk: Shell) -> None:
    typist = desk.typist("run", "hurry")
    typist.sees("Answer: ")
    typist.presses(b"half an ans")
    pass_an_hour(desk)
    typist.sees_that_it_is_settled("The run went on by itself meanwhile.")
    typist.sees("expire: waiting -> end")
    assert typist.ends() == 0
    assert typist.data.strip() == "expired"


def test_a_signal_without_a_payload_asks_for_it(desk: Shell) -> None:
    desk("run", "judge", "--quiet")
    run_id = desk.json("runs")["items"][0]["workflow_id"]
    typist = desk.typist("signal", run_id, "remark")
    typist.sees("Remark: ")
    typist.presses(CTRL_D)
    typist.sees("Nothing was sent.")
    assert typist.ends() == 3
    typist = desk.typist("signal", run_id, "remark", "--json")
    typist.sees("Remark: ")
    typist.types("")
    typist.sees("A value is required.")
    typist.types("so so")
    assert typist.ends() == 0
    assert json.loads(typist.data)["workflow_id"] == run_id


@pytest.mark.parametrize("options", [["--quiet"], ["--detach"]])
def test_nobody_is_asked_who_wants_quiet(desk: Shell, options: list[str]) -> None:
    typist = desk.typist("run", "judge", *options)
    assert typist.ends() == (3 if options == ["--quiet"] else 0)
    assert typist.shown == ""


def test_documents_are_shown_as_they_come(desk: Shell) -> None:
    typist: Typist = desk.typist("run", "tell")
    assert typist.ends() == 0
    assert "\x1b[1massistant:\x1b[0m Hello \N{REPLACEMENT CHARACTER}[31mthere\n" in typist.shown
    assert "Some \x1b[1mbold\x1b[0m words" in typist.shown
    assert "\x1b[1mYour \N{REPLACEMENT CHARACTER}[31mreceipt\x1b[0m" in typist.shown
    assert "number: 7" in typist.shown
    assert "\x1b[1mOur terms\x1b[0m" in typist.shown
    assert "invoice" in typist.shown
    assert "-> Hurry up: " in typist.shown
    piped = desk("run", "tell")
    later = desk("runs", piped.stderr.split()[1]).stdout
    below = later[later.index("[1] tell: start -> told") : later.index("[2] finish")]
    for text in (
        "    Your receipt\n      number: 7\n",
        "    Our terms\n    All of *them*\n",
    ):
        assert text in below, "and by who looks later"
    assert "    Some **bold** words\n" in piped.stderr
    assert "    Your \N{REPLACEMENT CHARACTER}[31mreceipt\n      number: 7\n" in piped.stderr, "its title"
    assert "    Our terms\n    All of *them*\n" in piped.stderr
    assert "    invoice\n      number: 8\n" in piped.stderr, "its name where its class has no title"
    assert f"text: {'x' * 197}...\n" in piped.stderr
    assert piped.stdout == "told\n"
    assert "\x1b" not in piped.stderr
