"""A Redis for each test: the shared one, emptied, or one of the test's own that can be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from bullmq import Queue

from servers.fixtures import valkey_server
from servers.valkey import Valkey, ValkeyServer
from stepwell import Stepwell

__all__ = ["valkey_server"]

StepwellOn = Callable[..., Stepwell]


@pytest.fixture
def redis_url(valkey_server: Valkey) -> str:
    """An empty Redis that isn't to be stopped."""
    valkey_server.flush()
    return valkey_server.url


@pytest.fixture
def own_redis() -> Iterator[ValkeyServer]:
    """A Redis of this test's own."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def bull_on(stepwell_on: StepwellOn, redis_url: str) -> StepwellOn:
    """`bull_on(apps, **settings)`: as `stepwell_on`, with the shared Redis as the queue."""

    def made(*given: object, **settings: object) -> Stepwell:
        return stepwell_on(*given, **{"queue_url": redis_url, **settings})

    return made


@pytest.fixture
async def queue_named(redis_url: str) -> AsyncIterator[Callable[[str], Queue]]:
    """`queue_named(name)`: BullMQ's own view of a queue in the shared Redis."""
    made: list[Queue] = []

    def queue(name: str) -> Queue:
        made.append(Queue(name, {"connection": redis_url}))
        return made[-1]

    yield queue
    for one in made:
        await one.close()
