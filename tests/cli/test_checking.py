"""`stepwell check --database`: the runs in flight that other code can't carry on, and the exit code that says so."""

from __future__ import annotations

import json

import pytest

from .conftest import Shell

pytestmark = pytest.mark.usefixtures("on_each_database")

CODE = """
from stepwell import END, App, Stepwell, Workflow, transition

class Order(Workflow{version}):
    @transition(target="{place}")
    async def begin(self) -> None: ...

    @transition("{place}", END, wait=True)
    async def decide(self) -> None: ...

app = App("orders", workflows=[Order])
stepwell = Stepwell(apps=[app])
"""


def written(stepwell: Shell, name: str, **parts: str) -> str:
    """The target of this code, in a module whose name no other test uses: the shell imports each once."""
    module = f"{name}_{abs(hash(stepwell.folder))}"
    (stepwell.folder / f"{module}.py").write_text(CODE.format(**parts))
    return f"{module}:stepwell"


def test_runs_that_dont_fit_are_listed_with_the_cure_and_exit_1(stepwell: Shell) -> None:
    stepwell.env.pop("STEPWELL_APP", None)
    before = written(stepwell, "before", version="", place="review")
    after = written(stepwell, "after", version=", version=2", place="desk")
    empty = stepwell("check", after, "--database")
    assert empty.returncode == 0, empty.stderr
    waits = stepwell("run", "order", "--app", before)
    assert waits.returncode == 3, waits.stderr
    fits = stepwell("check", before, "--database")
    assert (fits.returncode, fits.stdout) == (0, "")
    assert "Every run fits." in fits.stderr
    found = stepwell("check", after, "--database")
    assert found.returncode == 1
    assert "orders/order: 1 run of version 1 at 'review', such as " in found.stdout
    assert "bring the place back, or write @migrate(from_version=1) that sets old.place" in found.stdout
    assert "1 runs" not in found.stderr
    one = stepwell("check", after, "--database", "--json")
    [misfit] = json.loads(one.stdout)
    assert (one.returncode, misfit["workflow"], misfit["workflow_version"], misfit["runs"]) == (1, "order", 1, 1)
    assert misfit["example"] in found.stdout


def test_only_a_stepwell_knows_its_database(stepwell: Shell) -> None:
    before = written(stepwell, "before", version="", place="review")
    wrong = stepwell("check", before.replace(":stepwell", ":app"), "--database")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--database needs a Stepwell" in wrong.stderr
