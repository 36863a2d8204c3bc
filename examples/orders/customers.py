"""The actions of customers. `runner.as_user(user)` reaches nothing that isn't theirs."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import delete, insert

from examples.orders.settings import settings
from examples.orders.tables import NewOrder, add_order, engine, subscribers
from examples.orders.users import CurrentUser
from examples.orders.workflows import AskForReview, OrderArgs, ProcessOrder, ReviewArgs
from stepwell.fastapi import Runner

router = APIRouter()


class Placed(BaseModel):
    order_id: str
    workflow_id: str


@router.post("/orders", status_code=202)
async def place_order(new: NewOrder, user: CurrentUser, runner: Runner) -> Placed:
    """The order and its two runs are in one transaction: none of them exists without the others."""
    mine = runner.as_user(user)
    async with engine.begin() as connection:
        order_id = await add_order(connection, new, user, "processing")
        run = await mine.run(
            ProcessOrder, OrderArgs(order_id=order_id, **new.model_dump()), app_name="orders", connection=connection
        )
        await mine.run(
            AskForReview,
            ReviewArgs(order_id=order_id),
            app_name="orders",
            delay=settings.review_after,
            connection=connection,
        )
    return Placed(order_id=order_id, workflow_id=run.workflow_id)


@router.put("/daily-report", status_code=204)
async def subscribe(user: CurrentUser) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(subscribers).where(subscribers.c.user_id == user))
        await connection.execute(insert(subscribers).values(user_id=user))
