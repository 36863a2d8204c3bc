"""The one writer of a process: it takes what has gathered, makes it one transaction, and goes on.

Idle: one write, no delay. Busy: hundreds of writes per fsync. A write is acknowledged when it is durable. An item that
breaks the transaction is set apart: the rest is committed without it.

A task awaits a `Reply`, a future that wakes its task by itself. `asyncio.Future` schedules its task with the loop, which
costs a handle and ten calls for each of the thousands of replies that flushes bring in a second. A reply steps its task
where it is delivered. It is what asyncio calls a Future-like object (see `asyncio.isfuture`), so the task, its context and
its cancellation are asyncio's.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextvars import Context
from itertools import chain
from types import FrameType
from typing import Any, Final, TypeVar, cast

from stepwell.engine.run import RunRow
from stepwell.errors import StoreUnavailable
from stepwell.store.tx import Answer, Begin, Call, Hints, Item, StartedRun, Tx

log = logging.getLogger("stepwell.store")

T = TypeVar("T")
Then = Callable[[Any], None]
Entry = tuple["Reply | Future[Any]", Item, Then | None]

BATCH: Final = 512
"""Items of one transaction: enough to make an fsync cheap, few enough to keep the first of them waiting only shortly."""


class Writer(ABC):
    """`write` from the loop, `write_from_thread` from elsewhere."""

    on_commit: Callable[[int, Hints], None] = staticmethod(lambda answered, hints: None)
    """The function called on the loop after each flush, with the number of its answers, and its hints."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stopping = False

    @abstractmethod
    def start(self) -> None:
        """Start writing."""

    def hurry(self) -> None:
        """Give up writes that don't succeed within some seconds from now on, where possible: the process ends."""
        return

    def faults(self) -> list[str]:
        """Return what is wrong with it now, for health checks."""
        return []

    @abstractmethod
    async def stop(self) -> None:
        """Write everything that was handed over, or give it up, and close the connections."""

    @abstractmethod
    def _put(self, entry: Entry) -> None:
        """Queue the entry. Called on the loop, and with a thread's `Future` from that thread."""

    async def write(self, item: Item, then: Then | None = None) -> Any:
        """Return the item's answer, once it is durable. Raises the item's error, or StoreUnavailable.

        `then` is called on the loop with the answer (or the error) even if the caller is cancelled meanwhile: what was
        written is never forgotten.
        """
        return await self.reply_to(item, then)

    def reply_to(self, item: Item, then: Then | None = None) -> Awaitable[Any]:
        """Write like `write`, but hand the item over at once: the reply is awaited next, and by one task."""
        if self._stopping:
            raise _closing()
        reply = Reply(self._loop)
        self._put((reply, item, then))
        return reply

    def write_from_thread(self, item: Item) -> Future[Any]:
        """Write like `write`, from a thread that isn't the loop's."""
        self._check_running()
        future: Future[Any] = Future()
        self._put((future, item, None))
        return future

    async def call(self, operation: Callable[[Tx], T]) -> T:
        """Return the result of `operation`, once it is durable."""
        return cast("T", await self.write(Call(operation)))

    async def begin(self, *groups: Any) -> list[StartedRun]:
        """Return the runs of one group of commits, durable, or those that its idempotency keys stand for."""
        return cast("list[StartedRun]", await self.write(Begin(groups)))

    def _check_running(self) -> None:
        if self._stopping:
            raise _closing()

    def _deliver(self, batch: Sequence[Entry], answers: Sequence[Answer], hints: Hints) -> None:
        for (_, _, then), answer in zip(batch, answers, strict=True):
            if then is not None:
                _safely(then, answer)
        _safely(self.on_commit, len(batch), hints)
        deliver([(entry[0], answer) for entry, answer in zip(batch, answers, strict=True) if type(entry[0]) is Reply])


def answer_threads(batch: Sequence[Entry], answers: Sequence[Answer]) -> None:
    """Give waiting threads their answers: they mustn't wait for the loop."""
    for (future, _, _), answer in zip(batch, answers, strict=True):
        if isinstance(future, Future):
            _safely(resolve, future, answer)


def resolve(future: Future[Any], answer: Answer) -> None:
    """Give the thread that waits its answer."""
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(raisable(answer))
    else:
        future.set_result(answer)


def _closing() -> StoreUnavailable:
    return StoreUnavailable("This Stepwell is closing: nothing was stored.")


def _safely(act: Callable[..., None], *given: Any) -> None:
    """Call `act`, and log its error: others wait for their answers."""
    try:
        act(*given)
    except Exception:
        log.exception("an answer of the writer could not be delivered")


# -- replies ----------------------------------------------------------------------------------------------------------


class Reply:
    """Awaited once, directly, by the task that asked (no `gather`, no `wait_for`); delivered once, on the loop."""

    __slots__ = ("_asyncio_future_blocking", "_loop", "context", "error", "over", "value", "wake")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self.over = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.wake: Callable[[Any], object] | None = None
        self.context: Context | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.over:
            self._asyncio_future_blocking = True
            yield self  # the task asks for the result, and throws it in here where it is an error
            return self.value
        return self.result()

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Call `wake` once there is an answer: the task, which begins to wait."""
        self.wake, self.context = wake, context

    def result(self) -> Any:
        """Return the answer. Raises it where it is an error, which is kept no longer: it leads to all that waits here."""
        if self.error is None:
            return self.value
        error, self.error = self.error, None
        try:
            raise error
        finally:
            del error

    def cancel(self, msg: Any | None = None) -> bool:
        """Wake the task with a CancelledError. False if the answer is there already."""
        if self.over:
            return False
        self.over = True
        self.error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        wake, self.wake = self.wake, None
        if wake is not None:
            self._loop.call_soon(wake, self, context=self.context)
        return True


def deliver(replies: Iterable[tuple[Reply, Any]]) -> None:
    """Step the tasks that wait for these replies, each with its answer."""
    if asyncio.current_task() is not None:  # one task can't be stepped inside another
        asyncio.get_running_loop().call_soon(deliver, replies)
        return
    left = iter(replies)
    reply, answer = None, None
    try:
        for reply, answer in left:
            if reply.over:
                continue
            if type(answer) is not RunRow and isinstance(answer, BaseException):  # nearly all answers are rows
                reply.error = raisable(answer)
            else:
                reply.value = answer
            wake = reply.wake
            reply.over = True
            if wake is not None and reply.context is not None:
                reply.wake = None
                reply.context.run(wake, reply)
    except BaseException:
        # An exception that ends the loop takes no answer away: the loop runs on until its tasks have ended.
        rest = left if reply is None or reply.over else chain([(reply, answer)], left)
        asyncio.get_running_loop().call_soon(deliver, rest)
        raise


def stepped_by(frame: FrameType) -> Context | None:
    """Return the context of the task that this frame steps, if it is one of `deliver`."""
    reply = frame.f_locals.get("reply") if frame.f_code is deliver.__code__ else None
    return reply.context if isinstance(reply, Reply) else None


def raisable(error: BaseException) -> BaseException:
    """Return the error, or one that carries it: a StopIteration can't be raised into a coroutine, it would end it."""
    if not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"a write raised StopIteration({error.value!r})")
    wrapped.__cause__ = error
    return wrapped
