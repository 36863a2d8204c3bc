"""A Starlette application. Its order and the run that ships it are stored in one transaction of SQLAlchemy's."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from examples.hosts.workflows import DATABASE, Order, Ship, open_shop
from stepwell.errors import StepwellError

stepwell = open_shop()
engine = create_async_engine(
    DATABASE.replace("sqlite:", "sqlite+aiosqlite:").replace("postgresql:", "postgresql+asyncpg:")
)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS starlette_orders (id VARCHAR(80) PRIMARY KEY)"))
    async with stepwell:
        yield
    await engine.dispose()


async def order(request: Request) -> JSONResponse:
    runner, order_id = stepwell.runner.as_user(request.headers["X-User"]), request.path_params["order_id"]
    try:
        async with engine.begin() as connection:
            run = await runner.run(Ship, Order(order_id=order_id), connection=connection)
            await connection.execute(text("INSERT INTO starlette_orders VALUES (:id)"), {"id": order_id})
    except IntegrityError:
        return JSONResponse({"error": f"{order_id} is ordered already"}, 409)  # and the second run isn't there
    return JSONResponse({"run": run.workflow_id}, 202)


async def shown(request: Request) -> JSONResponse:
    run = await stepwell.runner.as_user(request.headers["X-User"]).get(request.path_params["run_id"])
    return JSONResponse({"status": run.status, "result": run.result})


async def refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, getattr(error, "http_status", 500))  # another user's run: 404


routes = [Route("/orders/{order_id}", order, methods=["POST"]), Route("/runs/{run_id}", shown)]
app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={StepwellError: refused})

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]))
