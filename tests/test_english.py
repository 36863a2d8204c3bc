"""The words of the package, its examples and pages, held to docs/glossary.md; and class names: each stands for one thing."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "stepwell"
DOCS = ROOT / "docs"
GLOSSARY = DOCS / "glossary.md"
HEADING = "## Words that aren't used"

PUBLIC = {"everybody"}
"""Banned words that users write as names of settings and fields."""
ACCOUNTS = {"nobody"}
"""Banned words that are names of accounts of a machine: only as a whole string."""

MODULES = sorted(PACKAGE.rglob("*.py"))
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
PAGES = sorted(DOCS.rglob("*.md"))
QUESTION = re.compile(r"(What|Who|Whether|How|Why|Where|When)\b")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
CODE = re.compile(r"```.*?```|`[^`]*`|^\| \w+ \||\w+=(?:\{[^}]*\}|$)", re.DOTALL | re.MULTILINE)
"""Code in prose: blocks, spans, the first cells of the tables of settings, and a value that a message shows by its name."""


def glossary() -> tuple[str, dict[str, str]]:
    """The entries as text, and the word to use for each banned word."""
    entries, _, banned = GLOSSARY.read_text().partition(f"\n{HEADING}\n")
    return entries, dict(re.findall(r"^- (\S+) -> (.+)$", banned, re.MULTILINE))


@cache
def banned() -> re.Pattern[str]:
    _, words = glossary()
    return re.compile(rf"(?<![A-Za-z])({'|'.join(words)})(?![A-Za-z])", re.IGNORECASE)


def without_public(code: str) -> str:
    return re.sub(rf"\b({'|'.join(PUBLIC)})\b", "", code)


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Identifiers, comments and strings of a module, each with its line; public names are left out."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], "" if token.string in PUBLIC else HUMP.sub(" ", token.string)
        elif token.type == tokenize.COMMENT or tokenize.tok_name[token.type] in ("STRING", "FSTRING_MIDDLE"):
            text = CODE.sub(lambda found: without_public(found.group()), token.string)
            yield token.start[0], "" if token.string.strip("rbf'\"-") in PUBLIC | ACCOUNTS else text


def banned_in(path: Path) -> list[str]:
    """The banned words in a module, each with its line and the word to use."""
    _, words = glossary()
    return [
        f"{path.relative_to(ROOT)}:{line + text[: found.start()].count(chr(10))}: "
        f"{found.group()} -> {words[found.group().lower()]}"
        for line, text in texts_of(path)
        for found in banned().finditer(text)
    ]


def questions_in(path: Path) -> list[str]:
    """The docstrings in a module, those of attributes too, that begin like a question."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            text = node.value.value.strip()
            if QUESTION.match(text):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {text.splitlines()[0]}")
    return found


@pytest.mark.parametrize("path", [*MODULES, *EXAMPLES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_words_of_a_module_are_those_of_the_glossary(path: Path) -> None:
    assert banned_in(path) == []


@pytest.mark.parametrize("path", [*MODULES, *EXAMPLES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_docstring_begins_like_a_question(path: Path) -> None:
    assert questions_in(path) == []


def page_faults(path: Path) -> list[str]:
    """The banned words on a page, each with its line and the word to use."""
    entries, words = glossary()
    text = entries if path == GLOSSARY else path.read_text()
    text = CODE.sub(lambda found: without_public(found.group()), text)
    return [
        f"{path.relative_to(ROOT)}:{text[: found.start()].count(chr(10)) + 1}: {found.group()} -> {words[found.group().lower()]}"
        for found in banned().finditer(text)
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_the_words_of_a_page_are_those_of_the_glossary(path: Path) -> None:
    assert page_faults(path) == []


def test_the_glossary_is_sorted_and_has_each_term_once() -> None:
    entries, words = glossary()
    terms = re.findall(r"^\*\*([^*]+)\.\*\*", entries, re.MULTILINE)
    assert terms == sorted(set(terms), key=str.lower)
    assert list(words) == sorted(words)


def test_names_of_classes_are_unique() -> None:
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert not {name for name, count in names.items() if count > 1}
