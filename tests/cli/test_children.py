"""Who follows a run is asked what the runs below it ask, on a database and through the API."""

from __future__ import annotations

import json

import pytest

from .conftest import Shell
from .typist import Typist

CTRL_D = b"\x04"


@pytest.fixture
def family(stepwell: Shell) -> Shell:
    """A shell where workflows have children."""
    stepwell.env["STEPWELL_APP"] = "family:stepwell"
    return stepwell


@pytest.fixture
def served(family: Shell) -> Shell:
    """The same, on a server."""
    family.env["STEPWELL_URL"] = family.serve("dev", "family:stepwell", "--no-reload", "--port", "{port}")
    del family.env["STEPWELL_APP"]
    return family


def answers_everything(typist: Typist) -> None:
    typist.sees("The run waits at asked for 'child: Name': What is it called?")
    typist.sees("child: Name: ")
    typist.types("Ada")
    typist.sees("The run waits at asked for 'child: Size': How large is it?")
    typist.sees("child: Size: ")
    typist.types("small")
    typist.sees("ended: asked -> end")
    assert typist.ends() == 0
    assert json.loads(typist.data) == ["small!"]


def test_what_the_runs_below_ask_is_asked(family: Shell) -> None:
    answers_everything(family.typist("run", "parent"))


def test_it_is_asked_through_the_api_too(served: Shell) -> None:
    answers_everything(served.typist("run", "parent"))


def test_what_is_answered_elsewhere_isnt_asked_any_more(family: Shell) -> None:
    typist = family.typist("run", "parent")
    typist.sees("child: Name: ")
    [child] = [run for run in family.json("runs")["items"] if run["workflow_name"] == "child"]
    assert family("signal", child["workflow_id"], "name", "Ada").returncode == 0
    typist.sees("Your answer is no longer needed.")
    typist.sees("child: Size: ")
    typist.presses(CTRL_D)
    assert typist.ends() == 3


def test_a_run_shows_its_groups(family: Shell) -> None:
    assert family("run", "crowd").returncode == 0
    [crowd] = [run for run in family.json("runs")["items"] if run["workflow_name"] == "crowd"]
    shown = family("runs", crowd["workflow_id"]).stdout
    assert "group parts of 3 (all_completed -> completed): 3 completed" in shown
    [group] = family.json("runs", crowd["workflow_id"])["groups"]
    assert (group["max_in_flight"], group["progress"]["completed"]) == (2, 3)


def test_a_run_shows_its_groups_through_the_api_too(served: Shell) -> None:
    assert served("run", "crowd").returncode == 0
    [crowd] = [run for run in served.json("runs")["items"] if run["workflow_name"] == "crowd"]
    assert "group parts of 3" in served("runs", crowd["workflow_id"]).stdout


def answers_questions(typist: Typist) -> None:
    typist.sees("for 'Confirmation': Go **on**?")
    assert "1) Go\n  2) Stay" in typist.sees("Choose 1 to 2: ")
    typist.types("1")
    typist.sees("for 'Colours': Which?")
    typist.sees("with commas between them: ")
    typist.types("3")
    typist.sees("Write numbers from 1 to 2")
    typist.types("2, 1")
    typist.sees("for 'Question': Why?")
    typist.sees("Question: ")
    typist.types("so")
    typist.sees("The run waits at deciding for 'The end': How many?")
    typist.sees("The end: ")
    typist.types("3")
    assert typist.ends() == 0
    assert json.loads(typist.data) == {"yes": True, "colours": ["blue", "red"], "why": "so", "count": 3}


def test_ready_made_questions_and_those_with_ask_are_asked_in_their_own_words(family: Shell) -> None:
    answers_questions(family.typist("run", "asker"))


def test_they_are_asked_through_the_api_too(served: Shell) -> None:
    answers_questions(served.typist("run", "asker"))
