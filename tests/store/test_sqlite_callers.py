"""The caller's transaction on SQLite: reading first gives "database is locked" as soon as somebody else wrote (rule 36)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from backends import SqliteFile
from conformance.support import ME, StepwellOn
from conformance.test_callers_transaction import VERBS, Ask, Order


async def test_the_first_statement_is_a_write(stepwell_on: StepwellOn, sqlite_database: SqliteFile) -> None:
    engine = sqlite_database.engine()
    async with stepwell_on([Order, Ask], database_url=sqlite_database.url) as stepwell:
        parked = await stepwell.runner.run_sync(Ask, **ME)
        for name, verb in VERBS.items():
            statements: list[str] = []

            def listen(_c: Any, _cursor: Any, sql: str, *_: Any, into: list[str] = statements) -> None:
                if sql != "PRAGMA database_list":  # it reads nothing of the file, and begins no snapshot
                    into.append(sql)

            event.listen(engine.sync_engine, "before_cursor_execute", listen)
            async with engine.connect() as connection:
                await verb(stepwell, parked.workflow_id or "", connection)
                await connection.rollback()
            event.remove(engine.sync_engine, "before_cursor_execute", listen)
            assert statements[0].split()[0] in ("UPDATE", "INSERT", "BEGIN"), (name, statements[0])
    await engine.dispose()
