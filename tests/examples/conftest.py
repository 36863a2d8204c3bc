"""The shop of `examples/orders`, in this process and as processes of its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
from examples.orders.server import Server
from shops import OpenShop, Shop

from backends import PostgresDatabase, SqliteFile
from servers.postgres import Postgres
from servers.valkey import Valkey


@pytest.fixture(params=["sqlite", pytest.param("postgres and bullmq", marks=pytest.mark.thorough)], scope="module")
def open_shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OpenShop:
    """`open_shop(**environment)`: one process on a SQLite file, or a server and three workers on PostgreSQL and BullMQ."""

    @contextmanager
    def on_sqlite(**environment: str) -> Iterator[Shop]:
        folder = tmp_path_factory.mktemp("shop")
        with Server(folder, environment) as server:
            yield Shop(server, SqliteFile(f"sqlite:///{folder}/orders.db"))

    @contextmanager
    def on_servers(**environment: str) -> Iterator[Shop]:
        postgres: Postgres = request.getfixturevalue("postgres_server")
        valkey: Valkey = request.getfixturevalue("valkey_server")
        name = f"orders_{uuid4().hex[:12]}"
        with closing(PostgresDatabase(postgres.create_database(name))) as database:
            given = {
                "STEPWELL_DATABASE_URL": database.url,
                "STEPWELL_QUEUE_URL": valkey.url,
                "STEPWELL_QUEUE_PREFIX": name,
                "ORDERS_WORKERS": "3",
            }
            with Server(tmp_path_factory.mktemp("shop"), {**given, **environment}) as server:
                yield Shop(server, database)
        postgres.drop_database(name)

    return on_sqlite if request.param == "sqlite" else on_servers


@pytest.fixture(scope="module")
def opened(open_shop: OpenShop) -> Iterator[Shop]:
    """The application on a new database, for the tests of one file."""
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModuleType]:
    """`shop("triggers")`: a module of the example. Its own engine is on a file that the whole session shares."""
    with pytest.MonkeyPatch.context() as patch:
        file = Path(tmp_path_factory.getbasetemp()) / "shop-in-process.db"
        patch.setenv("STEPWELL_DATABASE_URL", f"sqlite+aiosqlite:///{file}")
        importlib.import_module("examples.orders.tables")
    return lambda name: importlib.import_module(f"examples.orders.{name}")
