"""Deliveries of webhooks: the ones that have arrived, and the run that handles each. The run has the result.

Where a sender doesn't sign the ids of its deliveries, their contents are kept too, by their digests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from stepwell.engine.run import Moment, Status
from stepwell.store import runs, tables
from stepwell.store.tables import deliveries, delivery_contents
from stepwell.store.tx import Tx

WALKED: Final = 20_000
"""Deliveries on which a filter is tried, for one page."""


_BEGINNING: Final = 8_192
"""Characters of a handler's result, or of a step of it, that are read for the ids in it: those of 200 runs."""


class DeliveryRow(NamedTuple):
    """A signed delivery. Its run is gone only if it had finished."""

    app_name: str
    route: str
    delivery_id: str
    run_id: str
    received_at: Moment


def find(tx: Tx, app_name: str, route: str, delivery_id: str) -> DeliveryRow | None:
    """Return the delivery, if it has arrived before."""
    return tx.one(
        DeliveryRow._make,
        f"SELECT {tables.columns(deliveries)} FROM stepwell_deliveries WHERE app_name=? AND route=? AND delivery_id=?",
        app_name,
        route,
        delivery_id,
    )


def add(tx: Tx, delivery: DeliveryRow) -> None:
    """Insert the delivery; its id is taken on its route from then on."""
    tx.insert(deliveries, [delivery])


class ContentRow(NamedTuple):
    """The signed content of a delivery whose id its sender doesn't sign; several if it was signed again for a retry."""

    app_name: str
    route: str
    digest: str
    stamp: str
    delivery_id: str
    received_at: Moment


def of_content(tx: Tx, app_name: str, route: str, digest: str, stamp: str) -> DeliveryRow | None:
    """Return the delivery with this content, if it has arrived before under any id."""
    return tx.one(
        DeliveryRow._make,
        f"SELECT {tables.columns(deliveries, 'd.')} FROM stepwell_delivery_contents c JOIN stepwell_deliveries d ON"
        " d.app_name=c.app_name AND d.route=c.route AND d.delivery_id=c.delivery_id"
        " WHERE c.app_name=? AND c.route=? AND c.digest=? AND c.stamp=?",
        app_name,
        route,
        digest,
        stamp,
    )


def digests_of(tx: Tx, known: DeliveryRow) -> set[str]:
    """Return the digests of the contents that are kept of the delivery; none of one whose id its sender signs."""
    found = tx.rows(
        "SELECT digest FROM stepwell_delivery_contents WHERE app_name=? AND route=? AND delivery_id=?",
        known.app_name,
        known.route,
        known.delivery_id,
    )
    return {row[0] for row in found}


def add_content(tx: Tx, content: ContentRow) -> None:
    """Insert the content of a delivery, in place of one whose delivery is deleted."""
    tx.run(
        "DELETE FROM stepwell_delivery_contents WHERE app_name=? AND route=? AND digest=? AND stamp=? AND NOT EXISTS"
        " (SELECT 1 FROM stepwell_deliveries d WHERE d.app_name=stepwell_delivery_contents.app_name"
        " AND d.route=stepwell_delivery_contents.route AND d.delivery_id=stepwell_delivery_contents.delivery_id)",
        *content[:4],
    )
    tx.insert(delivery_contents, [content])


class Handled(NamedTuple):
    """A delivery with its result; without a status its run has ended and is deleted."""

    app_name: str
    route: str
    delivery_id: str
    run_id: str
    received_at: Moment
    status: Status | None
    attempt: int | None
    error: str | None


DeliveryPosition = tuple[Moment, str, str, str]
"""The end of a page of deliveries: when it was received, app, route, id."""


