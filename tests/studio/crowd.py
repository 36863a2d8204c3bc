"""A site on which many runs are under way at once: a batch, some of which failed, and limits that hold runs back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel
from sites import Site

from stepwell import END, App, Concurrency, NonRetryable, RateLimit, Start, Workflow, WorkflowRunner, transition

APP = "office"
HOSTS = {"docs.example": 5, "news.example": 3, "shop.example": 9}
"""How many pages of each are fetched."""
ENDED, WAITING = 120, 20


class Invoice(BaseModel):
    number: int
    email: str


class SendInvoice(Workflow[Invoice, None, str], title="Send an invoice"):
    """Sends it, or waits until a person has looked at it."""

    @transition(target="written")
    async def write(self) -> None:
        if "@" not in self.args.email:
            raise NonRetryable(f"{self.args.email} isn't an address")

    def is_checked(self) -> bool:
        return self.args.number < ENDED

    @transition("written", END, when=is_checked)
    async def send(self) -> str:
        return f"sent {self.args.number}"

    @transition("written", END, wait=True)
    async def check(self) -> str:
        return f"checked {self.args.number}"


class Page(BaseModel):
    host: str
    path: str


class FetchPage(
    Workflow[Page, None, None],
    title="Fetch a page",
    concurrency=[Concurrency(2, key="args.host", holds="run"), Concurrency(20, name="crawler", holds="run")],
    rate_limit=RateLimit(100, per=timedelta(hours=1), key="args.host"),
):
    """Holds its slots until it is told to end."""

    @transition(target="fetching")
    async def begin(self) -> None: ...

    @transition("fetching", END, wait=True)
    async def end(self) -> None: ...


def apps() -> list[App]:
    """New each time: an app belongs to one open Stepwell."""
    return [App(APP, title="Office", workflows=[SendInvoice, FetchPage])]


def gather(site: Site) -> Mapping[str, str]:
    """The batch has 120 runs that have ended, 20 that wait and 60 that are held; each host has two pages under way."""
    return site.wait_for(asyncio.wait_for(_gathered(site.runner), 120))


async def _gathered(runner: WorkflowRunner) -> Mapping[str, str]:
    invoices = [Invoice(number=n, email="ann" if n < ENDED and n % 23 == 7 else f"{n}@example.com") for n in range(200)]
    batch = await runner.run_batch(
        [Start(SendInvoice, invoice) for invoice in invoices],
        app_name=APP,
        user_id="ada",
        label="Invoices of May",
        max_in_flight=WAITING,
    )
    for host, pages in HOSTS.items():
        for number in range(pages):
            await runner.run(FetchPage, Page(host=host, path=f"/{number}"), app_name=APP, user_id="ada")
    while (await batch.progress()).waiting < WAITING:
        await asyncio.sleep(0.05)
    while len((await runner.list(workflow=FetchPage, status="waiting")).items) < 2 * len(HOSTS):
        await asyncio.sleep(0.05)
    return {"batch": batch.batch_id}
