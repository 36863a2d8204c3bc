"""The composition root: `uvicorn examples.orders.app:app`, and `stepwell worker examples.orders.app:stepwell`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from examples.orders import customers, operators, tables, users
from examples.orders.settings import settings
from examples.orders.triggers import orders
from examples.orders.users import principal
from stepwell import Stepwell

stepwell = Stepwell(apps=[orders], embedded_worker=settings.workers == 0)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await tables.create_tables()
    async with stepwell:
        yield
    await tables.engine.dispose()


app = FastAPI(title="Orders", lifespan=lifespan)
app.include_router(customers.router)
app.include_router(operators.router)
app.include_router(users.router)
# The webhooks at their paths, the API under /api/v1, and Studio under /studio: every user sees their own runs.
stepwell.mount(app, user=Depends(principal))
