"""A server of these tests' own, to be stopped and killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.postgres import PostgresServer
from servers.sql import Sql


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def numbers(own: PostgresServer) -> Iterator[Sql]:
    own.sql.execute("DROP TABLE IF EXISTS numbers; CREATE TABLE numbers (n int PRIMARY KEY)")
    sql = Sql(own.root)
    yield sql
    sql.close()
