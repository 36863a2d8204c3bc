"""The live stream: Server-Sent Events, read from the database, and sent after the commit.

Of one run an event's id is the number of its row of the history; of many, where the reader stands (`events/tail.py`).
Either is all that a client needs to come back, to any process: it misses nothing and sees nothing twice.
"""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stepwell.errors import InvalidArgs, StoreUnavailable, TooManyStreams
from stepwell.events import tail
from stepwell.events.tail import Seen, Watcher
from stepwell.http.access import Access
from stepwell.http.asking import Asking as Asks
from stepwell.http.asking import AskingOf
from stepwell.http.leaving import when_told_to_stop
from stepwell.http.open_streams import OpenStreams, Term
from stepwell.http.problems import problem_of
from stepwell.http.runs import Version, WorkflowId
from stepwell.http.schemas import CheckpointEvent, Id, Name, problems
from stepwell.runner.core import Core
from stepwell.runner.models import checkpoint_of, document_of, run_of
from stepwell.store import feed, runs
from stepwell.store.base import DocumentRow, History
from stepwell.store.feed import Entry, Horizon
from stepwell.store.tx import Tx

_PING: Final = 15.0
"""Seconds after which a silent stream says that it is there."""
_SEND_WITHIN: Final = 10.0
"""Seconds in which a client must have taken what is sent to it."""
_PAGE: Final = 200
_BYE: Final = b": come back\n\n"

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=32_768)]
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The events, as they come", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


