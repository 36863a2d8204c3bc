"""The exceptions of user code: carried out of a task, unwrapped, and printed, whatever they are made of."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from typing import Any, Final

from stepwell.definition.text import is_a, message_of, told
from stepwell.errors import TransitionFailed

_MAX_CHARS = 16_000
_MAX_CHAIN = 50
"""Exceptions of one chain, or of one group, that are shown."""

_READ = {name: BaseException.__dict__[name] for name in ("__cause__", "__context__", "__traceback__", "__dict__")}
_EXCEPTIONS = BaseExceptionGroup.__dict__["exceptions"]
_ASKED = ("__getattribute__", "__getattr__", "__suppress_context__", "__notes__", "exceptions", *_READ)
"""The attributes that the standard library reads from an exception. A class that answers them itself may take forever."""
_MRO, _NAMES = type.__dict__["__mro__"], type.__dict__["__dict__"]
_PYTHONS = (object, BaseException, BaseExceptionGroup)
_WRAPPED: Final = frozenset(
    (f"{what} raised {error}",)
    for what in ("coroutine", "generator", "async generator")
    for error in ("StopIteration", "StopAsyncIteration")
)
"""Python's texts for exceptions that can't leave a coroutine or a generator as they are (PEP 479)."""


class Exited(TransitionFailed):
    """Carries out of a task what can't leave one as it is: SystemExit and KeyboardInterrupt would end the event loop,
    GeneratorExit would close whatever waits for the task."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__(told(error))


class CancelledError(TransitionFailed, asyncio.CancelledError):
    """The method, or something that it awaited, was cancelled by its own code. It is retried as any failure is."""

    def __init__(self, error: BaseException) -> None:
        why = "it was cancelled from within: something that it awaited was cancelled"
        said = message_of(error)
        super().__init__(f"{said} ({why})" if said else why)


def own(error: BaseException) -> BaseException:
    """Return the error that user code raised, also if another exception had to carry it."""
    if type(error) is Exited:  # not isinstance: that asks the error for its `__class__`
        return error.error
    if is_a(error, asyncio.CancelledError):
        return CancelledError(error)
    while type(error) is RuntimeError and error.args in _WRAPPED and error.__cause__ is not None:
        error = error.__cause__
    return error


def trace_of(error: BaseException) -> str:
    """Return the traceback as Python prints it, cut from the front where it is too long."""
    text = _pythons(error) if is_tame(error) else None
    if text is None:
        text = "".join(_plainly(error))
    return text if len(text) <= _MAX_CHARS else "... (cut)\n" + text[-_MAX_CHARS:]


def logged(error: BaseException) -> BaseException | None:
    """Return the error for `exc_info=`, or None where printing it might not come to an end."""
    return error if is_tame(error) else None


def is_closing(error: BaseException) -> bool:
    """Return whether it closes the coroutine that catches it, instead of coming out of one that it awaits.

    That is how a coroutine ends whose loop is gone, or that waits for a future with a GeneratorExit in it. Nothing can
    be awaited in it any more.
    """
    return is_a(error, GeneratorExit) and _read(error, "__traceback__").tb_next is None


def is_tame(error: BaseException) -> bool:
    """Return whether printing it reads only what Python keeps, and comes to an end."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if len(seen) > _MAX_CHAIN or _answers_itself(type(one)) or not _plain_notes(one):
            return False
        left += _next_to(one)
    return True


def _answers_itself(kind: type[BaseException]) -> bool:
    own = [base for base in _MRO.__get__(kind) if not any(base is known for known in _PYTHONS)]
    return any(name in _NAMES.__get__(base) for base in own for name in _ASKED)


def _plain_notes(error: BaseException) -> bool:
    notes = _read(error, "__dict__").get("__notes__", [])
    return type(notes) is list and len(notes) <= _MAX_CHAIN


def _next_to(error: BaseException) -> Iterator[BaseException]:
    for name in ("__cause__", "__context__"):
        other = _read(error, name)
        if other is not None:
            yield other
    if is_a(error, BaseExceptionGroup):
        yield from _EXCEPTIONS.__get__(error)


def _read(error: BaseException, name: str) -> Any:
    return _READ[name].__get__(error)


def _pythons(error: BaseException) -> str | None:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001 - parts of it are user code: it is told plainly then
        return None


def _plainly(error: BaseException) -> Iterator[str]:
    """Yield the causes of the error, then the error; only attributes that Python itself keeps are read."""
    chain = [error]
    while len(chain) < _MAX_CHAIN and (one := next(_next_to(chain[-1]), None)) is not None:
        if any(one is seen for seen in chain):
            break
        chain.append(one)
    for one in reversed(chain):
        yield from traceback.format_tb(_read(one, "__traceback__"), limit=-_MAX_CHAIN)
        yield f"{told(one)}\n\n"
