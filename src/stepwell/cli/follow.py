"""Following a run until it rests: what happens is told on stderr, and what it waits for is asked in the terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from stepwell.cli.ask import Answer, ask_payload, ask_which
from stepwell.cli.backend import Backend, News
from stepwell.cli.output import say, step_line
from stepwell.cli.show import show_document
from stepwell.errors import (
    IdempotencyConflict,
    InvalidPayload,
    PayloadTooLarge,
    RunFinished,
    StoreUnavailable,
    UnknownTransition,
)
from stepwell.runner.models import Checkpoint, Run
from stepwell.runner.views import Ask

_SLOW: Final = 5.0
"""Seconds after which one wonders why nobody takes a run that is ready."""
_SOON: Final = 2.0
"""Seconds within which a run that is ready has usually gone on."""
_AWAY: Final = "Answered elsewhere meanwhile"


async def followed(
    backend: Backend, run_id: str, *, seconds: float | None = None, quiet: bool = False, asking: bool = False
) -> Run:
    """The run where it rests: ended, or waiting for somebody.

    With `asking`, what waits for an answer is asked here until somebody leaves it waiting. After `seconds` the run as it
    stands; it goes on.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    async with aclosing(_Ahead(backend.follow(run_id), deadline)) as ahead:
        await _Following(backend, run_id, ahead, quiet, asking).rest()
    return await backend.get(run_id)


class _Ahead:
    """The next news of a run, awaited before anybody asks for it: so that something else can be awaited with it."""

    def __init__(self, news: AsyncIterator[News], deadline: float | None) -> None:
        self._news = news
        self._deadline = deadline
        self.coming: asyncio.Task[News | None] = asyncio.create_task(self._one())

    async def _one(self) -> News | None:
        return await anext(self._news, None)

    async def next(self) -> News | None:
        """The news; None at the end of them, or at the deadline."""
        await self.wait()
        if not self.coming.done():
            return None
        news = self.coming.result()
        self.coming = asyncio.create_task(self._one())
        return news

    async def wait(self, *more: asyncio.Task[Answer | None], seconds: float | None = None) -> None:
        """There are news, or one of `more` is done, or the deadline or `seconds` are over."""
        left = None if self._deadline is None else max(self._deadline - time.monotonic(), 0)
        limit = min((one for one in (left, seconds) if one is not None), default=None)
        await asyncio.wait({self.coming, *more}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)

    async def aclose(self) -> None:
        """Nothing is awaited any more."""
        self.coming.cancel()
        await asyncio.wait({self.coming})
        if isinstance(self._news, AsyncGenerator):
            await self._news.aclose()


class _Following:
    def __init__(self, backend: Backend, run_id: str, ahead: _Ahead, quiet: bool, asking: bool) -> None:
        self._backend = backend
        self._run_id = run_id
        self._ahead = ahead
        self._quiet = quiet
        self._asking = asking
        self._answered = -1
        self._entered: datetime | None = None

    async def rest(self) -> None:
        """The run rests, or the deadline is over."""
        while (news := await self._ahead.next()) is not None:
            self._tell(news)
            if _is_queued(news.run) and not self._quiet:
                await self._wonder()
            if not news.rests or news.run.version == self._answered:
                continue
            if not (self._asking and news.run.status == "waiting" and await self._answer(news.run)):
                return

    async def _wonder(self) -> None:
        """Says why the run doesn't go on, if it doesn't: nobody may be there to execute it."""
        await self._ahead.wait(seconds=_SLOW)
        if not self._ahead.coming.done() and _is_queued(await self._backend.get(self._run_id)):
            for reason in (await self._backend.explain(self._run_id)).reasons:
                say(reason)

    # -- telling ----------------------------------------------------------------------------------------------------

    def _tell(self, news: News) -> None:
        if self._quiet:
            return
        for row in news.rows:
            say(step_line(row, self._seconds(row)))
            failed = row.status != "committed"
            for document in news.documents:
                if document.version == row.version and not (failed and document.name == "error"):
                    show_document(document)

    def _seconds(self, row: Checkpoint) -> float | None:
        """How long the run was at the place that it left; of an attempt that failed, how long that took."""
        if row.status != "committed":
            return (row.finished_at - row.started_at).total_seconds()
        entered, self._entered = self._entered, row.finished_at
        return None if entered is None else (row.finished_at - entered).total_seconds()

    # -- asking -----------------------------------------------------------------------------------------------------

    async def _answer(self, run: Run) -> bool:
        """Whether the run goes on: its question was answered, here or elsewhere. False: it is left waiting."""
        asks = await self._backend.asks(self._run_id)
        which, before, key = None, None, str(uuid4())
        while asks:
            asked = asyncio.create_task(_asked(run.place, asks, which, before))
            try:
                went_on = await self._went_on(run, asked)
            finally:
                asked.cancel()
                await asyncio.wait({asked})
            if went_on is not None:
                say(f"{went_on}. Your answer isn't needed any more.")
                return True
            answer = None if asked.cancelled() else asked.result()
            if answer is None:
                return False
            if await self._sent(run, answer, key):
                return True
            which, before = next(ask for ask in asks if ask.transition == answer.transition), answer.data
        return False

    async def _went_on(self, run: Run, asked: asyncio.Task[Answer | None]) -> str | None:
        """Why nobody needs the answer any more, as soon as that is so; None once it is given, or at the deadline."""
        while True:
            await self._ahead.wait(asked)
            if asked.done() or not self._ahead.coming.done():
                return None
            news = self._ahead.coming.result()
            if news is None or news.rows or news.run.version != run.version:
                return _reason(news)
            await self._ahead.next()
            if not news.rests:  # something came, and what it was is told by the row that follows
                await self._ahead.wait(seconds=_SOON)
                return _reason(self._ahead.coming.result() if self._ahead.coming.done() else None)

    async def _sent(self, run: Run, answer: Answer, key: str) -> bool:
        """Whether that is settled. False: it is to be asked again."""
        try:
            now = await self._backend.get(self._run_id)
            if now.version != run.version or now.ready_at is not None:
                say(f"{_AWAY}: yours isn't sent.")
                return True
            await self._backend.signal(self._run_id, answer.transition, answer.data, key)
        except (InvalidPayload, PayloadTooLarge) as error:
            say(f"Refused: {error}")
            return False
        except StoreUnavailable as error:
            say(f"Not sent: {error}")
            return False
        except (RunFinished, UnknownTransition, IdempotencyConflict) as error:
            say(str(error))
            return True
        self._answered = run.version
        return True


async def _asked(place: str, asks: Sequence[Ask], which: Ask | None, before: Any) -> Answer | None:
    try:
        which = which or await ask_which(place, asks)
        return None if which is None else await ask_payload(which, before)
    except EOFError:
        return None


def _is_queued(run: Run) -> bool:
    return run.status == "pending" or run.ready_at is not None


def _reason(news: News | None) -> str:
    row = news.rows[0] if news is not None and news.rows else None
    if row is None or row.signal_id is not None:
        return _AWAY + (f" by {row.answered_by}" if row is not None and row.answered_by else "")
    return "It was cancelled meanwhile" if row.status == "canceled" else "It went on by itself meanwhile"
