"""The nursery of the crash tests: one per process of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.nursery import Nursery
from servers.databases import Databases


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Starts processes that are gone when the tests end."""
    opened = Nursery()
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def sqlite_folder(tmp_path: Path, nursery: Nursery) -> Iterator[Path]:
    """As `folder`, for what concerns SQLite only."""
    yield evidence.use(tmp_path)
    nursery.end_all()
    evidence.leave()


@pytest.fixture
def postgres_folder(tmp_path: Path, nursery: Nursery, databases: Databases) -> Iterator[Path]:
    """As `folder`, for what concerns PostgreSQL only."""
    url = databases.take()
    yield evidence.use_server(tmp_path, url)
    nursery.end_all()
    evidence.leave()
    databases.give_back(url)


@pytest.fixture(params=["sqlite", "postgres"])
def folder(request: pytest.FixtureRequest) -> Path:
    """Where the processes of this test leave their evidence, and find their database."""
    found: Path = request.getfixturevalue(f"{request.param}_folder")
    return found
