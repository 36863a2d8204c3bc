"""Which tests `make test` leaves to `make test-all` is chosen by backend and by file; what is named there has to exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from selection import LONG, ON_BOTH, SAMPLES

TESTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("backend", "thorough"),
    [("sqlite", False), ("postgres", True), ("bullmq", True), ("pooled", True), ("schema", True)],
)
def test_further_backends_are_for_test_all(backend: str, thorough: bool, request: pytest.FixtureRequest) -> None:
    assert (request.node.get_closest_marker("thorough") is not None) == thorough


@pytest.mark.parametrize(
    "file", [f"{folder}/{module}" for folder, modules in ON_BOTH.items() for module in sorted(modules)]
)
def test_a_file_that_runs_on_both_databases_exists(file: str) -> None:
    assert (TESTS / f"{file}.py").is_file()


@pytest.mark.parametrize(("file", "names"), [*SAMPLES.items(), *LONG.items()])
def test_a_test_that_is_chosen_by_its_name_exists(file: str, names: set[str]) -> None:
    module = ast.parse((TESTS / f"{file}.py").read_text())
    assert names <= {one.name for one in ast.walk(module) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
