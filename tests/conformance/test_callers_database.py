"""`connection=` is compared by the database that it has open, not by what its engine is called."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from backends import Database
from conformance.support import ME, StepwellOn, everything
from conformance.test_callers_transaction import Order
from everywhere import backend  # noqa: F401 - on each of them
from servers.databases import Databases
from stepwell import Settings, Stepwell
from stepwell.errors import ConfigurationError


def _everything(stepwell: Stepwell) -> dict[str, Any]:
    return asyncio.run_coroutine_threadsafe(everything(stepwell), stepwell.opening.blocking()).result(60)


def _named(database: Database, url: str) -> tuple[str, dict[str, Any]]:
    """Return a URL that names no database of its own, and options to connect to that of `url` all the same."""
    if database.kind == "sqlite":
        return "sqlite://", {"creator": lambda: sqlite3.connect(make_url(url).database or "", check_same_thread=False)}
    real = make_url(url)
    return "postgresql+psycopg://", {
        "creator": lambda: psycopg.connect(real.set(drivername="postgresql").render_as_string(False))
    }


def test_the_database_is_what_the_connection_has_open_whatever_its_engine_is_called(
    stepwell_on: StepwellOn, database: Database, databases: Databases, tmp_path: Path
) -> None:
    """Also where the other one is a database of Stepwell's too: what is written there would be lost to this one."""
    other = f"sqlite:///{tmp_path}/other.db" if database.kind == "sqlite" else databases.take()
    settings = Settings(_env_file=None, database_url=other)
    with Stepwell([], settings=settings):
        pass
    _, to_other = _named(database, other)
    driver = database.drivers[-1] if database.kind == "sqlite" else "psycopg"
    misleading = database.blocking_engine(driver, **to_other)
    url, to_ours = _named(database, database.url)
    unnamed = create_engine(url, **to_ours)
    with stepwell_on([Order]) as stepwell:
        runner = stepwell.runner.blocking
        name = r"other\.db" if database.kind == "sqlite" else other.rpartition("/")[2]
        with misleading.connect() as connection:
            with pytest.raises(ConfigurationError, match=rf"{name}.*not on Stepwell's database"):
                runner.run(Order, {}, app_name="shop", user_id="new", connection=connection)
            assert connection.execute(text("SELECT count(*) FROM stepwell_runs")).scalar() == 0
        assert not any(_everything(stepwell).values())
        with unnamed.begin() as connection:
            run = runner.run(Order, {"n": 1}, **ME, connection=connection)
        assert run.result(60) == {"n": 1}
    misleading.dispose()
    unnamed.dispose()
    if database.kind != "sqlite":
        databases.give_back(other)


def test_each_connection_of_an_engine_is_asked_for_its_own_database(
    stepwell_on: StepwellOn, database: Database, databases: Databases, tmp_path: Path
) -> None:
    """An engine for many customers opens another database for each."""
    other = f"sqlite:///{tmp_path}/other.db" if database.kind == "sqlite" else databases.take()
    url, ours = _named(database, database.url)
    theirs = _named(database, other)[1]
    creators = [ours["creator"], theirs["creator"]]
    engine = create_engine(url, creator=lambda: creators.pop(0)(), poolclass=NullPool)
    with stepwell_on([Order]) as stepwell:
        runner = stepwell.runner.blocking
        with engine.begin() as connection:
            runner.run(Order, {}, **ME, connection=connection)
        with engine.connect() as connection, pytest.raises(ConfigurationError, match="not on Stepwell's database"):
            runner.run(Order, {}, **ME, connection=connection)
    engine.dispose()
    if database.kind != "sqlite":
        databases.give_back(other)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_sqlite_in_memory_and_an_attached_file_are_refused_and_another_name_of_the_file_is_not(
    stepwell_on: StepwellOn, database: Database, tmp_path: Path
) -> None:
    file = make_url(database.url).database or ""
    (tmp_path / "link").symlink_to(Path(file).resolve().parent)
    with stepwell_on([Order]) as stepwell:
        runner = stepwell.runner.blocking
        memory = create_engine("sqlite://")
        with memory.connect() as connection:
            connection.execute(text("ATTACH DATABASE :file AS stepwell"), {"file": file})
            with pytest.raises(ConfigurationError, match=r"a database in memory, not on Stepwell's database"):
                runner.run(Order, {}, **ME, connection=connection)
        memory.dispose()
        assert not any(_everything(stepwell).values())
        linked = create_engine(f"sqlite:///{tmp_path}/link/{Path(file).name}")
        with linked.begin() as connection:
            run = runner.run(Order, {"n": 1}, **ME, connection=connection)
        assert run.result(60) == {"n": 1}
        linked.dispose()
