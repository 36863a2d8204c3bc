"""The shop of `examples/orders`, in this process and as a server of its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from examples.orders.server import Server

StartServer = Callable[..., Server]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The application on a new database, for the tests of one file."""
    with Server(tmp_path_factory.mktemp("shop") / "orders.db") as running:
        yield running


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModuleType]:
    """`shop("triggers")`: a module of the example. Its own engine is on a file that the whole session shares."""
    with pytest.MonkeyPatch.context() as patch:
        file = Path(tmp_path_factory.getbasetemp()) / "shop-in-process.db"
        patch.setenv("STEPWELL_DATABASE_URL", f"sqlite+aiosqlite:///{file}")
        importlib.import_module("examples.orders.tables")
    return lambda name: importlib.import_module(f"examples.orders.{name}")
