"""Runs in every state, as a shop has them on an ordinary day."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import storefront

from stepwell import Workflow, WorkflowRunner

LARGE: Final = {
    "customer": {"name": "Grace Hopper", "email": "grace@example.org"},
    "lines": [{"sku": "COBOL-60", "quantity": 3}, {"sku": "NS-1", "quantity": 12, "gift": True}],
    "payment": {"kind": "invoice", "reference": "PO-1959"},
    "priority": "high",
    "total_cents": 250_000,
    "note": "Leave it with the admiral.",
}
SMALL: Final = LARGE | {"customer": {"name": "Ada Lovelace"}, "total_cents": 4_200, "priority": "normal"}

_RESTS: Final = {
    "review": (storefront.FulfilOrder, LARGE, "waiting"),
    "sent": (storefront.FulfilOrder, SMALL, "completed"),
    "stolen": (storefront.ChargeCard, {"order_id": "A-7"}, "failed"),
    "stolen-too": (storefront.ChargeCard, {"order_id": "A-8"}, "failed"),
    "retrying": (storefront.SyncStock, None, "retrying"),
    "timer": (storefront.RemindCustomer, None, "waiting"),
    "chat": (storefront.SupportChat, None, "waiting"),
    "children": (storefront.Restock, None, "waiting"),
    "many": (storefront.ImportCatalogue, {"documents": 400}, "waiting"),
    "running": (storefront.CountStock, None, "running"),
    "canceled": (storefront.RemindCustomer, None, "waiting"),
}
"""What is started, by the name that tests call it, and where it comes to rest."""


async def fill(runner: WorkflowRunner) -> Mapping[str, str]:
    """The ids of the runs by those names; all have come to rest, and one is only due tomorrow (`later`)."""
    runs = {
        name: await start(runner, workflow, args, labels=[f"team:{'north' if index % 2 else 'south'}"])
        for index, (name, (workflow, args, _)) in enumerate(_RESTS.items())
    }
    await asyncio.gather(*(until(runner, runs[name], status) for name, (_, _, status) in _RESTS.items()))
    await runner.cancel(runs["canceled"], reason="The customer wrote by themselves.")
    for version, text in enumerate(("Where is my parcel?", "It is **late**.\n\n```python\nprint('late')\n```"), 2):
        await runner.signal(runs["chat"], "say", {"text": text})
        await until(runner, runs["chat"], "waiting", version=version)
    runs["later"] = await start(runner, storefront.TakePayment, {"order_id": "A-9"}, delay=timedelta(days=1))
    return runs


async def start(
    runner: WorkflowRunner, workflow: type[Workflow[Any, Any, Any]], args: Any = None, **options: Any
) -> str:
    """The id of a new run of ada's."""
    run = await runner.run(workflow, args, app_name=storefront.APP, user_id="ada", **options)
    return run.workflow_id


async def until(
    runner: WorkflowRunner,
    workflow_id: str,
    status: str,
    *,
    place: str | None = None,
    version: int = 0,
    seconds: float = 60.0,
) -> None:
    """The run is in this state, at this place and this far if that is asked for. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            run = await runner.get(workflow_id)
            if run.status == status and place in (None, run.place) and run.version >= version:
                return
            await asyncio.sleep(0.02)
