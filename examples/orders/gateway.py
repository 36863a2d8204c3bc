"""A payment provider that isn't one: local, deterministic, and as unreliable as the real ones. The card decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from hashlib import sha256
from typing import Annotated

from pydantic import BaseModel
from sqlalchemy import Column, Integer, String, Table, func, insert, select

from examples.orders.settings import settings
from examples.orders.tables import engine, metadata
from stepwell import Depends, NonRetryable

AT_ONCE = 4
"""The bank behind the provider takes so many calls at once. Nothing in this file keeps to it: `ProcessOrder` does."""

calls = Table(
    "gateway_calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(200), nullable=False, index=True),
    Column("what", String(10), nullable=False),
)
"""The memory of the provider: each call `begins`, and most of them `end`. A real one would keep it to itself."""


class Seen(BaseModel):
    """The calls that the bank has had, and the most at once."""

    calls: int
    most_at_once: int
    limit: int = AT_ONCE


class Declined(NonRetryable):
    """The bank said no: asking it again doesn't help."""


class Gateway:
    """`good` cards work, `flaky` ones at the third call, `slow` ones after a while; `declined` ones never."""

    async def charge(self, card: str, cents: int, idempotency_key: str) -> str:
        """The id of the charge. The same key is charged once, however often it is sent, as with Stripe or Adyen.

        Raises Declined, and ConnectionError where it isn't known what has happened.
        """
        async with self._logged(idempotency_key):
            await asyncio.sleep(settings.slow_card.total_seconds() if card == "slow" else 0.05)
            if card == "declined":
                raise Declined(f"the card was declined for {cents} cents")
            if card == "flaky" and await self._count(idempotency_key) < 3:
                raise ConnectionError("the payment gateway didn't answer")
            return f"ch_{sha256(idempotency_key.encode()).hexdigest()[:12]}"

    @asynccontextmanager
    async def _logged(self, key: str) -> AsyncIterator[None]:
        await self._log(key, "begins")
        try:
            yield
        finally:
            await self._log(key, "ends")

    async def _log(self, key: str, what: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(calls).values(key=key, what=what))

    async def _count(self, key: str) -> int:
        # Not in memory: another process may make the next call.
        count = select(func.count()).where(calls.c.key == key, calls.c.what == "begins")
        async with engine.connect() as connection:
            return await connection.scalar(count) or 0


async def seen() -> Seen:
    """The calls that the bank has seen so far. A call whose process died is over when its key is sent again."""
    async with engine.connect() as connection:
        log = (await connection.execute(select(calls.c.key, calls.c.what).order_by(calls.c.id))).all()
    under_way: set[str] = set()
    most = 0
    for key, what in log:
        under_way.add(key) if what == "begins" else under_way.discard(key)
        most = max(most, len(under_way))
    return Seen(calls=sum(what == "begins" for _, what in log), most_at_once=most)


@cache
def gateway() -> Gateway:
    """The one gateway of the process; a test would replace it here."""
    return Gateway()


PaymentGateway = Annotated[Gateway, Depends(gateway)]
"""A transition's parameter of this type is the gateway."""
