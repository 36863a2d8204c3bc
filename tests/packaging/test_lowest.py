"""Lower bounds are true: `make test-lowest` installs what is printed here, and runs the core of the tests with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from lowest import PROJECT, constraints
from packaging.requirements import Requirement
from packaging.version import Version


def test_each_runtime_dependency_has_a_lower_bound_that_is_installed() -> None:
    given = tomllib.loads(PROJECT.read_text())["project"]
    names = {Requirement(one).name for one in given["dependencies"]} | {"asyncpg", "bullmq", "hiredis", "PyJWT"}
    found = [Requirement(one) for one in constraints()]
    assert {one.name for one in found} == names
    assert all(str(one.specifier).startswith("==") for one in found)


def test_a_dependency_without_a_lower_bound_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["anyio<5"]\n[project.optional-dependencies]\nall = []\n')
    with pytest.raises(ValueError, match=r"'anyio<5' in pyproject\.toml has no lower bound: write anyio>="):
        list(constraints(project))


def test_the_versions_that_the_other_tests_use_are_not_below_the_bounds() -> None:
    from importlib.metadata import version

    below = [
        one for one in map(Requirement, constraints()) if Version(version(one.name)) < Version(str(one.specifier)[2:])
    ]
    assert not below
