"""Takes deliveries: verified, stored once, handled before the answer. Knows no web framework.

What is answered, and what the sender does then:

- 200: the handler has returned, and what it started is durable; or its run was cancelled. The same delivery again is
  200 at once. A handler that returns an answer (`answers.py`) decides the status and the body, each time the same.
- 200 or 403 to a GET or HEAD: `challenged`, where the webhook has a challenge.
- 202: with `retry=` on the webhook: the handler has failed and will be tried again by itself, or still runs after
  `ANSWER_WITHIN`. The delivery is durable and the sender is done. Sent again, it doesn't shorten the delay.
- 401: not provably from the sender. Nothing is stored; the log has a line.
- 400: gzip that can't be inflated, or an id that can't be stored. 415: another `Content-Encoding` than gzip.
- 408, 413: the body came too slowly, or is over `Settings.max_webhook_bytes`, inflated or not; it isn't read to its end.
- 500: the handler raised. The delivery stays open: sent again, its handler runs again, as the next attempt of the same
  run, and what it had started is not started twice.
- 503: the handler still runs after `ANSWER_WITHIN`, or was interrupted. It continues by itself; sent again, the delivery
  is answered by what came of it. Two equal deliveries at a time run one handler, and both get its answer. Or the
  application's own challenge or verifier hangs, or is called too often.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from stepwell.definition.text import is_text, told
from stepwell.engine.run import RunRow
from stepwell.errors import InvalidPayload, PayloadTooLarge
from stepwell.execution.clock import to_datetime
from stepwell.execution.user_errors import logged, own
from stepwell.runner.core import Core
from stepwell.runner.opening import Opening
from stepwell.triggers import bodies
from stepwell.triggers.answers import StoredAnswer, stored_answer
from stepwell.triggers.challenges import LONGEST_ANSWER, challenge_of
from stepwell.triggers.declare import WebhookRoute
from stepwell.triggers.events import WebhookEvent
from stepwell.triggers.limited_calls import CallRefused, LimitedCalls
from stepwell.triggers.signatures import LONGEST_ID, BadSignature, Delivery, HmacVerifier, lower_headers, takes_url
from stepwell.triggers.taking import Taken, take_delivery, waits_for_retry

log = logging.getLogger("stepwell.triggers")

ANSWER_WITHIN: Final = 25.0
"""Seconds for the handler before the sender is asked to send again. Most senders give up sooner, and send again too."""
RETRY_AFTER: Final = 10
STILL_HANDLED: Final = "The delivery is stored and still being handled. Send it again to learn its outcome."
UNSIGNED: Final = "The signature is missing, wrong or too old."

_OF_THE_ENCODED: Final = ("content-encoding", "content-length")

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """The answer to the sender."""

    status: int
    detail: str = ""
    text: str | None = None
    """The body of a 200 whose sender wants a certain one."""
    given: StoredAnswer | None = None
    """The answer of the handler; its status counts."""


class Reception:
    """The reception of one webhook's deliveries."""

    def __init__(self, opening: Opening, app_name: str, route: WebhookRoute, max_bytes: int) -> None:
        self._opening = opening
        self._app_name = app_name
        self._route = route
        self._max_bytes = max_bytes
        self._takes_url = takes_url(route.verify)
        # Only Stepwell's own verifiers are known to be quick: they run on the event loop.
        self._verifying = None if type(route.verify) is HmacVerifier else LimitedCalls(route.verify.verify)
        self._challenging = None if route.challenge is None else LimitedCalls(route.challenge)

    async def challenged(self, method: str, query: str, headers: Headers, url: str) -> WebhookAnswer | None:
        """Return the answer to a request by which the sender tests the address; None if it must be a delivery.

        Nothing is stored, and the body isn't read.
        """
        if self._challenging is None or (method == "POST" and not query):
            return None
        try:
            request = challenge_of(method, query, lower_headers(headers), url)
        except ValueError as error:
            return WebhookAnswer(400, f"The query can't be read: {error}.")
        try:
            text = await self._challenging.call(self._opening.shared.threads, request)
            answer = None if text is None else _short(text)
        except CallRefused as error:
            return self._refused("challenge", error)
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            log.error("the challenge of %s failed: %s", self._title, told(own(error)), exc_info=logged(error))
            return WebhookAnswer(500, "The challenge failed.")
        if answer is not None or method == "POST":
            return answer
        log.warning("%s refused a %s: it is no challenge of its sender", self._title, method)
        return WebhookAnswer(403, "It is no challenge that this webhook answers.")

    def _refused(self, what: str, error: CallRefused) -> WebhookAnswer:
        log.warning("the %s of %s wasn't called or was given up: %s", what, self._title, error)
        return WebhookAnswer(503, f"The {what} isn't available now. Send the request again.")

    @property
    def _title(self) -> str:
        return f"webhook {self._route.name!r} of app {self._app_name!r}"

    async def receive(self, headers: Headers, chunks: AsyncIterator[bytes], url: str = "") -> WebhookAnswer:
        """Return the answer to a request. Raises StepwellError if this Stepwell is closed or its database can't be reached.

        `url` is the one that the sender called.
        """
        known = lower_headers(headers)
        core = self._opening.core
        encoding = known.get("content-encoding", "")
        if not bodies.can_decode(encoding):
            return WebhookAnswer(415, f"Content-Encoding {encoding[:80]!r} isn't supported: send it as it is, or gzip.")
        try:
            sent = await bodies.read_body(known.get("content-length"), chunks, self._max_bytes)
            body = bodies.decoded(sent, encoding, self._max_bytes)
        except PayloadTooLarge as error:
            return WebhookAnswer(413, str(error))
        except InvalidPayload as error:
            return WebhookAnswer(400, str(error))
        except TimeoutError:
            return WebhookAnswer(408, f"The body didn't arrive within {bodies.READ_WITHIN:g} s.")
        now = to_datetime(core.shared.clock.now())
        try:
            delivery = await self._verified(known, (body,) if body is sent else (body, sent), now, url)
        except CallRefused as error:
            return self._refused("verifier", error)
        except BadSignature as error:
            log.warning("%s refused a request: %s", self._title, error)
            return WebhookAnswer(401, UNSIGNED)
        if delivery.answer is not None:
            return _short(delivery.answer)
        if not all(is_text(one, LONGEST_ID) for one in (delivery.id, delivery.digest or "-", delivery.stamp or "-")):
            return WebhookAnswer(400, f"The delivery's id isn't a text of 1 to {LONGEST_ID} characters without NUL.")
        if body is not sent:
            known = {name: value for name, value in known.items() if name not in _OF_THE_ENCODED}
        return await self._handle(core, delivery, WebhookEvent(delivery.id, known, body, now, url))

    async def _verified(
        self, headers: Mapping[str, str], contents: Sequence[bytes], now: datetime, url: str
    ) -> Delivery:
        """Return the delivery. Most senders that compress sign the body before they do, and others afterwards."""
        for body in contents[:-1]:
            with suppress(BadSignature):
                return await self._checked(headers, body, now, url)
        return await self._checked(headers, contents[-1], now, url)

    async def _checked(self, headers: Mapping[str, str], body: bytes, now: datetime, url: str) -> Delivery:
        verify: Callable[..., Delivery] = self._route.verify.verify
        more = {"url": url} if self._takes_url else {}
        if self._verifying is None:
            return verify(headers, body, now, **more)
        found: Delivery = await self._verifying.call(self._opening.shared.threads, headers, body, now, **more)
        return found

    async def _handle(self, core: Core, delivery: Delivery, event: WebhookEvent) -> WebhookAnswer:
        if core.passes.trial.on:
            await core.passes.trial.over(ANSWER_WITHIN / 2)
        core.passes.check_open()
        tasks: list[asyncio.Task[RunRow | None]] = []
        context = contextvars.copy_context()

        def launch(answer: Taken | Exception) -> None:
            if isinstance(answer, Taken) and answer.claimed is not None:
                # With retry= its delay is no time for which the sender waits: any worker tries again.
                hold = self._route.retry is None
                one = core.passes.launch(answer.claimed, extra=True, hold=hold, fresh=answer.fresh, context=context)
                tasks.extend([one] if one is not None else [])

        taken = await take_delivery(core, self._app_name, self._route.name, delivery, event, launch)
        if taken.run is None or taken.run.finished:
            return self._answer(taken.run)
        if not tasks and waits_for_retry(taken.run, core.shared.clock.now()):
            return self._answer(taken.run)
        run = await self._ended(core, taken.run.id, tasks)
        return self._still_handled() if run is None else self._answer(run)

    def _answer(self, run: RunRow | None) -> WebhookAnswer:
        """Return the answer for a handler's run; None: it ended well long ago, and is deleted."""
        if run is None or run.status == "canceled":
            return WebhookAnswer(200)
        if run.status == "completed":
            return WebhookAnswer(200, given=stored_answer(run.result))
        if run.status == "failed":
            return WebhookAnswer(500, "The handler failed, so the delivery is still open. Send it again.")
        return self._still_handled()

    def _still_handled(self) -> WebhookAnswer:
        return WebhookAnswer(503, STILL_HANDLED) if self._route.retry is None else WebhookAnswer(202)

    @staticmethod
    async def _ended(core: Core, run_id: str, tasks: list[asyncio.Task[RunRow | None]]) -> RunRow | None:
        """Return the handler's run as it ended, here or in another process; None if it hasn't."""
        if tasks:
            await asyncio.wait(tasks, timeout=ANSWER_WITHIN)
            return tasks[0].result() if tasks[0].done() and not tasks[0].cancelled() else None
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await core.ends.wait(run_id)
        except TimeoutError:
            return None


def _short(text: str) -> WebhookAnswer:
    """Return the answer to a challenge, which is refused if it is too long."""
    size = len(text.encode())
    if size > LONGEST_ANSWER:
        return WebhookAnswer(400, f"The answer would have {size:,} bytes; {LONGEST_ANSWER:,} are allowed.")
    return WebhookAnswer(200, text=text)
