"""An application's own Alembic, in the same database: it proposes nothing about Stepwell's tables."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Integer, MetaData, Table

from backends import Database
from conformance.support import ME, StepwellOn
from stepwell import END, Workflow, alembic_include_object, transition

yours = MetaData()
Table("stepwell_notes_of_yours", yours, Column("id", Integer, primary_key=True))
Table("orders", yours, Column("id", Integer, primary_key=True))


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


def differences(connection: Connection, **opts: Any) -> set[tuple[str, str]]:
    """(operation, table) of all that autogenerate proposes."""
    found = compare_metadata(MigrationContext.configure(connection, opts=opts), yours)
    return {(one[0], one[1].name) for one in found if one[0] in ("add_table", "remove_table")}


async def test_autogenerate_leaves_the_tables_of_stepwell_alone(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on([Quick]) as stepwell:
        await stepwell.runner.run_sync(Quick, **ME)
        engine = database.engine()
        async with engine.connect() as connection:
            without = await connection.run_sync(differences)
            found = await connection.run_sync(differences, include_object=alembic_include_object)
        await engine.dispose()
    assert ("remove_table", "stepwell_runs") in without, "else this test shows nothing"
    assert found == {("add_table", "stepwell_notes_of_yours"), ("add_table", "orders")}
