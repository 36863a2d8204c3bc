"""`stepwell new NAME`: a small application to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepwell.cli.output import put, say
from stepwell.errors import ConfigurationError

_MAIN = '''"""A workflow, an app and a Stepwell. Serve it with `stepwell dev {name}.main:stepwell`."""

from pydantic import BaseModel

from stepwell import END, App, Stepwell, Workflow, transition


class Greeting(BaseModel):
    name: str


class Greet(Workflow[Greeting, None, str]):
    """Ask whether to greet, and greet."""

    @transition(target="asked")
    async def ask(self) -> None:
        self.log.info("somebody wants to greet %s", self.args.name)

    @transition("asked", END, wait=True)
    async def answer(self, polite: bool) -> str:
        return f"Good day, {{self.args.name}}." if polite else f"Hi {{self.args.name}}!"


stepwell = Stepwell(apps=[App("{name}", workflows=[Greet])])
'''


def new(name: Annotated[str, typer.Argument(help="Its folder and package.")]) -> None:
    """Write a small application into a new folder."""
    folder = Path(name)
    if not name.isidentifier():
        raise ConfigurationError(f"{name!r} can't be a package: give a name such as 'orders'.")
    if folder.exists():
        raise ConfigurationError(f"{name!r} exists already: give another name, or remove it.")
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "main.py").write_text(_MAIN.format(name=name))
    put(str(folder / "main.py"))
    say(f"Next: stepwell run greet --arg name=you --app {name}.main:stepwell")
