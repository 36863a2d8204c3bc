"""The migrations and the tables can't drift apart, and rows fit them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table

from stepwell.engine.commit import Listener
from stepwell.engine.run import HistoryRow, Run, SignalRow, StepRow
from stepwell.store import tables
from stepwell.store.base import DocumentRow, WorkspaceRow
from stepwell.store.migrate import VERSION_TABLE, current, upgrade
from stepwell.store.sqlite import writer_engine
from stepwell.store.workers import WorkerRow


def schema(connection: Connection) -> dict[str, str]:
    """Name to SQL of everything in the database, in one spelling, without Alembic's own table."""
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"\s+", " ", sql) for name, sql in found if name != VERSION_TABLE}


def test_migrating_makes_the_tables_that_the_code_expects(tmp_path: Path) -> None:
    with writer_engine(str(tmp_path / "migrated.db"), 1.0).connect() as migrated:
        revision = upgrade(migrated)
        assert upgrade(migrated) == revision, "a second time changes nothing"
        with migrated.begin():
            assert current(migrated) == revision
            found = schema(migrated)
    with writer_engine(str(tmp_path / "created.db"), 1.0).connect() as created, created.begin():
        tables.metadata.create_all(created)
        assert found == schema(created)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (tables.runs, Run),
        (tables.history, HistoryRow),
        (tables.signals, SignalRow),
        (tables.steps, StepRow),
        (tables.documents, DocumentRow),
        (tables.workspaces, WorkspaceRow),
        (tables.workers, WorkerRow),
        (tables.listeners, Listener),
    ],
)
def test_columns_stand_in_the_order_of_the_rows(table: Table, row: type[tuple[object, ...]]) -> None:
    assert [column.name for column in table.columns] == list(row._fields)  # type: ignore[attr-defined]


def test_what_changes_at_every_checkpoint_is_in_no_index() -> None:
    indexed = {column.name for index in tables.runs.indexes for column in index.columns}
    assert not indexed & {"state", "place", "version", "attempt", "failures", "visit", "updated_at", "automatic"}