def newest(
    tx: Tx,
    limit: int,
    before: DeliveryPosition | None = None,
    *,
    apps: Sequence[str] | None = None,
    route: str | None = None,
    status: str | None = None,
) -> tuple[list[Handled], DeliveryPosition | None]:
    """Return the newest deliveries, and the position of the next page.

    There may be fewer than `limit` although more follow: only a bounded number is looked at.
    """
    mark = "" if before is None else " WHERE (received_at, app_name, route, delivery_id) < (?, ?, ?, ?)"
    conditions: list[str] = ["1=1"]
    parameters: list[object] = []
    if apps is not None:
        conditions.append("d.app_name IN list(?)")
        parameters.append(tx.listed(apps))
    for condition, value in (("d.route=?", route), ("r.status=?", status)):
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    walked = (
        f"SELECT * FROM stepwell_deliveries{mark}"
        " ORDER BY received_at DESC, app_name DESC, route DESC, delivery_id DESC LIMIT ?"
    )
    found = tx.fetch(
        Handled._make,
        "SELECT d.app_name, d.route, d.delivery_id, d.run_id, d.received_at, r.status, r.attempt, r.error FROM"
        f" ({walked}) AS d LEFT JOIN stepwell_runs r ON r.id=d.run_id WHERE {' AND '.join(conditions)}"
        " ORDER BY d.received_at DESC, d.app_name DESC, d.route DESC, d.delivery_id DESC LIMIT ?",
        *(before or ()),
        WALKED,
        *parameters,
        limit + 1,
    )
    if len(found) > limit:
        return found[:limit], _mark(found[limit - 1])
    last = tx.fetch(DeliveryRow._make, f"{walked} OFFSET ?", *(before or ()), 1, WALKED - 1)
    return found, (last[0].received_at, *last[0][:3]) if last else None


def _mark(one: Handled) -> DeliveryPosition:
    return one.received_at, one.app_name, one.route, one.delivery_id


def started(tx: Tx, handlers: Sequence[str], apps: Sequence[str] | None, most: int) -> dict[str, list[str]]:
    """Return, for the runs of handlers, the ids of the runs that each started, in order, at most `most` of each.

    A handler that returned has them as its result; runs that failed attempts had started are in the journal.
    """
    listed = tx.listed(handlers)
    journaled = tx.rows(
        "SELECT run_id, substr(value, 1, ?) FROM stepwell_steps WHERE run_id IN list(?) ORDER BY recorded_at, name LIMIT ?",
        _BEGINNING,
        listed,
        WALKED,
    )
    returned = tx.rows(
        "SELECT id, substr(result, 1, ?) FROM stepwell_runs WHERE id IN list(?) AND result IS NOT NULL AND internal=1",
        _BEGINNING,
        listed,
    )
    found: dict[str, list[str]] = {}
    for handler, value in (*journaled, *returned):
        found.setdefault(handler, []).extend(_ids(value))
    first = {handler: list(dict.fromkeys(ids))[:most] for handler, ids in found.items()}
    kept = runs.existing(tx, {one for ids in first.values() for one in ids}, apps)
    return {handler: [one for one in ids if one in kept] for handler, ids in first.items()}


def _ids(value: str) -> list[str]:
    """Return the ids in a handler's result or journal, or in the beginning of it; none if it can't be read.

    The result of a handler that has answered its sender holds the answer too, behind them.
    """
    try:
        found = json.loads(value if len(value) < _BEGINNING else _cut(value))
        ids = found.get("started") if isinstance(found, dict) else found
        return [one for one in ids or () if isinstance(one, str)]
    except (ValueError, TypeError, RecursionError):
        return []


def _cut(beginning: str) -> str:
    """Return the list with which a longer value begins, as far as it is whole."""
    first, end, _ = beginning[beginning.find("[") :].partition("]")
    return f"{first if end else first[: first.rfind(',')]}]"


def expire(tx: Tx, before: Moment, limit: int) -> int:
    """Delete deliveries older than this moment, with the ended runs of their handlers; return the number of rows."""
    found = tx.rows(
        "SELECT app_name, route, delivery_id, run_id FROM stepwell_deliveries WHERE received_at<?"
        " ORDER BY received_at LIMIT ?",
        before,
        limit,
    )
    if found:
        tx.each(
            "DELETE FROM stepwell_deliveries WHERE app_name=? AND route=? AND delivery_id=?",
            [(row[0], row[1], row[2]) for row in found],
        )
        runs.delete_handlers(tx, [row[3] for row in found])
    return max(len(found), _expire_contents(tx, before, limit))


def _expire_contents(tx: Tx, before: Moment, limit: int) -> int:
    found = tx.rows(
        "SELECT app_name, route, digest, stamp FROM stepwell_delivery_contents WHERE received_at<?"
        " ORDER BY received_at LIMIT ?",
        before,
        limit,
    )
    tx.each(
        "DELETE FROM stepwell_delivery_contents WHERE app_name=? AND route=? AND digest=? AND stamp=?",
        [tuple(row) for row in found],
    )
    return len(found)
