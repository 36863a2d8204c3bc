"""A payment provider that isn't one: local, deterministic, and as unreliable as the real ones. The card decides."""

from __future__ import annotations

import asyncio
from functools import cache
from hashlib import sha256
from typing import Annotated

from sqlalchemy import Column, Integer, String, Table, func, insert, select

from examples.orders.settings import settings
from examples.orders.tables import engine, metadata
from stepwell import Depends, NonRetryable

calls = Table(
    "gateway_calls", metadata, Column("id", Integer, primary_key=True), Column("key", String(200), index=True)
)
"""What the provider remembers. A real one would keep it to itself."""


class Declined(NonRetryable):
    """The bank said no: asking it again doesn't help."""


class Gateway:
    """`good` cards work, `flaky` ones at the third call, `slow` ones after a while; `declined` ones never."""

    async def charge(self, card: str, cents: int, idempotency_key: str) -> str:
        """The id of the charge. The same key is charged once, however often it is sent, as with Stripe or Adyen.

        Raises Declined, and ConnectionError where nobody knows what has happened.
        """
        await asyncio.sleep(settings.slow_card.total_seconds() if card == "slow" else 0.05)
        if card == "declined":
            raise Declined(f"the card was declined for {cents} cents")
        if card == "flaky" and await self._count(idempotency_key) < 3:
            raise ConnectionError("the payment gateway didn't answer")
        return f"ch_{sha256(idempotency_key.encode()).hexdigest()[:12]}"

    async def _count(self, key: str) -> int:
        # Not in memory: another process may make the next call.
        async with engine.begin() as connection:
            await connection.execute(insert(calls).values(key=key))
            return await connection.scalar(select(func.count()).where(calls.c.key == key)) or 0


@cache
def gateway() -> Gateway:
    """The one gateway of the process; a test would replace it here."""
    return Gateway()


PaymentGateway = Annotated[Gateway, Depends(gateway)]
"""A transition's parameter of this type is the gateway."""
