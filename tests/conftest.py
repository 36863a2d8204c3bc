"""The one way to a Stepwell on a real database; a second backend is one more parameter here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepwell import App, Settings, Stepwell, Workflow
from stepwell.store.migrate import upgrade
from stepwell.store.sqlite import writer_engine
from stepwell.testing import Harness


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of this version, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "stepwell.db"
    engine = writer_engine(str(path), busy_seconds=30)
    with engine.connect() as connection:
        upgrade(connection)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> str:
    """A database of the test's own; every Stepwell of the test opens the same one."""
    assert request.param == "sqlite"
    shutil.copy(migrated, tmp_path / "stepwell.db")
    return f"sqlite:///{tmp_path}/stepwell.db"


@pytest.fixture
def stepwell_on(database_url: str) -> Callable[..., Stepwell]:
    """`stepwell_on(apps, **settings)`: a Stepwell to be opened with `async with`; classes are put into an app `shop`."""

    def made(
        apps: Sequence[App | type[Workflow[Any, Any, Any]]],
        *,
        embedded_worker: bool = True,
        clock: Any = None,
        **settings: Any,
    ) -> Stepwell:
        given = [one for one in apps if isinstance(one, App)]
        classes = [one for one in apps if not isinstance(one, App)]
        if classes:
            given.append(App("shop", workflows=classes))
        return Stepwell(
            apps=given,
            settings=Settings(_env_file=None, **{"database_url": database_url, **settings}),
            embedded_worker=embedded_worker,
            clock=clock,
        )

    return made


@pytest.fixture
def harness_on() -> Callable[..., Harness]:
    """`harness_on(classes, **settings)`: the same on a private file, with a clock that only the test moves."""

    def made(classes: Sequence[type[Workflow[Any, Any, Any]]], **settings: Any) -> Harness:
        return Harness([App("shop", workflows=classes)], settings=Settings(_env_file=None, **settings))

    return made
