"""Every Python block of the README and of docs/ runs: a page is one module, its blocks in their order.

Blocks may await at the top level. They run in an empty directory. Functions called `test_...` are run after the page,
as pytest would.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from servers.postgres import Postgres
from stepwell import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
HAND_WRITTEN = [
    *PAGES,
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "studio/README.md")),
]
SERVERS = {
    "postgresql.md": {"STEPWELL_DATABASE_URL": "empty_postgres"},
    "bullmq.md": {"STEPWELL_QUEUE_URL": "valkey_server"},
}
"""What pages need besides Python, by the variables that name it."""
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")
FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
WIDTH = 120


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[str]:
    """The page's blocks, each below as many empty lines as the page has above it: errors name the page's own lines."""
    text = page.read_text()
    return ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in BLOCK.finditer(text)]


async def run(code: types.CodeType, namespace: dict[str, object]) -> None:
    result = eval(code, namespace)
    if inspect.isawaitable(result):
        await result


@dataclass
class Empty:
    """A database without tables."""

    url: str


@pytest.fixture
def empty_postgres(postgres_server: Postgres) -> Iterator[Empty]:
    url = postgres_server.create_database("page_postgresql")
    yield Empty(url)
    postgres_server.drop_database("page_postgresql")


@pytest.fixture
def module(request: pytest.FixtureRequest) -> Iterator[types.ModuleType]:
    """A module that is known by its name while the page runs, as annotations are resolved through it."""
    name = "page_" + re.sub(r"\W", "_", name_of(request.getfixturevalue("page")))
    module = sys.modules[name] = types.ModuleType(name)
    yield module
    del sys.modules[name]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
async def test_a_page_runs(
    page: Path,
    module: types.ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, fixture in SERVERS.get(page.name, {}).items():
        monkeypatch.setenv(variable, request.getfixturevalue(fixture).url)
    namespace = vars(module)
    for block in blocks(page):
        await run(compile(block, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True), namespace)
    for name in [name for name in namespace if name.startswith("test_")]:
        await run(compile(f"{name}()", str(page), "eval"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = {match[1] for match in LINK.finditer(page.read_text()) if match[1]}
    assert not {target for target in targets if not (page.parent / target).exists()}


def prose(page: Path) -> list[str]:
    """The lines of a page that can be wrapped: not its code, its tables, and lines that are a link or a single word."""
    lines = FENCED.sub("", page.read_text()).splitlines()
    return [line for line in lines if not line.lstrip().startswith(("|", "![")) and " " in line.strip("-* ")]


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=name_of)
def test_a_page_is_wrapped_so_that_a_diff_can_be_read(page: Path) -> None:
    assert not [line for line in prose(page) if len(line) > WIDTH and "](http" not in line]


def test_every_page_is_found_from_the_index() -> None:
    linked = {match[1] for match in LINK.finditer((ROOT / "docs" / "index.md").read_text())}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked
    why = {match[1] for match in LINK.finditer((ROOT / "docs" / "why" / "README.md").read_text())}
    assert {page.name for page in (ROOT / "docs" / "why").glob("*.md")} - {"README.md"} <= why


def test_every_setting_is_described() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert described == list(Settings.model_fields)


def commands() -> list[list[str]]:
    """Every call of `stepwell` in a console block: its words up to the first value, and its options."""
    texts = [block for page in PAGES for block in CONSOLE.findall(page.read_text())]
    lines = [line.split()[2:] for text in texts for line in text.splitlines() if line.startswith("$ stepwell ")]
    return [
        [*takewhile(str.isalpha, line), *(word.split("=")[0] for word in line if word.startswith("--"))]
        for line in lines
    ]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_exists(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in command if not word.startswith("--")]
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["stepwell", *words, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("stepwell.console.cli").main()
    assert ended.value.code in (0, None)
    shown = capsys.readouterr().out
    assert all(option in shown for option in command if option.startswith("--"))
