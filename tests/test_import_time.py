"""`import stepwell` is cheap: scripts, workers and test collections pay for what they use."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"sqlalchemy", "alembic", "fastapi", "starlette", "typer", "uvicorn", "rich"}


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def loaded_by(statement: str) -> set[str]:
    return set(python(f"import sys\n{statement}\nprint(*(name.split('.')[0] for name in sys.modules))").split())


def test_the_package_alone_loads_nothing_heavy() -> None:
    assert not loaded_by("import stepwell") & {*HEAVY, "pydantic", "asyncio"}


def test_writing_workflows_loads_no_database_and_no_web_framework() -> None:
    assert (
        not loaded_by("from stepwell import END, START, Document, Event, Retry, Signal, Workflow, transition") & HEAVY
    )


def test_listing_workflows_loads_neither_before_it_is_opened() -> None:
    code = """
from stepwell import END, App, Settings, Stepwell, Workflow, transition
class Nothing(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...
Stepwell(apps=[App("a", workflows=[Nothing])], settings=Settings(database_url="sqlite:///never.db"))
"""
    assert not loaded_by(code) & HEAVY


def test_the_package_is_imported_in_no_time() -> None:
    # CPU time, and the best of some: what else the machine does is left out.
    code = "import time\nbegin = time.process_time()\nimport stepwell\nprint(time.process_time() - begin)"
    seconds = min(float(python(code)) for _ in range(5))
    assert seconds < 0.4, f"import stepwell takes {seconds * 1000:.0f} ms; on a quiet machine it should be under 150"
