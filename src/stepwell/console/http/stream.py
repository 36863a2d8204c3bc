"""The live stream: Server-Sent Events, read from the database, and sent after the commit.

In the stream of one run, an event's id is the number of its row of the history; in that of many, the reader's position
(`hints/tail.py`). Either is all that a client needs to reconnect, to any process: it misses nothing and sees nothing
twice.
"""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stepwell.console.http.access.access import Access
from stepwell.console.http.access.caller import Caller, CallerOf
from stepwell.console.http.open_streams import OpenStreams, Term, close_on_signals
from stepwell.console.http.problems import problem_of
from stepwell.console.http.routes.runs import Version, WorkflowId
from stepwell.console.http.schemas import CheckpointEvent, Id, NameParam, problems
from stepwell.console.reading.parts import PAGE, Checkpoints, FeedEntry, Horizon, Visible, checkpoint
from stepwell.errors import InvalidArgs, StoreUnavailable, TooManyReads, TooManyStreams
from stepwell.hints import tail
from stepwell.hints.tail import StreamedEntry, Subscription
from stepwell.runner.core import Core
from stepwell.runner.models import document_of, run_of

_PING: Final = 15.0
"""Seconds after which a silent stream sends a ping."""
_SEND_WITHIN: Final = 10.0
"""Seconds in which a client must have taken what is sent to it."""
_BYE: Final = b": come back\n\n"

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=32_768)]
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The events, as they come", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


