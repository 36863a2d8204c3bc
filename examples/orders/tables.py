"""The shop's own tables, in the same database as Stepwell's: they change together with a run, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from uuid import uuid4

from pydantic import BaseModel, Field
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, make_url, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from stepwell import Depends, Settings

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
"""The meaning of a URL that names only the database, as Stepwell reads it too."""

url = make_url(Settings().database_url)
engine = create_async_engine(url.set(drivername=DRIVERS.get(url.drivername, url.drivername)))
metadata = MetaData()

orders = Table(
    "orders",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_id", String(256), nullable=False),
    Column("item", String(200), nullable=False),
    Column("total_cents", Integer, nullable=False),
    Column("card", String(40), nullable=False),
    Column("status", String(20), nullable=False),
)
receipts = Table(
    "receipts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("order_id", String(40), nullable=False),
    Column("charge_id", String(80), nullable=False),
)
payments = Table(
    "payments",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("order_id", String(40), nullable=False),
    Column("cents", Integer, nullable=False),
)
points = Table(
    "points",
    metadata,
    Column("order_id", String(40), primary_key=True),
    Column("user_id", String(256), nullable=False),
    Column("points", Integer, nullable=False),
)
products = Table(
    "products",
    metadata,
    Column("number", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("price_cents", Integer, nullable=False),
)
subscribers = Table("subscribers", metadata, Column("user_id", String(256), primary_key=True))
counters = Table(
    "counters", metadata, Column("name", String(40), primary_key=True), Column("last", Integer, nullable=False)
)


async def create_tables() -> None:
    """The shop's tables exist. (Stepwell's own are made by `stepwell db upgrade`, on SQLite also when it opens.)"""
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        if not await connection.scalar(select(func.count()).select_from(counters)):
            await connection.execute(insert(counters).values(name="receipts", last=0))


async def reading() -> AsyncIterator[AsyncConnection]:
    """A connection to read from, closed when its user is done."""
    async with engine.connect() as connection:
        yield connection


Reading = Annotated[AsyncConnection, Depends(reading)]
"""A transition's parameter of this type is a connection to read from."""


class NewOrder(BaseModel):
    """The order as a customer gives it. `card` decides what the payment gateway of this example does."""

    item: str
    total_cents: int = Field(gt=0)
    card: str = "good"


async def add_order(connection: AsyncConnection, new: NewOrder, user_id: str, status: str) -> str:
    """The id of a new row, once the connection's transaction commits."""
    order_id = uuid4().hex[:8].upper()
    await connection.execute(insert(orders).values(id=order_id, user_id=user_id, status=status, **new.model_dump()))
    return order_id


async def set_status(connection: AsyncConnection, order_id: str, status: str) -> None:
    """The order has this status, once the connection's transaction commits."""
    await connection.execute(update(orders).where(orders.c.id == order_id).values(status=status))


async def status_of(connection: AsyncConnection, order_id: str) -> str:
    """The order's status; `unknown` for an order that doesn't exist."""
    return await connection.scalar(select(orders.c.status).where(orders.c.id == order_id)) or "unknown"


async def number_receipt(connection: AsyncConnection, order_id: str, charge_id: str) -> int:
    """The number of a new receipt. Numbers have no gaps: one exists only if the connection's transaction commits."""
    # Not a sequence, which keeps what a transaction took that was rolled back: the row of the counter is locked instead.
    result = await connection.execute(
        update(counters)
        .where(counters.c.name == "receipts")
        .values(last=counters.c.last + 1)
        .returning(counters.c.last)
    )
    number: int = result.scalar_one()
    await connection.execute(insert(receipts).values(number=number, order_id=order_id, charge_id=charge_id))
    return number


async def sales(connection: AsyncConnection, user_id: str | None = None) -> Sequence[Any]:
    """Rows `(status, count, cents)`, of one user or of all."""
    query = select(orders.c.status, func.count(), func.sum(orders.c.total_cents)).group_by(orders.c.status)
    if user_id is not None:
        query = query.where(orders.c.user_id == user_id)
    return (await connection.execute(query.order_by(orders.c.status))).all()
