"""Prints the lowest version of each runtime dependency as a constraint for pip: `make test-lowest` installs them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def constraints(project: Path = PROJECT) -> Iterator[str]:
    """Yield `name==version` for each dependency, those of the extras included. Raises ValueError for one without a bound."""
    given = tomllib.loads(project.read_text())["project"]
    extras = [one for name, group in given["optional-dependencies"].items() if name != "all" for one in group]
    for text in (*given["dependencies"], *extras):
        requirement = Requirement(text)
        lowest = [one.version for one in requirement.specifier if one.operator == ">="]
        if len(lowest) != 1:
            raise ValueError(f"{text!r} in {project.name} has no lower bound: write {requirement.name}>=...")
        yield f"{requirement.name}=={lowest[0]}"


if __name__ == "__main__":
    print(*constraints(), sep="\n")  # noqa: T201
