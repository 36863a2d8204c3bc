"""Rules and faults are cited by number ("rule 11", "faults 3, 13"): each number that is cited is on its page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "stepwell"
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for top in ("src", "tests")
    for path in sorted((ROOT / top).rglob("*.py"))
    if "node_modules" not in path.parts and path != Path(__file__)
}
ENGINE = sorted((PACKAGE / "engine").rglob("*.py"))

NUMBER = r"\d+a?\b"
CITATION = re.compile(rf"\b(rule|fault)s?\s+({NUMBER}(?:(?:,|\s+and|\s+or|\s+to)\s+{NUMBER})*)", re.IGNORECASE)
NAME = re.compile(r"\btest_fault_0*(\d+)_")
ELSEWHERE = re.compile(r"\b(?:api|architecture|semantics|section),?\s+\d+\b", re.IGNORECASE)
"""Numbers of pages that aren't in the repository."""


def cited(text: str, kind: str) -> Iterator[str]:
    """The numbers of this kind that a text cites; a range cites all that are in it."""
    for found, numbers in CITATION.findall(text):
        if found.lower() == kind:
            for part in re.split(r",\s+|\s+and\s+|\s+or\s+", numbers):
                first, _, last = (word.strip() for word in part.partition("to"))
                yield first
                if last:
                    yield from map(str, range(int(first.rstrip("a")) + 1, int(last.rstrip("a"))))
                    yield last


def rules() -> list[str]:
    """The numbers of docs/rules.md, in the order of the page."""
    return re.findall(r"^\*\*(\d+a?)\. ", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE)


def faults() -> dict[str, list[str]]:
    """The faults of docs/architecture.md by their numbers, and the files of tests that each names."""
    _, _, text = (ROOT / "docs" / "architecture.md").read_text().partition("\n## What must never happen\n")
    items = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^$)", text, re.MULTILINE | re.DOTALL)
    return {number: re.findall(r"`([\w/]+\.py)`", item) for number, item in items}


def cited_faults(text: str) -> set[str]:
    return {*cited(text, "fault"), *NAME.findall(text)}


def test_citations_are_read_as_they_are_written() -> None:
    assert [*cited("Rules 1, 3a and 5.", "rule")] == ["1", "3a", "5"]
    assert [*cited("see rules 9 to 11, 13", "rule")] == ["9", "10", "11", "13"]
    assert [*cited("faults 3, 4: 5 of them (rule 7)", "fault")] == ["3", "4"]


def test_no_two_rules_have_one_number() -> None:
    numbers = rules()
    assert len(numbers) == len(set(numbers)) > 50


def test_a_cited_rule_is_on_the_page() -> None:
    known = set(rules())
    unknown = {name: wrong for name, text in TEXTS.items() if (wrong := set(cited(text, "rule")) - known)}
    assert not unknown


def test_a_cited_fault_is_on_the_page() -> None:
    known = set(faults())
    assert not {name: wrong for name, text in TEXTS.items() if (wrong := cited_faults(text) - known)}


def test_every_fault_names_tests_that_hold_it() -> None:
    assert [*faults()] == [str(number) for number in range(1, len(faults()) + 1)]
    for number, files in faults().items():
        assert files, number
        for file in files:
            assert number in cited_faults(TEXTS[f"tests/{file}"]), (number, file)


def test_what_is_cited_is_in_the_repository() -> None:
    assert not {name: found for name, text in TEXTS.items() if (found := ELSEWHERE.findall(text))}


def test_every_rule_is_cited_by_a_test() -> None:
    tests = [text for name, text in TEXTS.items() if name.startswith("tests/")]
    assert not set(rules()) - {number for text in tests for number in cited(text, "rule")}


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_a_module_of_the_engine_states_the_rules_that_it_holds(path: Path) -> None:
    stated = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert set(cited(stated, "rule"))


def test_whoever_cites_a_rule_finds_where_the_rules_are() -> None:
    cite = [ROOT / name for name, text in TEXTS.items() if name.startswith("src/") and [*cited(text, "rule")]]
    for path in cite:
        rooms = [room for room in path.parents if PACKAGE in room.parents]
        assert any("docs/rules.md" in (room / "__init__.py").read_text() for room in rooms), path


FILE = re.compile(r"`([a-z_]+(?:/[a-z_*]+)+\.py)`")
NAMING = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(path for path in PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("path", NAMING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_file_that_is_named_is_there(path: Path) -> None:
    places = (ROOT, ROOT / "src", PACKAGE, ROOT / "tests", ROOT / "studio", path.parent)
    missing = {name for name in FILE.findall(path.read_text()) if not any((place / name).exists() for place in places)}
    assert not missing
