"""Files that can't be opened: StoreUnavailable or ConfigurationError, with the file and what to do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.test_opening import on, refused
from servers.keeper import place_for_all
from stepwell.errors import ConfigurationError, StoreUnavailable

NOBODY = 65534


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    """A folder of its own outside of pytest's, which only the owner may enter."""
    with tempfile.TemporaryDirectory(dir=place_for_all(), ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """The superuser may write everywhere; for the test the process is nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    await refused(on(f"sqlite:///{tmp_path}/no/such/x.db"), ConfigurationError, r"no/such' doesn't exist.*Create it")
    assert not (tmp_path / "no").exists()


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    await refused(on(f"sqlite:///{tmp_path}"), (StoreUnavailable, ConfigurationError), str(tmp_path))


async def test_a_file_that_isnt_a_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    await refused(on(f"sqlite:///{path}"), (StoreUnavailable, ConfigurationError), r"notes\.txt.*not a database")
    assert path.read_text() == "not a database\n" * 100


async def test_a_folder_that_cant_be_written_is_refused(readable_by_all: Path, unprivileged: None) -> None:
    if os.geteuid() != NOBODY:
        os.chmod(readable_by_all, 0o555)
    await refused(on(f"sqlite:///{readable_by_all}/x.db"), (StoreUnavailable, ConfigurationError), r"x\.db")


async def test_a_file_that_cant_be_written_is_refused(readable_by_all: Path) -> None:
    path = readable_by_all / "x.db"
    async with on(f"sqlite:///{path}"):
        pass
    path.chmod(0o444)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            await refused(on(f"sqlite:///{path}"), (StoreUnavailable, ConfigurationError), r"x\.db")
        finally:
            os.seteuid(0)
    else:
        os.chmod(readable_by_all, 0o555)
        await refused(on(f"sqlite:///{path}"), (StoreUnavailable, ConfigurationError), r"x\.db")
