"""Runs in the transactions of a host application, synchronous and asynchronous."""

from typing import Any, assert_type

from django.db import connection as django_connection  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from stepwell import Run, RunHandle, Start, Stepwell

from .workflows import Decision, OrderArgs, Outcome, ProcessOrder

ARGS = OrderArgs(order_id="A1", total_cents=900)


def synchronous(
    stepwell: Stepwell, connection: Connection, session: Session, scope: scoped_session[Session], of_thread: Any
) -> None:
    runner = stepwell.runner.blocking
    assert_type(runner.run(ProcessOrder, ARGS, user_id="u1", connection=connection).result(), Outcome)
    assert_type(runner.run(ProcessOrder, ARGS, user_id="u1", connection=session).workflow_id, str)
    runner.run_many([Start(ProcessOrder, ARGS)], user_id="u1", connection=scope)
    assert_type(runner.signal("1", ProcessOrder.decide, Decision(approved=True), connection=session), Run)
    assert_type(runner.cancel("1", connection=django_connection), Run)
    assert_type(runner.emit("order.withdrawn", {}, connection=of_thread).started, tuple[str, ...])


async def asynchronous(
    stepwell: Stepwell, connection: AsyncConnection, session: AsyncSession, scope: async_scoped_session[AsyncSession]
) -> None:
    runner = stepwell.runner
    assert_type(await runner.run(ProcessOrder, ARGS, user_id="u1", connection=connection), RunHandle[Outcome])
    assert_type(await runner.signal("1", ProcessOrder.decide, Decision(approved=True), connection=session), Run)
    assert_type(await runner.cancel("1", connection=scope), Run)


def wrong(stepwell: Stepwell, engine: Engine, connection: AsyncConnection, session: AsyncSession) -> None:
    runner = stepwell.runner.blocking
    runner.run(ProcessOrder, ARGS, user_id="u1", connection=session)  # error: asynchronous
    runner.run_many([Start(ProcessOrder, ARGS)], user_id="u1", connection=connection)  # error: asynchronous
    runner.signal("1", ProcessOrder.decide, Decision(approved=True), connection=session)  # error: asynchronous
    runner.emit("order.withdrawn", {}, connection=connection)  # error: asynchronous
    runner.cancel("1", connection=engine)  # error: no transaction
    runner.cancel("1", connection="sqlite://")  # error: no connection


async def wrong_too(stepwell: Stepwell, connection: Connection, session: Session) -> None:
    runner = stepwell.runner
    await runner.run(ProcessOrder, ARGS, user_id="u1", connection=session)  # error: synchronous
    await runner.cancel("1", connection=connection)  # error: synchronous
