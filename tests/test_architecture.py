"""The cut of the package: what may import what, what may be called what, and how large it may get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "stepwell"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))

BANNED_NAMES = {
    *("util", "utils", "common", "helper", "helpers", "manager", "managers", "service", "services", "misc", "v2"),
}
DATABASE = {"sqlalchemy", "alembic", "aiosqlite", "sqlite3"}
HANDED_THROUGH = {
    *("AsyncConnection", "AsyncSession", "async_scoped_session"),
    *("Connection", "Session", "scoped_session"),
}
"""SQLAlchemy's types that are handed from users to the store and back, so that the rooms between may name them."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> Iterator[tuple[str, frozenset[str]]]:
    """Each import statement anywhere in the module: the imported module, and the names taken from it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, frozenset()
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", frozenset(alias.name for alias in node.names)


def test_imports_point_one_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # It would disable every logger that exists, and with them what later tests look for in the log.
    monkeypatch.setattr("importlinter.cli.logging_config.dictConfig", lambda config: None)
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


def imported_modules() -> dict[str, set[str]]:
    """The modules of the package that each of them imports: at its top, in a function, or for type checkers only."""
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in MODULES
        if path.parent != PACKAGE or path.name != "__init__.py"  # which only names what users import
    }
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        taken = ((f"{module}.{one}", module) for module, parts in imports(path) for one in parts or {""})
        found[name] = {deep if deep in names else module for deep, module in taken} & names.keys() - {name}
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = imported_modules()

    def reached(name: str) -> set[str]:
        seen: set[str] = set()
        ahead = [name]
        while ahead:
            new = graph[ahead.pop()] - seen
            seen |= new
            ahead += new
        return seen

    assert not {name for name in graph if name in reached(name)}


@pytest.mark.parametrize("path", [path for path in MODULES if not name_of(path).startswith("store/")], ids=name_of)
def test_only_the_store_talks_to_the_database(path: Path) -> None:
    for module, names in imports(path):
        if module.split(".")[0] in DATABASE and module != "sqlalchemy.exc":
            assert names, f"import {module}"
            assert names <= HANDED_THROUGH, f"from {module} import {', '.join(sorted(names - HANDED_THROUGH))}"
    used = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    if name_of(path) != "queue/bullmq/client.py":  # a pipeline of Redis has an `execute` too
        assert not used & {"exec_driver_sql", "execute", "executemany", "scalars"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_what_is_in_them(path: Path) -> None:
    parts = {part.removesuffix(".py").lstrip("_") for part in path.relative_to(PACKAGE).parts}
    assert not parts & BANNED_NAMES


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_every_room_says_what_it_is_for(room: Path) -> None:
    assert ast.get_docstring(ast.parse((room / "__init__.py").read_text())), f"{room.name}/__init__.py has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_file_is_two_things(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 400, f"{lines} lines"


def code_lines(path: Path) -> int:
    """How many lines hold code. Docstrings, comments and blank lines are free: rules are to be written down."""
    tree = ast.parse(path.read_text())
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    free = {line for node in texts for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    lines = enumerate(path.read_text().splitlines(), start=1)
    return sum(number not in free and bool(line.strip()) and line.lstrip()[0] != "#" for number, line in lines)


def test_the_engine_stays_small() -> None:
    # It grew from 734 by whole rules: suspicion, void signals, the count between inputs, what code doesn't fit,
    # groups and limits, what is decided about groups, timers that are worked out, clearing up before a cancel,
    # questions, answers that count for a later visit.
    lines = sum(code_lines(path) for path in (PACKAGE / "engine").rglob("*.py"))
    assert lines <= 1_740, f"{lines} lines of code"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if not name_of(path).startswith("console/cli/")], ids=name_of
)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    lines = [func.lineno for func in calls if isinstance(func, ast.Name) and func.id == "print"]
    assert not lines, f"print() in line {lines}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "settings.py"], ids=name_of)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    readers = {"environ", "environb", "getenv"}
    if name_of(path).startswith("console/cli/"):
        readers = set()  # STEPWELL_APP names the application before there are settings; Typer reads it.
    used = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not used & readers
