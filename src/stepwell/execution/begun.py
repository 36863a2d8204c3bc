"""The calls and tasks that an attempt has begun. All of them are over before the attempt is.

Watching costs next to nothing where a method awaits what it calls. Tasks inherit the context variables of the code that
made them, so a task of the attempt keeps alive what `current_attempt` held; only where something does, tasks are looked
at one by one.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, ContextVar
from sys import getrefcount
from types import CodeType, CoroutineType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from stepwell.engine.run import RunRow
from stepwell.errors import StepwellError
from stepwell.execution.scope import AGAIN, BY_SCOPE, Scope

log = logging.getLogger("stepwell.execution")

Task = asyncio.Task[Any]


class OpenAttempt(Protocol):
    """An attempt, as those see it who find that they run inside it."""

    run: RunRow
    scope: Scope
    returned: bool
    threads: tuple[str, ...]

    @property
    def in_transaction(self) -> bool:
        """True if its transaction is open."""
        ...


class Inside:
    """Stands in the context of everything that runs inside an attempt. While only `call` holds it, nothing else does."""

    __slots__ = ("attempt",)

    attempt: OpenAttempt


def _references() -> int:
    inside = Inside()
    return getrefcount(inside)


ALONE: Final = _references()
"""The value of `getrefcount` for an object that only one variable holds; it differs between versions of Python."""


current_attempt: ContextVar[Inside | None] = ContextVar("stepwell_attempt", default=None)


class PassTask(asyncio.Task[Any]):
    """The task of a pass. It knows whether it was cancelled from outside, or by the code of the attempt in it."""

    cancelled_from_outside = False

    def cancel(self, msg: Any | None = None) -> bool:
        if msg is not BY_SCOPE and current_attempt.get() is None:
            self.cancelled_from_outside = True
        return super().cancel(msg)


Called: TypeAlias = "tuple[str, object, CoroutineType[Any, Any, Any], CodeType, int]"
"""A call as it is noted: a tuple costs nearly nothing to make."""


class BegunCall(NamedTuple):
    """One call of a verb."""

    verb: str
    what: object
    """Its first argument."""
    coroutine: CoroutineType[Any, Any, Any]
    code: CodeType
    """Of the caller, with the instruction that it stands at: its frame isn't kept."""
    instruction: int

    def __str__(self) -> str:
        return f"self.{self.verb}({_shown(self.what)}) at {self.code.co_filename}:{self._line()}"

    def _line(self) -> int | None:
        lines = (line for begin, end, line in self.code.co_lines() if begin <= self.instruction < end)
        return next(lines, self.code.co_firstlineno)


def still_open(calls: Sequence[Called]) -> list[BegunCall]:
    """Return those that haven't come to their end."""
    return [BegunCall(*one) for one in calls if one[2].cr_frame is not None]


def in_a_thread(verb: str, transition: str) -> StepwellError:
    """Return the error of a verb that is called where nothing can await it."""
    return StepwellError(
        f"self.{verb}: {transition!r} calls it in a thread, where it can't be awaited. Write `async def`, await it there, "
        "and move blocking calls to a step: `await self.step(name, function)` runs a plain function in a thread."
    )


async def end(inside: Inside, calls: Sequence[BegunCall], seconds: float, what: Callable[[], str]) -> str | None:
    """End all tasks of the attempt, close its calls, and return what was wrong with the calls, if anything.

    Tasks are cancelled, may clean up for `seconds`, and are cancelled again each second after that. Coroutines that
    no task runs are closed.
    """
    tasks = list(_tasks(inside))
    fault = next((text for call in calls if (text := _fault(call, tasks)) is not None), None)
    while tasks:
        await _cancelled(tasks, seconds, what, returned=inside.attempt.returned)
        tasks = list(_tasks(inside))
    for call in calls:
        call.coroutine.close()
    return fault


def _fault(call: BegunCall, tasks: Sequence[Task]) -> str | None:
    if inspect.getcoroutinestate(call.coroutine) == inspect.CORO_CREATED:
        owner = next((task for task in tasks if task.get_coro() is call.coroutine), None)
        if owner is None:
            return f"{call} was never awaited: write `await self.{call.verb}(...)`."
    else:
        owner = next((task for task in tasks if _runs(task, call.coroutine)), None)
    if owner is not None and owner.cancelling():
        return None  # the method wants it no more
    return f"{call} was not over when the method returned: await it, or cancel it."


def _runs(task: Task, coroutine: object) -> bool:
    one: object = task.get_coro()
    while one is not None and one is not coroutine:
        one = getattr(one, "cr_await", None)
    return one is coroutine


def _tasks(inside: Inside) -> Iterator[Task]:
    # Passes are of no attempt but their own, and of those there are many: they aren't looked at.
    this = asyncio.current_task()
    for task in asyncio.all_tasks():
        if type(task) is PassTask or task is this:
            continue
        context = _context_of(task)
        if context is not None and context.get(current_attempt) is inside:
            yield task


def _context_of(task: Task) -> Context | None:
    get = getattr(task, "get_context", None)
    if get is not None:  # from Python 3.12 on
        return get()  # type: ignore[no-any-return]
    context = _contexts.get(task)
    if context is None:
        context = next((one for one in gc.get_referents(task) if type(one) is Context), None)
        if context is not None:
            _contexts[task] = context
    return context


_contexts: WeakKeyDictionary[Task, Context] = WeakKeyDictionary()
"""The contexts of tasks, which never change. Python 3.11 finds them slowly, and a server's tasks are looked at often."""


async def _cancelled(tasks: Sequence[Task], seconds: float, what: Callable[[], str], *, returned: bool) -> None:
    """Cancel these tasks and wait until they are over."""
    for task in tasks:
        coroutine = task.get_coro()
        if inspect.iscoroutine(coroutine):  # else it closes an async generator: that is a clean-up itself
            _tell(task, coroutine.__qualname__, what, returned=returned)
            task.cancel()
    _, left = await asyncio.wait(tasks, timeout=seconds)
    while left:
        for task in left:
            log.warning("%s has ended, but its task %r ignores its cancellation", what(), task.get_name())
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN)


def _tell(task: Task, name: str, what: Callable[[], str], *, returned: bool) -> None:
    if not returned or task.cancelling():
        log.info("%s has ended: its task %r (%s) is cancelled", what(), task.get_name(), name)
        return
    # It may be that of a client which was used here for the first time, and is of no use without it from now on.
    log.warning(
        "%s has returned, and its task %r (%s) is cancelled. Await it; or, if it is meant to go on, begin it when the "
        "application starts, or with create_task(..., context=contextvars.Context())",
        what(), task.get_name(), name,
    )  # fmt: skip


def _shown(what: object) -> str:
    if what is None:
        return ""
    if isinstance(what, type):
        return what.__name__
    return repr(what) if type(what) is str else type(what).__name__
