"""One row of a supplier's catalogue: a batch starts a run for each."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from sqlalchemy import insert

from examples.orders.tables import products
from stepwell import END, Workflow, transition


class CatalogueItem(BaseModel):
    number: str
    name: str
    price_cents: int
    cost_cents: int
    supplier: str


class ImportItem(Workflow[CatalogueItem, None, str], title="Import an item"):
    """Ask the supplier whether the item can be had, and put it into the shop."""

    @transition(target=END)
    async def take_over(self) -> str:
        item = self.args
        if item.price_cents < item.cost_cents:
            raise ValueError(f"{item.name} costs {item.cost_cents} cents and would be sold for {item.price_cents}")
        await asyncio.sleep(0.2)
        if item.supplier == "south" and self.info.attempt == 1:
            raise ConnectionError("the supplier in the south didn't answer")  # "Retry failed" in Studio asks it again
        async with self.transaction() as connection:
            row = {"number": item.number, "name": item.name, "price_cents": item.price_cents}
            await connection.execute(insert(products).values(row))
        return f"{item.name} for {item.price_cents} cents"
