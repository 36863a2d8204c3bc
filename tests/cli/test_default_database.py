"""Commands in a folder where nothing is set: they work on its file, and make it only when they have to."""

from __future__ import annotations

from .conftest import Shell


def test_workflows_are_listed_with_their_arguments(stepwell: Shell) -> None:
    done = stepwell("list")
    assert done.returncode == 0
    assert "number=string [cents=integer] [size=Size]" in done.stdout
    assert [one["name"] for one in stepwell.json("list", "--app-name", "annex")] == ["tea"]


def test_check_draws_the_definitions(stepwell: Shell) -> None:
    done = stepwell("check", "shop:Review")
    assert "review --> [*]: decide (signal)" in done.stdout
    assert {one["app_name"] for one in stepwell.json("check", "shop:stepwell")} == {"shop", "annex"}
    assert not (stepwell.folder / "stepwell.db").exists()


def test_check_says_all_that_is_wrong(stepwell: Shell) -> None:
    (stepwell.folder / "broken.py").write_text(
        "from stepwell import Workflow, transition\n"
        "class Broken(Workflow):\n"
        "    @transition('a', 'b')\n"
        "    async def go(self) -> None: ...\n"
    )
    done = stepwell("check", "broken:Broken")
    assert done.returncode == 2
    assert "Broken can't be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_schema_is_made_and_named(stepwell: Shell) -> None:
    assert stepwell("db", "current").stdout.strip() == "none"
    assert not (stepwell.folder / "stepwell.db").exists()
    upgraded = stepwell("db", "upgrade").stdout.strip()
    assert upgraded
    assert stepwell.json("db", "current") == {"revision": upgraded}


def test_a_new_application_works(stepwell: Shell) -> None:
    assert stepwell("new", "hello").returncode == 0
    assert stepwell("new", "hello").returncode == 2
    assert stepwell("check", "hello.main:stepwell").returncode == 0
    assert stepwell("run", "greet", "--arg", "name=you", "--app", "hello.main:stepwell").returncode == 3


def test_a_database_that_can_not_be_opened_is_exit_code_2(stepwell: Shell) -> None:
    done = stepwell("runs", STEPWELL_DATABASE_URL="sqlite:///nowhere/at-all.db")
    assert done.returncode == 2
    assert "doesn't exist. Create it" in done.stderr
    (stepwell.folder / "text.db").write_text("this is no database, and long enough to be sure of it" * 20)
    done = stepwell("runs", STEPWELL_DATABASE_URL="sqlite:///text.db")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
