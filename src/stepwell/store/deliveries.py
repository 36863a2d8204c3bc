"""Deliveries of webhooks: which of them have arrived, and the run that handles each. What became of it is in the run."""

from __future__ import annotations

from typing import NamedTuple

from stepwell.engine.run import Moment
from stepwell.store import rows, runs
from stepwell.store.tables import deliveries
from stepwell.store.tx import Tx


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