class EventStream(Response):
    """Sends what comes, until it ends, the client is gone, or doesn't read what it is sent."""

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
        # Not before: what is only answered has no end at which its place would be free again.
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
            sending.result()  # what nobody foresaw is for the server to tell

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async with aclosing(self._chunks) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    await self._say(send, chunk)
                    if await self._term.over():
                        await self._say(send, _BYE)
                        break
            await self._say(send, b"", more=False)
        except (TimeoutError, StoreUnavailable):
            return  # the connection is closed without an end: the client comes back

    async def _say(self, send: Send, chunk: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(_SEND_WITHIN):
            await send({"type": "http.response.body", "body": chunk, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def add_streams(router: APIRouter, access: Access, asking: AskingOf) -> None:
    """`/runs/{id}/events` and `/events` are served."""
    Asking = Annotated[Asks, Depends(asking)]
    streams = OpenStreams()

    def opened(asking: Asks, chunks: AsyncIterator[bytes]) -> EventStream:
        when_told_to_stop(asking.runner.core.tail)
        return EventStream(chunks, Term(access, asking.asked), streams, asking.principal.user_id)

    @router.get("/runs/{workflow_id}/events", response_class=EventStream, responses={**_EVENTS, **problems(404)})
    async def stream_run(
        workflow_id: WorkflowId,
        asking: Asking,
        after: Annotated[Version, Query(description="The version after which to begin")] = -1,
        last_event_id: LastEventId = None,
    ) -> EventStream:
        """Every row of the run's history after `Last-Event-ID` (else `after`), as they are committed; `end` when it ended."""
        await asking.run(workflow_id)
        begin = _version(last_event_id) if last_event_id else after
        return opened(asking, _Stream(asking).of_run(workflow_id, begin))

    @router.get("/events", response_class=EventStream, responses={**_EVENTS, **problems(404)})
    async def stream_runs(
        asking: Asking,
        workspace_id: Id | None = None,
        app_name: Name | None = None,
        last_event_id: LastEventId = None,
    ) -> EventStream:
        """Every row of the history of the runs that are there for who asks, after `Last-Event-ID`, else from now on.

        The first event is `hello`, with the position from which it goes on.
        """
        await asking.there(app_name, workspace_id)
        position = _position(last_event_id) if last_event_id else None
        return opened(asking, _Stream(asking, workspace_id, app_name).of_many(position))


def _version(given: str) -> int:
    if given.isdecimal() and int(given) < 2**31:
        return int(given)
    raise _none_of_ours(given, "it is the number of a row of the history")


def _position(given: str) -> tuple[Horizon, Horizon | None, int]:
    try:
        return tail.parse(given)
    except ValueError:
        raise _none_of_ours(given, "send the one that came last") from None


def _none_of_ours(given: str, cure: str) -> InvalidArgs:
    message = f"Last-Event-ID {given[:80]!r} is none of this stream's: {cure}."
    return InvalidArgs(message, [{"loc": ("header", "Last-Event-ID"), "msg": message, "type": "last_event_id"}])


@dataclass
class _Stream:
    """What one client is told."""

    asking: Asks
    workspace_id: str | None = None
    app_name: str | None = None

    @property
    def core(self) -> Core:
        return self.asking.runner.core

    # -- one run --------------------------------------------------------------------------------------------------

    async def of_run(self, run_id: str, version: int) -> AsyncIterator[bytes]:
        yield _PINGED  # proxies hold the headers back until there is something of the body
        watcher = await self.core.tail.join(lambda _: True, run_id=run_id)
        try:
            async for chunk in self._follow_run(watcher, run_id, version):
                yield chunk
        finally:
            self.core.tail.leave(watcher)

    async def _follow_run(self, watcher: Watcher, run_id: str, version: int) -> AsyncIterator[bytes]:
        ended = False
        async for one in self._before(run_id, version):
            yield _event(self._told(one), one.at)
            version, ended = one.entry.row.version, _ends(one.entry)
        if ended or await self._over(run_id, version):
            yield _END
            return
        async for seen in self._handed(watcher):
            if not seen:
                yield _PINGED
            for one in seen:
                if one.entry.row.version <= version:
                    continue
                version = one.entry.row.version
                yield _event(self._told(one), str(version))
                if _ends(one.entry):
                    yield _END
                    return
        yield _BYE

    async def _before(self, run_id: str, version: int) -> AsyncIterator[Seen]:
        """What was committed already, a page at a time."""

        def query(tx: Tx) -> tuple[list[Entry], list[DocumentRow]]:
            found = feed.of_run(tx, run_id, version, _PAGE)
            spans = {run_id: (found[0].row.version, found[-1].row.version)} if found else {}
            return found, feed.documents_of(tx, spans)

        while True:
            found, documents = await self.core.store.read(query)
            for entry in found:
                mine = tuple(document for document in documents if document.version == entry.row.version)
                yield Seen(entry, mine, str(entry.row.version))
            if len(found) < _PAGE:
                return
            version = found[-1].row.version

    async def _over(self, run_id: str, version: int) -> bool:
        run = await self.core.store.read(lambda tx: runs.load_one(tx, run_id))
        return run is None or (run.finished and run.version <= version)

    # -- many runs ------------------------------------------------------------------------------------------------

    async def of_many(self, position: tuple[Horizon, Horizon | None, int] | None) -> AsyncIterator[bytes]:
        watcher = await self.core.tail.join(self._sees, user_id=self.asking.runner.only)
        at = watcher.at
        try:
            if position is not None:
                async for chunk in self._missed(*position, at):
                    yield chunk
            yield _hello(at)
            async for seen in self._handed(watcher):
                for one in seen:
                    yield _event(self._told(one), one.at)
                if not seen:
                    yield _hello(watcher.at)
            yield _BYE
        finally:
            self.core.tail.leave(watcher)

    async def _missed(self, seen: Horizon, until: Horizon | None, after: int, at: Horizon) -> AsyncIterator[bytes]:
        """What was committed since the client left."""
        if until is not None:  # it left in the middle of a way
            async for chunk in self._pages(seen, until, after):
                yield chunk
            seen = until
        async for chunk in self._between(seen, at, 0):
            yield chunk

    async def _between(self, seen: Horizon, until: Horizon, after: int) -> AsyncIterator[bytes]:
        while seen != until:
            stop = await self.core.store.read(lambda tx: feed.halt(tx, seen, until))  # noqa: B023
            async for chunk in self._pages(seen, stop, after):
                yield chunk
            seen, after = stop, 0

    async def _pages(self, seen: Horizon, until: Horizon, after: int) -> AsyncIterator[bytes]:
        while True:
            found = await self.core.store.read(lambda tx: feed.between(tx, seen, until, after, _PAGE))  # noqa: B023
            for entry in found:
                if self._sees(entry):
                    yield _event(self._told(Seen(entry, (), "")), tail.position(seen, until, entry.seq))
            if len(found) < _PAGE:
                return
            after = found[-1].seq

    def _sees(self, entry: Entry) -> bool:
        run, only = entry.run, self.asking.runner.only
        return (
            only in (None, run.user_id)
            and self.asking.principal.sees(run.app_name)
            and self.workspace_id in (None, run.workspace_id)
            and self.app_name in (None, run.app_name)
        )

    # -- both -----------------------------------------------------------------------------------------------------

    async def _handed(self, watcher: Watcher) -> AsyncIterator[list[Seen]]:
        """What comes, or nothing where a while has passed; ends when the client should come back."""
        while True:
            seen = await watcher.next(_PING)
            if watcher.cut_off:
                return
            yield seen

    def _told(self, seen: Seen) -> CheckpointEvent:
        entry = seen.entry
        definition = self.core.shared.registry.find(entry.run.app_name, entry.run.workflow_name)
        return CheckpointEvent(
            workflow_id=entry.run.id,
            checkpoint=checkpoint_of(History(entry.row, None), entry.answered_by, traces=False),
            run=run_of(entry.run, definition),
            documents=tuple(document_of(row) for row in seen.documents),
        )


def _ends(entry: Entry) -> bool:
    return entry.run.finished and entry.row.version == entry.run.version


def _event(told: CheckpointEvent, id_: str) -> bytes:
    return f"event: checkpoint\nid: {id_}\ndata: {told.model_dump_json()}\n\n".encode()


def _hello(at: Horizon) -> bytes:
    return f"event: hello\nid: {at}\ndata: {{}}\n\n".encode()


_PINGED: Final = b": ping\n\n"
_END: Final = b"event: end\ndata: {}\n\n"
