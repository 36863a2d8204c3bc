"""The inbox: signals of people and code, events, and ends of children."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from stepwell.engine.run import Inbox, Run, SignalRow
from stepwell.engine.signals import Kept
from stepwell.store import rows, runs
from stepwell.store.tables import signals

_ALL = rows.columns(signals)
_IN = "IN (SELECT value FROM json_each(?))"


def inboxes(connection: Connection, run_ids: Sequence[str]) -> dict[str, Inbox]:
    """The open signals of each run, oldest first."""
    found = rows.fetch(
        connection,
        SignalRow._make,
        f"SELECT {_ALL} FROM stepwell_signals WHERE run_id {_IN} AND state='open' ORDER BY run_id, accepted_at, id",
        rows.ids(run_ids),
    )
    result: dict[str, list[SignalRow]] = {}
    for signal in found:
        result.setdefault(signal.run_id, []).append(signal)
    return {run_id: tuple(items) for run_id, items in result.items()}


def kept(connection: Connection, run: Run, name: str) -> Kept:
    """The signals of the run that nobody has taken, seen from one of this name that arrives."""
    found = connection.exec_driver_sql(
        "SELECT count(*), total(name=? AND (visit IS NULL OR visit=?)) FROM stepwell_signals WHERE run_id=? AND state='open'",
        (name, run.visit, run.id),
    ).one()
    return Kept(int(found[0]), int(found[1]))


def by_key(connection: Connection, run_id: str, key: str) -> SignalRow | None:
    """The signal that was accepted with this idempotency key."""
    found = rows.fetch(
        connection,
        SignalRow._make,
        f"SELECT {_ALL} FROM stepwell_signals WHERE run_id=? AND idempotency_key=?",
        run_id,
        key,
    )
    return found[0] if found else None


def put(connection: Connection, accepted: SignalRow, now: int) -> None:
    """The signal is in the inbox, after all that are there; it is counted, and a run that waits becomes ready."""
    last = connection.exec_driver_sql(
        "SELECT max(accepted_at) FROM stepwell_signals WHERE run_id=? AND state='open'", (accepted.run_id,)
    ).scalar()
    if last is not None and last >= accepted.accepted_at:  # the clock was set back
        accepted = accepted._replace(accepted_at=last + 1)
    rows.insert(connection, signals, [accepted])
    runs.wake(connection, [accepted.run_id], now)


def tell(connection: Connection, told: Sequence[SignalRow]) -> list[str]:
    """Which of these parents have been told: those that haven't finished."""
    alive = connection.exec_driver_sql(
        f"SELECT id FROM stepwell_runs WHERE id {_IN} AND status NOT IN ('completed', 'canceled')",
        (rows.ids(signal.run_id for signal in told),),
    )
    living = {row[0] for row in alive.fetchall()}
    reached = [signal for signal in told if signal.run_id in living]
    for signal in reached:
        put(connection, signal, signal.accepted_at)
    return [signal.run_id for signal in reached]


def take(connection: Connection, taken: Sequence[tuple[str, int]]) -> None:
    """Each (signal, version) was consumed by that history row."""
    if taken:
        connection.exec_driver_sql(
            "UPDATE stepwell_signals SET state='taken', version=? WHERE id=?",
            [(version, signal_id) for signal_id, version in taken],
        )


def void(connection: Connection, visits: Sequence[tuple[str, int, int]]) -> None:
    """What belonged to each (run, visit) and wasn't taken is void by that version."""
    if visits:
        connection.exec_driver_sql(
            "UPDATE stepwell_signals SET state='void', version=? WHERE run_id=? AND visit=? AND state='open'",
            [(version, run_id, visit) for run_id, visit, version in visits],
        )


def of_run(connection: Connection, run_id: str) -> list[SignalRow]:
    """All signals of a run, oldest first, with what became of them."""
    return rows.fetch(
        connection,
        SignalRow._make,
        f"SELECT {_ALL} FROM stepwell_signals WHERE run_id=? ORDER BY accepted_at, id",
        run_id,
    )
