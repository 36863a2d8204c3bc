"""The servers as fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from servers.postgres import Postgres
from servers.shared import shared_postgres
from servers.valkey import Valkey, ValkeyServer

_REDIS = "STEPWELL_TEST_REDIS_URL"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One PostgreSQL for all processes of this run; not to be stopped."""
    base = tmp_path_factory.getbasetemp()
    with shared_postgres(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """A Valkey that no other process of this run uses, or a database of the one that the environment names."""
    named = os.environ.get(_REDIS)
    with Valkey(_database_of(named)) if named else ValkeyServer() as server:
        yield server


def _database_of(url: str) -> str:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return urlunsplit(urlsplit(url)._replace(path=f"/{int(worker[2:]) % 16}"))
