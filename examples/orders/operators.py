"""The work of the operator: answer for large orders, work through imported ones, look at everything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from examples.orders.gateway import Seen, seen
from examples.orders.tables import NewOrder, add_order, engine, orders, receipts
from examples.orders.triggers import send_reports
from examples.orders.users import Operator
from examples.orders.workflows import Decision, OrderArgs, ProcessOrder
from stepwell import Run
from stepwell.fastapi import Runner

router = APIRouter()


class Answer(BaseModel):
    approved: bool
    note: str = ""


@router.get("/approvals")
async def approvals(_operator: Operator, runner: Runner) -> Sequence[Run]:
    """The orders that wait for a decision."""
    page = await runner.list(app_name="orders", workflow=ProcessOrder, status="waiting", limit=1000)
    return [run for run in page.items if "approve" in run.waiting_for]


@router.post("/approvals/{workflow_id}", status_code=202)
async def decide(workflow_id: str, answer: Answer, operator: Operator, runner: Runner) -> Run:
    decision = Decision(by=operator, note=answer.note)
    return await runner.signal(workflow_id, "approve" if answer.approved else "reject", decision)


@router.post("/orders/import", status_code=201)
async def import_orders(new: list[NewOrder], operator: Operator) -> int:
    """Orders of another shop are written as `pending`: no run works on them yet."""
    async with engine.begin() as connection:
        for one in new:
            await add_order(connection, one, operator, "pending")
    return len(new)


@router.post("/orders/process-pending", status_code=202)
async def process_pending(_operator: Operator, runner: Runner) -> int:
    """Every pending order has a run, however often this is called. Returns how many runs are new."""
    async with engine.connect() as connection:
        pending = (await connection.execute(select(orders).where(orders.c.status == "pending"))).all()
    runs = await asyncio.gather(
        *(
            runner.run(
                ProcessOrder,
                OrderArgs(order_id=row.id, item=row.item, total_cents=row.total_cents, card=row.card),
                app_name="orders",
                user_id=row.user_id,
                labels=["imported"],
                idempotency_key=f"order:{row.id}",
            )
            for row in pending
        )
    )
    return sum(run.created for run in runs)


@router.post("/daily-report/send", status_code=202)
async def send_reports_now(_operator: Operator, runner: Runner) -> int:
    """The same that the clock does at nine. A user who had the report of this day doesn't get it again."""
    return await send_reports(runner, datetime.now(UTC).date())


@router.get("/runs")
async def list_runs(_operator: Operator, runner: Runner) -> Sequence[Run]:
    """The newest thousand."""
    return (await runner.list(app_name="orders", limit=1000)).items


@router.get("/runs/{workflow_id}/why")
async def why(workflow_id: str, _operator: Operator, runner: Runner) -> Sequence[str]:
    """The reasons why a run is where it is: what it waits for, or which process executes it."""
    return (await runner.explain(workflow_id)).reasons


@router.get("/bank")
async def bank(_operator: Operator) -> Seen:
    """The number of calls that the bank has seen at once."""
    return await seen()


@router.get("/orders")
async def list_orders(_operator: Operator) -> list[dict[str, Any]]:
    """The shop's own rows, with their receipts."""
    query = select(orders, receipts.c.number.label("receipt")).outerjoin(receipts, receipts.c.order_id == orders.c.id)
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]
