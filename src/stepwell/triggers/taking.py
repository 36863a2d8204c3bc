"""Takes a verified delivery into the database: once, by its id, or by its content where the id isn't signed.

One transaction finds out whether the delivery is known, and stores it with the run of its handler if it isn't. Where the
sender signs the id, the id decides alone. Where it doesn't (`Delivery.digest`), a client that has seen one request can
send it again under any id, so the content decides:

- known content is the delivery that it came with first, whatever its id is now: nothing is stored under the new id;
- other content under a known id is a delivery of its own, and gets an id of its own: the genuine one isn't lost if its
  id was used up before;
- the same content, signed again under the same id at another time, is the sender's retry.

Both of the first are warnings in the log. A delivery that an earlier Stepwell has stored has no digest: the body with
which its handler's run was started counts, as long as that run is kept, and then its id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from stepwell.definition.text import SYSTEM_USER
from stepwell.engine.control import take
from stepwell.engine.run import Moment, RunRow
from stepwell.queue.claims import with_inboxes
from stepwell.runner.core import Core
from stepwell.runner.start import Origin, Start, prepare
from stepwell.store import deliveries, runs
from stepwell.store.deliveries import ContentRow, DeliveryRow
from stepwell.store.inbox import Claimed
from stepwell.store.tx import Call, Tx
from stepwell.triggers.events import WebhookEvent
from stepwell.triggers.handlers import webhook_workflow
from stepwell.triggers.signatures import LONGEST_ID, Delivery, digest_of, encoded

log = logging.getLogger("stepwell.triggers")

_SHOWN = 32
"""Hexadecimal digits of a content's digest in the id of a delivery whose own id is another's."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery as the database knows it after it was taken."""

    run: RunRow | None
    """None: handled long ago, its run is deleted."""
    claimed: Claimed | None = None
    """The run is this process's to execute."""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class _OtherContent:
    """The id belongs to a delivery with another content; nothing was stored."""


_Launch = Callable[[Taken | Exception], None]


async def take_delivery(
    core: Core, app_name: str, route: str, delivery: Delivery, event: WebhookEvent, launch: _Launch
) -> Taken:
    """Return the delivery once it is durable, with the run of its handler. `launch` is called in the same moment."""
    while True:
        operation = _operation(core, app_name, route, delivery, event)
        answer: Taken | _OtherContent = await core.store.writer.write(Call(operation), _only_taken(launch))
        if isinstance(answer, Taken):
            return answer
        log.warning(
            "webhook %r of app %r got another content under the known id %r: it is handled as a delivery of its own",
            route, app_name, delivery.id,
            extra={"app_name": app_name, "webhook": route, "delivery_id": delivery.id},
        )  # fmt: skip
        delivery = replace(delivery, id=id_of_its_own(delivery))
        event = replace(event, id=delivery.id)


def waits_for_retry(run: RunRow, now: Moment) -> bool:
    """Return whether its handler has failed and is tried again by itself, but not yet."""
    return run.status == "retrying" and run.due_at is not None and run.due_at > now


def id_of_its_own(delivery: Delivery) -> str:
    """Return the id under which the delivery is stored if its own id belongs to another content."""
    content = digest_of(encoded(delivery.digest or "")).removeprefix("sha256:")
    renamed = f"{delivery.id}#{content[:_SHOWN]}"
    return renamed if len(renamed) <= LONGEST_ID else digest_of(encoded(f"{delivery.id}#{content}"))


def _only_taken(launch: _Launch) -> Callable[[Taken | _OtherContent | Exception], None]:
    def launched(answer: Taken | _OtherContent | Exception) -> None:
        if not isinstance(answer, _OtherContent):
            launch(answer)

    return launched


def _operation(
    core: Core, app_name: str, route: str, delivery: Delivery, event: WebhookEvent
) -> Callable[[Tx], Taken | _OtherContent]:
    data = event.to_json()
    start = Start(webhook_workflow(route), data)
    definition, commit = prepare(core.shared, start, Origin(app_name, SYSTEM_USER, internal=1), core.passes.worker_id)
    asked = DeliveryRow(app_name, route, delivery.id, commit.run.id, core.shared.clock.now())

    def operation(tx: Tx) -> Taken | _OtherContent:
        known = _known(tx, delivery, asked, data)
        if isinstance(known, _OtherContent):
            return known
        if known is None:
            core.store.applier.create(tx, [commit])
            deliveries.add(tx, asked)
            return Taken(commit.run, Claimed(commit.run, (), {}), fresh=True)
        run = runs.hold(tx, known.run_id)
        if run is None or run.finished:
            return Taken(run)
        if (run.status != "failed" and run.owner is not None) or waits_for_retry(run, core.shared.clock.now()):
            return Taken(run)
        # Its handler failed; or its process died, or handed it over, and no worker has claimed it yet.
        again = take(definition, run, core.passes.worker_id, core.shared.clock.now())
        [answer] = core.store.applier.advance(tx, [again])
        assert isinstance(answer, RunRow)  # the row is held by this transaction: the fence holds
        return Taken(answer, with_inboxes(tx, [answer])[0])

    return operation


def _known(
    tx: Tx, delivery: Delivery, asked: DeliveryRow, data: dict[str, object]
) -> DeliveryRow | _OtherContent | None:
    """Return the delivery as it is stored; None if it isn't. From then on its content is known too."""
    if delivery.digest is None:
        return deliveries.find(tx, *asked[:3])
    known = deliveries.of_content(tx, *asked[:2], delivery.digest, delivery.stamp)
    if known is not None:
        if known.delivery_id not in (delivery.id, id_of_its_own(delivery)):
            _log_repetition(known, delivery.id)
        return known
    known = deliveries.find(tx, *asked[:3])
    if known is not None and _has_other_content(tx, known, delivery.digest, data):
        return _OtherContent()
    content = ContentRow(*asked[:2], delivery.digest, delivery.stamp, delivery.id, asked.received_at)
    deliveries.add_content(tx, content)
    return known


def _has_other_content(tx: Tx, known: DeliveryRow, digest: str, data: dict[str, object]) -> bool:
    digests = deliveries.digests_of(tx, known)
    if digests:
        return digest not in digests
    run = runs.load_one(tx, known.run_id)
    if run is None:
        return False
    before = json.loads(run.args)
    return isinstance(before, dict) and before.get("body", data["body"]) != data["body"]


def _log_repetition(known: DeliveryRow, other_id: str) -> None:
    """Log that a request isn't handled: it may be an event of its own, which nothing signed tells from the first one."""
    log.warning(
        "webhook %r of app %r got the content of delivery %r again under the id %r: it isn't handled again. If it was "
        "another event, have its sender sign something that differs: a time stamp, an id in the body, or for Twilio a "
        "count in the URL (?turn=2)",
        known.route, known.app_name, known.delivery_id, other_id,
        extra={
            "app_name": known.app_name, "webhook": known.route, "delivery_id": known.delivery_id,
            "repeated_as": other_id, "workflow_id": known.run_id,
        },
    )  # fmt: skip