class EventStream(Response):
    """A response that sends events until they end, or the client is gone or doesn't read what it is sent."""

    media_type = "text/event-stream"

    def __init__(
        self, chunks: AsyncIterator[bytes], term: Term, streams: OpenStreams, user_id: str, status_code: int = 200
    ) -> None:
        super().__init__(status_code=status_code, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._chunks = chunks
        self._term = term
        self._streams = streams
        self._user_id = user_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not earlier: a response that is never sent has no end at which its slot would be freed.
        try:
            with self._streams.one_of(self._user_id):
                await self._serve(receive, send)
        except TooManyStreams as error:
            await problem_of(error)(scope, receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            sending.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
        if not sending.cancelled():
            sending.result()  # the server reports unexpected errors

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with aclosing(self._chunks) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    if await self._term.over():
                        await self._say(send, _BYE)
                        break
                    await self._say(send, chunk)
            await self._say(send, b"", more=False)
        except (TimeoutError, StoreUnavailable, TooManyReads):
            return  # the connection is closed without an end: the client reconnects

    async def _say(self, send: Send, chunk: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(_SEND_WITHIN):
            await send({"type": "http.response.body", "body": chunk, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def add_streams(router: APIRouter, access: Access, caller: CallerOf) -> None:
    """Add `/runs/{id}/events` and `/events`."""
    ByCaller = Annotated[Caller, Depends(caller)]
    streams = OpenStreams()

    def opened(caller: ByCaller, chunks: AsyncIterator[bytes]) -> EventStream:
        close_on_signals(caller.runner.core.tail)
        return EventStream(chunks, Term(access, caller.identity), streams, caller.principal.user_id)

    @router.get("/runs/{workflow_id}/events", response_class=EventStream, responses={**_EVENTS, **problems(404)})
    async def stream_run(
        workflow_id: WorkflowId,
        caller: ByCaller,
        after: Annotated[Version, Query(description="The version after which to begin")] = -1,
        last_event_id: LastEventId = None,
    ) -> EventStream:
        """Stream the rows of the run's history after `Last-Event-ID` (else `after`) as they are committed, then `end`."""
        run = await caller.run(workflow_id)
        if not last_event_id:
            begin = after
        elif last_event_id.isdecimal() and int(last_event_id) < 2**31:
            begin = int(last_event_id)
        else:
            raise _none_of_ours(last_event_id, "it is the number of a row of the history")
        return opened(caller, _Stream(caller).of_run(run.workflow_id, begin))

    @router.get("/events", response_class=EventStream, responses={**_EVENTS, **problems(404)})
    async def stream_runs(
        caller: ByCaller,
        workspace_id: Id | None = None,
        app_name: NameParam | None = None,
        last_event_id: LastEventId = None,
    ) -> EventStream:
        """Stream every row of the history of all visible runs, after `Last-Event-ID`, else from now on.

        The first event is `hello`, with the position from which the stream continues. After `Last-Event-ID`, the events
        missed come before it; among them `position`s, from which the stream also continues, mark how far the search for
        visible rows went.
        """
        await caller.there(app_name, workspace_id)
        position = _position(last_event_id) if last_event_id else None
        return opened(caller, _Stream(caller, workspace_id, app_name).of_many(position))


def _position(given: str) -> tuple[Horizon, Horizon | None, int]:
    try:
        return tail.parse(given)
    except ValueError:
        raise _none_of_ours(given, "send the last one that you received") from None


def _none_of_ours(given: str, cure: str) -> InvalidArgs:
    message = f"Last-Event-ID {given[:80]!r} isn't an id from this stream: {cure}."
    return InvalidArgs(message, [{"loc": ("header", "Last-Event-ID"), "msg": message, "type": "last_event_id"}])


@dataclass
class _Stream:
    """The events of one client."""

    caller: Caller
    workspace_id: str | None = None
    app_name: str | None = None

    @property
    def core(self) -> Core:
        return self.caller.runner.core

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.caller.runner)

    # -- one run --------------------------------------------------------------------------------------------------

    async def of_run(self, run_id: str, version: int) -> AsyncIterator[bytes]:
        yield _PINGED  # proxies hold the headers back until the body begins
        watcher = await self.core.tail.join(lambda _: True, run_id=run_id)
        try:
            async for chunk in self._follow_run(watcher, run_id, version):
                yield chunk
        finally:
            self.core.tail.remove(watcher)

    async def _follow_run(self, watcher: Subscription, run_id: str, version: int) -> AsyncIterator[bytes]:
        ended = False
        async for one in self._before(run_id, version):
            yield _event(self._checkpoint_event(one), one.at)
            version, ended = one.entry.row.version, _ends(one.entry)
        if ended or await self.checkpoints.is_over(run_id, version):
            yield _END
            return
        async for seen in self._handed(watcher):
            if not seen:
                yield _PINGED
            for one in seen:
                if one.entry.row.version <= version:
                    continue
                version = one.entry.row.version
                yield _event(self._checkpoint_event(one), str(version))
                if _ends(one.entry):
                    yield _END
                    return
        yield _BYE

    async def _before(self, run_id: str, version: int) -> AsyncIterator[StreamedEntry]:
        """Yield what was committed already, a page at a time."""
        last = False
        while not last:
            found, documents, last = await self.checkpoints.of_run(run_id, version)
            for entry in found:
                mine = tuple(document for document in documents if document.version == entry.row.version)
                yield StreamedEntry(entry, mine, str(entry.row.version))
            version = found[-1].row.version if found else version

    # -- many runs ------------------------------------------------------------------------------------------------

    async def of_many(self, position: tuple[Horizon, Horizon | None, int] | None) -> AsyncIterator[bytes]:
        visible = self._visible
        watcher = await self.core.tail.join(lambda entry: visible.shows(entry.run), user_id=visible.user_id)
        at = watcher.at
        try:
            if position is not None:
                async for chunk in self._missed(*position, at):
                    yield chunk
            yield _hello(at)
            async for seen in self._handed(watcher):
                for one in seen:
                    yield _event(self._checkpoint_event(one), one.at)
                if not seen:
                    yield _hello(watcher.at)
            yield _BYE
        finally:
            self.core.tail.remove(watcher)

    async def _missed(self, seen: Horizon, until: Horizon | None, after: int, at: Horizon) -> AsyncIterator[bytes]:
        """Yield what was committed since the client left, and where the client stands after rows that it may not see."""
        if until is not None:  # it left between two horizons
            async for chunk in self._pages(seen, until, await self._page(seen, until, after)):
                yield chunk
            seen = until
        while seen != at:
            stop, found = await self.checkpoints.onward(seen, at, self._visible)
            async for chunk in self._pages(seen, stop, found):
                yield chunk
            seen = stop
            if seen != at:
                yield _position_at(seen)

    async def _pages(self, seen: Horizon, until: Horizon, found: Sequence[FeedEntry]) -> AsyncIterator[bytes]:
        """Yield a page and all that follow it before `until`."""
        while found:
            for entry in found:
                event = self._checkpoint_event(StreamedEntry(entry, (), ""))
                yield _event(event, tail.position(seen, until, entry.seq))
            found = await self._page(seen, until, found[-1].seq) if len(found) == PAGE else ()

    async def _page(self, seen: Horizon, until: Horizon, after: int) -> Sequence[FeedEntry]:
        return await self.checkpoints.between(seen, until, after, self._visible)

    @property
    def _visible(self) -> Visible:
        return Visible(self.caller.runner.only, self.caller.principal.apps, self.app_name, self.workspace_id)

    # -- both -----------------------------------------------------------------------------------------------------

    async def _handed(self, watcher: Subscription) -> AsyncIterator[list[StreamedEntry]]:
        """Yield what comes, or nothing after a while without anything; ends when the client should reconnect."""
        while True:
            seen = await watcher.next(_PING)
            if watcher.cut_off:
                return
            yield seen

    def _checkpoint_event(self, seen: StreamedEntry) -> CheckpointEvent:
        entry = seen.entry
        definition = self.core.shared.registry.find(entry.run.app_name, entry.run.workflow_name)
        return CheckpointEvent(
            workflow_id=entry.run.id,
            checkpoint=checkpoint(entry),
            run=run_of(entry.run, definition),
            documents=tuple(document_of(row) for row in seen.documents),
        )


def _ends(entry: FeedEntry) -> bool:
    return entry.run.finished and entry.row.version == entry.run.version


def _event(event: CheckpointEvent, id_: str) -> bytes:
    return f"event: checkpoint\nid: {id_}\ndata: {event.model_dump_json()}\n\n".encode()


def _hello(at: Horizon) -> bytes:
    return f"event: hello\nid: {at}\ndata: {{}}\n\n".encode()


def _position_at(horizon: Horizon) -> bytes:
    return f"event: position\nid: {horizon}\ndata: {{}}\n\n".encode()


_PINGED: Final = b": ping\n\n"
_END: Final = b"event: end\ndata: {}\n\n"
