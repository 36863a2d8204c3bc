"""The parts that the shops have in common: the work that follows an order, and the database that they share with Stepwell."""

import os

from pydantic import BaseModel

from stepwell import END, App, Settings, Stepwell, Workflow, transition

DATABASE = os.environ.get("SHOP_DATABASE", "sqlite:///shop.db")
"""A SQLite file, or postgresql://user:password@host/database."""


class Order(BaseModel):
    order_id: str


class Ship(Workflow[Order, None, str]):
    @transition(target="packed")
    async def pack(self) -> None: ...

    @transition("packed", END)
    async def ship(self) -> str:
        return f"{self.args.order_id} shipped"


def open_shop() -> Stepwell:
    """Return the shop's Stepwell, which isn't open yet."""
    return Stepwell(apps=[App("shop", workflows=[Ship])], settings=Settings(database_url=DATABASE))
