"""The workflows that the clock starts: a customer's daily report, and the shop's sales overview."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from pydantic import BaseModel

from examples.orders.tables import Reading, sales
from stepwell import END, Markdown, Workflow, transition


class ReportArgs(BaseModel):
    report_date: date


class DailyReport(Workflow[ReportArgs, None, str], title="Daily report"):
    """The state of a customer's orders."""

    @transition(target=END)
    async def write(self, connection: Reading) -> str:
        rows = await sales(connection, self.info.user_id)
        await self.documents.save(Markdown(text=table_of(f"Your orders on {self.args.report_date}", rows)))
        return f"{sum(count for _, count, _ in rows)} orders"


class SalesOverview(Workflow[None, None, str], title="Sales overview"):
    """The state of all orders."""

    @transition(target=END)
    async def write(self, connection: Reading) -> str:
        rows = await sales(connection)
        await self.documents.save(Markdown(text=table_of("Sales", rows)))
        return f"{sum(count for _, count, _ in rows)} orders, {sum(cents for _, _, cents in rows)} cents"


def table_of(title: str, rows: Iterable[Any]) -> str:
    """A Markdown table of `(status, count, cents)`."""
    head = [f"# {title}", "", "| status | orders | cents |", "|---|--:|--:|"]
    return "\n".join([*head, *(f"| {status} | {count} | {cents} |" for status, count, cents in rows)])
