"""The story of three purchases: one is approved by a link, one is escalated, one is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from examples.approval.mail import mailbox
from examples.approval.workflows import DIRECTOR, Order, Purchase
from stepwell import RunHandle, Settings
from stepwell.testing import Harness

ADDRESS = "https://office.example.com"
SETTINGS: dict[str, Any] = {"secret_key": "an example, so no secret", "public_url": ADDRESS}
FORM = {"accept": "text/html"}


def settings() -> Settings:
    """Return the settings of the example: links need a key and an address."""
    return Settings(**SETTINGS)


@asynccontextmanager
async def phone(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    """A person's browser: it knows the addresses of the mails and nothing else."""
    app = FastAPI()
    harness.stepwell.mount(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ADDRESS, headers=FORM) as client:
        yield client


async def tell(harness: Harness) -> list[str]:
    """Play the story, and return what there is to say about it."""
    said: list[str] = []
    chair, desk, lamp = [await hand_in(harness, item) for item in ("a chair", "a desk", "a lamp")]
    await harness.advance(timedelta(hours=6))
    async with phone(harness) as client:
        first = {item: link_of("max", item) for item in ("a chair", "a desk", "a lamp")}
        said.append(f"Max has {len(mailbox().mails('max'))} mails.")
        page = await client.get(first["a chair"])
        said.append(f"He opens one on his phone: {page.status_code}, and the run still waits: {await status(chair)}.")
        answer = await client.post(first["a chair"], data={"approved": "true"})
        again = await client.post(first["a chair"], data={"approved": "false"})
        said.append(f"He approves it: {answer.status_code}. A second touch: {again.status_code}.")
        await harness.advance(timedelta(days=2))
        late = await client.post(first["a desk"], data={"approved": "true"})
        said.append(f"After two days Dora is asked, and his link is void: {late.status_code}.")
        answer = await client.post(link_of(DIRECTOR, "a desk"), data={"approved": "false", "remark": "too dear"})
        said.append(f"She declines the desk: {answer.status_code}.")
        await harness.advance(timedelta(days=3))
        over = await client.get(link_of(DIRECTOR, "a lamp"))
        said.append(f"No answer comes about the lamp: her link ends with the question: {over.status_code}.")
    for item, run in (("chair", chair), ("desk", desk), ("lamp", lamp)):
        who = [row.answered_by for row in await harness.runner.history(run.workflow_id)][-1]
        said.append(f"The {item}: {await run.result()}, by {who or 'no person'}.")
    return said


async def hand_in(harness: Harness, item: str) -> RunHandle[str]:
    """Hand in a purchase of Ulla's, of which Max is the manager."""
    order = Order(item=item, euros=90, manager="max")
    return await harness.runner.run(Purchase, order, app_name="office", user_id="ulla")


def link_of(person: str, item: str) -> str:
    """Return the link in the mail to a person about an item."""
    return next(mail.link for mail in mailbox().mails(person) if item in mail.text)


async def status(run: RunHandle[str]) -> str:
    """Return the status of a run."""
    return (await run.get()).status
