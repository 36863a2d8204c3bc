"""The one writer of a process: it takes what has gathered, makes it one transaction, and goes on.

Idle: one write, no delay. Busy: hundreds of writes per fsync. A write is acknowledged when it is durable. An item that
breaks the transaction is set apart: the rest is committed without it.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar, cast

from stepwell.errors import StoreUnavailable
from stepwell.store.apply import Applier
from stepwell.store.base import Begin, Call, Item, Started
from stepwell.store.flush import Answer
from stepwell.store.tx import Hints, Tx

log = logging.getLogger("stepwell.store")

T = TypeVar("T")
Then = Callable[[Any], None]
Entry = tuple[Any, Item, Then | None]

BATCH: Final = 512
"""Items of one transaction: enough to make an fsync cheap, few enough to keep the first of them waiting only shortly."""


class Writer(ABC):
    """`write` from the loop, `write_from_thread` from elsewhere."""

    on_commit: Callable[[int, Hints], None] = staticmethod(lambda answered, hints: None)
    """Called on the loop after each flush, with the number of its answers, and what others should hear of."""

    def __init__(self, applier: Applier, loop: asyncio.AbstractEventLoop) -> None:
        self._applier = applier
        self._loop = loop
        self._stopping = False

    @abstractmethod
    def start(self) -> None:
        """It writes from now on."""

    def hurry(self) -> None:
        """The process goes: what can't be written within some seconds from now on is given up, where that can be."""
        return

    def faults(self) -> list[str]:
        """What is wrong with it now, for health checks."""
        return []

    @abstractmethod
    async def stop(self) -> None:
        """Everything that was handed over is written or given up, and its connections are closed."""

    @abstractmethod
    def _put(self, entry: Entry) -> None:
        """The entry is written soon. Called on the loop, and with a thread's `Future` from that thread."""

    async def write(self, item: Item, then: Then | None = None) -> Any:
        """The item's answer, once it is durable. Raises what the item raised, or StoreUnavailable.

        `then` is called on the loop with the answer (or the error) even if the caller is cancelled meanwhile: what was
        written is never forgotten.
        """
        self._check_running()
        future = self._loop.create_future()
        self._put((future, item, then))
        return await future

    def write_from_thread(self, item: Item) -> Future[Any]:
        """As `write`, from a thread that isn't the loop's."""
        self._check_running()
        future: Future[Any] = Future()
        self._put((future, item, None))
        return future

    async def call(self, operation: Callable[[Tx], T]) -> T:
        """What `operation` returned, once it is durable."""
        return cast("T", await self.write(Call(operation)))

    async def begin(self, *groups: Any) -> list[Started]:
        """The runs of one group of commits, durable, or those that its idempotency keys stand for."""
        return cast("list[Started]", await self.write(Begin(groups)))

    def _check_running(self) -> None:
        if self._stopping:
            raise StoreUnavailable("This Stepwell is closing: nothing was stored.")

    def _deliver(self, batch: Sequence[Entry], answers: Sequence[Answer], hints: Hints) -> None:
        for (future, item, then), answer in zip(batch, answers, strict=True):
            if isinstance(item, Begin) and isinstance(answer, list):
                self._applier.known_workspaces.update(started.run.workspace_id for started in answer)
            if then is not None:
                _safely(then, answer)
            _safely(resolve, future, answer)
        _safely(self.on_commit, len(batch), hints)


def given_up() -> StoreUnavailable:
    """The answer to what a process that goes could not wait for."""
    return StoreUnavailable(
        "This Stepwell closed before the database answered: whether it was stored is unknown.", outcome="unknown"
    )


def answer_threads(batch: Sequence[Entry], answers: Sequence[Answer]) -> None:
    """Threads that wait have their answers: they mustn't wait for the loop."""
    for (future, _, _), answer in zip(batch, answers, strict=True):
        if isinstance(future, Future):
            _safely(resolve, future, answer)


def resolve(future: Any, answer: Answer) -> None:
    """Who waits has the answer."""
    if future.done():
        return
    if isinstance(answer, StopIteration):
        # It can't be raised into a coroutine: it would end it.
        wrapped = RuntimeError(f"a write raised StopIteration({answer.value!r})")
        wrapped.__cause__ = answer
        answer = wrapped
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _safely(act: Callable[..., None], *given: Any) -> None:
    """The act is done, or its error is in the log: others wait for their answers."""
    try:
        act(*given)
    except Exception:
        log.exception("an answer of the writer could not be delivered")
