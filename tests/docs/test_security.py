"""SECURITY.md names the attacks that the tests make: each file and each test that it names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
ATTACKS = PAGE.partition("\n## The attacks that the tests make\n")[2]


def named() -> Iterator[tuple[Path, str]]:
    """Each file that the page names, with each test that it names after it."""
    path: Path | None = None
    for name in re.findall(r"`([^`]+)`", ATTACKS):
        if name.endswith(".py"):
            path = ROOT / "tests" / name
        elif name.endswith((".test.ts", ".test.tsx")):
            path = ROOT / "studio" / "src" / name
        elif path is not None:
            yield path, name


def test_every_attack_names_its_tests() -> None:
    attacks = re.findall(r"^- (.*?)(?=^- |^### |\Z)", ATTACKS, re.MULTILINE | re.DOTALL)
    assert len(attacks) >= 15
    assert not [attack for attack in attacks if not re.search(r"`[\w/]+\.(py|test\.tsx?)`", attack)]
    assert len([*named()]) >= 40


@pytest.mark.parametrize(("path", "name"), [*named()], ids=lambda one: one if isinstance(one, str) else one.name)
def test_a_named_test_is_there(path: Path, name: str) -> None:
    assert path.is_file()
    said = f'describe("{name}"' if path.suffix != ".py" else f"def {name}("
    assert said in path.read_text()


def test_the_way_to_report_names_no_address() -> None:
    assert "@" not in PAGE
    assert "private vulnerability report" in PAGE


def test_the_page_is_wrapped() -> None:
    assert not [line for line in PAGE.splitlines() if len(line) > 120]
