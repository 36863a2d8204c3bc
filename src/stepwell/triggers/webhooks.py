"""Takes deliveries: verified, stored once, handled before the answer. Knows no web framework.

What is answered, and what the sender does then:

- 200: the handler has returned, and what it started is durable. The same delivery again is 200 at once.
- 401: not provably from the sender. Nothing is stored; the log has a line.
- 408, 413: the body came too slowly, or is over `Settings.max_webhook_bytes`; it isn't read to its end.
- 500: the handler raised. The delivery stays open: sent again, its handler runs again, as the next attempt of the same
  run, and what it had started is not started twice.
- 503: the handler still runs after `ANSWER_WITHIN`, or was interrupted. It goes on by itself; sent again, the delivery
  is answered by what came of it. Two equal deliveries at a time run one handler, and both get its answer.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from stepwell.engine.commit import Commit
from stepwell.engine.control import retry
from stepwell.engine.run import Run, Status
from stepwell.errors import PayloadTooLarge
from stepwell.execution.clock import to_datetime
from stepwell.queue.database import with_inboxes
from stepwell.runner.core import Core
from stepwell.runner.opening import Opening
from stepwell.runner.start import Origin, Start, prepare
from stepwell.store import deliveries, runs
from stepwell.store.base import Call, Claimed
from stepwell.store.deliveries import DeliveryRow
from stepwell.store.tx import Tx
from stepwell.triggers.declare import SYSTEM_USER, WebhookRoute
from stepwell.triggers.event import WebhookEvent
from stepwell.triggers.handlers import webhook_workflow
from stepwell.triggers.verify import BadSignature, Delivery, lower_headers

log = logging.getLogger("stepwell.triggers")

ANSWER_WITHIN: Final = 25.0
"""Seconds for the handler before the sender is asked to come back. Most senders give up sooner, and come back too."""
READ_WITHIN: Final = 30.0
"""Seconds for the body to arrive."""
RETRY_AFTER: Final = 10
UNSIGNED: Final = "The signature is missing, wrong or too old."

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told."""

    status: int
    detail: str = ""
    text: str | None = None
    """The body of a 200 whose sender wants a certain one."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A delivery as the database knows it after it was taken."""

    run: Run | None
    """None: handled long ago, its run is deleted."""
    claimed: Claimed | None = None
    """The run is this process's to execute."""
    fresh: bool = False


class Reception:
    """Takes the deliveries of one webhook."""

    def __init__(self, opening: Opening, app_name: str, route: WebhookRoute, max_bytes: int) -> None:
        self._opening = opening
        self._app_name = app_name
        self._route = route
        self._max_bytes = max_bytes

    async def receive(self, headers: Headers, chunks: AsyncIterator[bytes]) -> Answer:
        """The answer to a request. Raises StepwellError if this Stepwell is closed or its database can't be reached."""
        known = lower_headers(headers)
        core = self._opening.core
        try:
            body = await read_body(known.get("content-length"), chunks, self._max_bytes)
            now = to_datetime(core.shared.clock.now())
            delivery = self._route.verify.verify(known, body, now)
        except PayloadTooLarge as error:
            return Answer(413, str(error))
        except TimeoutError:
            return Answer(408, f"The body didn't arrive within {READ_WITHIN:g} s.")
        except BadSignature as error:
            log.warning("webhook %r of app %r refused a request: %s", self._route.name, self._app_name, error)
            return Answer(401, UNSIGNED)
        if delivery.answer is not None:
            return Answer(200, text=delivery.answer)
        return await self._handle(core, delivery, WebhookEvent(delivery.id, known, body, now))

    async def _handle(self, core: Core, delivery: Delivery, event: WebhookEvent) -> Answer:
        core.passes.check_open()
        tasks: list[asyncio.Task[Run | None]] = []
        context = contextvars.copy_context()

        def launch(answer: _Taken | Exception) -> None:
            if isinstance(answer, _Taken) and answer.claimed is not None:
                one = core.passes.launch(answer.claimed, extra=True, hold=True, fresh=answer.fresh, context=context)
                tasks.extend([one] if one is not None else [])

        taken: _Taken = await core.store.writer.write(Call(self._take(core, delivery, event)), launch)
        if taken.run is None or taken.run.finished:
            return Answer(200)
        return _answer(await self._ended(core, taken.run.id, tasks))

    @staticmethod
    async def _ended(core: Core, run_id: str, tasks: list[asyncio.Task[Run | None]]) -> Status | None:
        """How the handler's run ended, executed here or elsewhere; None if it goes on."""
        if tasks:
            await asyncio.wait(tasks, timeout=ANSWER_WITHIN)
            run = tasks[0].result() if tasks[0].done() and not tasks[0].cancelled() else None
            return run.status if run is not None else None
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return (await core.ends.wait(run_id)).status
        except TimeoutError:
            return None

    def _take(self, core: Core, delivery: Delivery, event: WebhookEvent) -> Callable[[Tx], _Taken]:
        start = Start(webhook_workflow(self._route.name), event.to_json())
        origin = Origin(self._app_name, SYSTEM_USER, internal=1)
        definition, commit = prepare(core.shared, start, origin, core.passes.worker_id)

        def operation(tx: Tx) -> _Taken:
            known = deliveries.find(tx, self._app_name, self._route.name, delivery.id)
            now = core.shared.clock.now()
            if known is None:
                core.store.applier.create(tx, [commit])
                row = DeliveryRow(self._app_name, self._route.name, delivery.id, commit.run.id, now)
                deliveries.add(tx, row)
                return _Taken(commit.run, Claimed(commit.run, (), {}), fresh=True)
            run = runs.hold(tx, known.run_id)
            if run is None or run.finished:
                return _Taken(run)
            if run.status == "failed":
                return self._again(core, tx, retry(definition, run, now))
            if run.owner is None:
                # Its process died, or handed it over, and no worker has it yet.
                return self._again(core, tx, Commit(run.version, run.claim, run._replace(claim=run.claim + 1)))
            return _Taken(run)

        return operation

    @staticmethod
    def _again(core: Core, tx: Tx, commit: Commit) -> _Taken:
        ours = commit.run._replace(owner=core.passes.worker_id, status="running", ready_at=None, due_at=None)
        [answer] = core.store.applier.advance(tx, [commit._replace(run=ours)])
        assert isinstance(answer, Run)  # the row is held by this transaction: the fence holds
        return _Taken(answer, with_inboxes(tx, [answer])[0])


def _answer(status: Status | None) -> Answer:
    match status:
        case "completed" | "canceled":
            return Answer(200)
        case "failed":
            return Answer(500, "The handler failed; the delivery stays open. Send it again.")
        case _:
            return Answer(503, "The delivery is stored and still handled. Send it again to learn what came of it.")


async def read_body(declared: str | None, chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """The body. Raises PayloadTooLarge as soon as it is known to be over `limit`, TimeoutError after `READ_WITHIN`."""
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    async with asyncio.timeout(READ_WITHIN):
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            parts.append(chunk)
    return b"".join(parts)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is over {limit:,} bytes, the limit of this webhook.")
