"""Databases made by an earlier Stepwell open, and their runs go on to their ends."""

from __future__ import annotations

import gzip
from pathlib import Path

import asyncpg

from backends import Database, PostgresDatabase, SqliteFile
from stepwell import Settings, Stepwell
from store.earlier_shop import BEFORE, ME, SHOP, Buy, Order

EARLIER = Path(__file__).parent / "earlier"
LEASE = 2.0


async def test_a_file_of_revision_0005_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "earlier.db"
    path.write_bytes(gzip.decompress((EARLIER / "revision-0005.db.gz").read_bytes()))
    await goes_on(SqliteFile(f"sqlite:///{path}"))


async def test_a_dump_of_revision_0005_goes_on(empty_postgres: PostgresDatabase) -> None:
    connection = await asyncpg.connect(empty_postgres.url)
    await connection.execute((EARLIER / "revision-0005.sql").read_text())
    await connection.close()
    await goes_on(empty_postgres)


async def goes_on(database: Database) -> None:
    found = database.read("SELECT workflow_name, id, status FROM stepwell_runs ORDER BY id")
    ids = {(name, status): run_id for name, run_id, status in found}
    settings = Settings(_env_file=None, database_url=database.url, auto_migrate=True, lease_seconds=LEASE)
    async with Stepwell(apps=[SHOP], settings=settings) as stepwell:
        runner = stepwell.runner
        assert await runner.handle(ids["buy", "completed"]).result(60) == 5

        [child] = (await runner.list(parent_id=ids["sell", "waiting"])).items
        await runner.signal(child.workflow_id, "approve")
        assert await runner.handle(ids["sell", "waiting"]).result(60) == 8

        again = await runner.run(Buy, Order(order="A1"), **ME, idempotency_key="A1")
        assert not again.created
        assert [one.name for one in await runner.documents(again.workflow_id)] == ["receipt"]
        await runner.signal(again.workflow_id, "approve")
        assert await again.result(60) == 100

        emitted = await runner.emit("order.paid", {"order": "A2"}, user_id="u1")
        assert emitted.resumed == (ids["pack", "waiting"],)
        assert await runner.handle(ids["pack", "waiting"]).result(60) == "sent A2"

        await runner.retry(ids["draw", "retrying"])
        assert await runner.handle(ids["draw", "retrying"]).result(60) == BEFORE
        assert await runner.handle(ids["later", "pending"]).result(60) == "went"
        assert await runner.handle(ids["walk", "running"]).result(60) == "first+second"
        assert database.read("SELECT claim > 1 FROM stepwell_runs WHERE id=?", ids["walk", "running"]) == [(True,)]
        assert {run.status for run in (await runner.list(app_name="shop")).items} == {"completed"}
