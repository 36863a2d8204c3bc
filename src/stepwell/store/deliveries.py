"""Deliveries of webhooks: which of them have arrived, and the run that handles each. What became of it is in the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from stepwell.engine.run import Moment, Status
from stepwell.store import rows, runs
from stepwell.store.tables import deliveries
from stepwell.store.tx import Tx

WALKED: Final = 20_000
"""Deliveries on which a filter is tried, for one page."""


class DeliveryRow(NamedTuple):
    """A signed delivery. Its run is gone only if it had finished."""

    app_name: str
    route: str
    delivery_id: str
    run_id: str
    received_at: Moment


def find(tx: Tx, app_name: str, route: str, delivery_id: str) -> DeliveryRow | None:
    """The delivery, if it has arrived before."""
    found = tx.fetch(
        DeliveryRow._make,
        f"SELECT {rows.columns(deliveries)} FROM stepwell_deliveries WHERE app_name=? AND route=? AND delivery_id=?",
        app_name,
        route,
        delivery_id,
    )
    return found[0] if found else None


def add(tx: Tx, delivery: DeliveryRow) -> None:
    """The delivery has arrived; its id is taken on its route."""
    tx.insert(deliveries, [delivery])


class Handled(NamedTuple):
    """A delivery with what became of it; without a status its run has ended and is deleted."""

    app_name: str
    route: str
    delivery_id: str
    run_id: str
    received_at: Moment
    status: Status | None
    attempt: int | None
    error: str | None


Mark = tuple[Moment, str, str, str]
"""Where a page of deliveries ends: when it was received, app, route, id."""


def newest(
    tx: Tx,
    limit: int,
    before: Mark | None = None,
    *,
    apps: Sequence[str] | None = None,
    route: str | None = None,
    status: str | None = None,
) -> tuple[list[Handled], Mark | None]:
    """The newest deliveries, and where to go on; fewer than `limit` also where the next ones are further than is looked."""
    mark = "" if before is None else " WHERE (received_at, app_name, route, delivery_id) < (?, ?, ?, ?)"
    conditions: list[str] = ["1=1"]
    parameters: list[object] = []
    if apps is not None:
        conditions.append(f"d.app_name {tx.dialect.among}")
        parameters.append(tx.dialect.listed(apps))
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


def _mark(one: Handled) -> Mark:
    return one.received_at, one.app_name, one.route, one.delivery_id


def started(tx: Tx, handlers: Sequence[str], apps: Sequence[str] | None, most: int) -> dict[str, list[str]]:
    """For the runs of handlers the ids of those that each started, in order, `most` of each: the ones that are kept.

    A handler that returned has them as its result; what attempts that failed had started is in the journal.
    """
    listed = tx.dialect.listed(handlers)
    journaled = tx.rows(
        f"SELECT run_id, value FROM stepwell_steps WHERE run_id {tx.dialect.among} ORDER BY recorded_at, name", listed
    )
    returned = tx.rows(
        f"SELECT id, result FROM stepwell_runs WHERE id {tx.dialect.among} AND result IS NOT NULL AND internal=1",
        listed,
    )
    found: dict[str, list[str]] = {}
    for handler, value in (*journaled, *returned):
        found.setdefault(handler, []).extend(json.loads(value) or ())
    first = {handler: list(dict.fromkeys(ids))[:most] for handler, ids in found.items()}
    kept = runs.existing(tx, {one for ids in first.values() for one in ids}, apps)
    return {handler: [one for one in ids if one in kept] for handler, ids in first.items()}


def expire(tx: Tx, before: Moment, limit: int) -> int:
    """How many deliveries that arrived before this moment are deleted, with the ended runs of their handlers."""
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
    return len(found)
