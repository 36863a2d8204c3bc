"""The nursery of the crash tests: one per process of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Starts processes that are gone when the tests end."""
    opened = Nursery()
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the processes of this test have their database and leave their evidence."""
    yield evidence.use(tmp_path)
    evidence.leave()
