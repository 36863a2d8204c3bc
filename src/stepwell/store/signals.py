"""The inbox: signals of people and code, events, and ends of children."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.run import Inbox, Run, SignalRow
from stepwell.engine.signals import Kept
from stepwell.store import rows, runs
from stepwell.store.tables import signals
from stepwell.store.tx import Tx

_ALL = rows.columns(signals)


def inboxes(tx: Tx, run_ids: Sequence[str]) -> dict[str, Inbox]:
    """The open signals of each run, oldest first."""
    found = tx.fetch(
        SignalRow._make,
        f"SELECT {_ALL} FROM stepwell_signals WHERE run_id {tx.dialect.among} AND state='open'"
        " ORDER BY run_id, accepted_at, id",
        tx.dialect.listed(run_ids),
    )
    result: dict[str, list[SignalRow]] = {}
    for signal in found:
        result.setdefault(signal.run_id, []).append(signal)
    return {run_id: tuple(items) for run_id, items in result.items()}


def kept(tx: Tx, run: Run, name: str) -> Kept:
    """The signals of the run that nobody has taken, seen from one of this name that arrives."""
    [(every, alike)] = tx.rows(
        "SELECT count(*), sum(CASE WHEN name=? AND (visit IS NULL OR visit=?) THEN 1 ELSE 0 END) FROM stepwell_signals"
        " WHERE run_id=? AND state='open'",
        name,
        run.visit,
        run.id,
    )
    return Kept(int(every), int(alike or 0))


def by_key(tx: Tx, run_id: str, key: str) -> SignalRow | None:
    """The signal that was accepted with this idempotency key."""
    found = tx.fetch(
        SignalRow._make, f"SELECT {_ALL} FROM stepwell_signals WHERE run_id=? AND idempotency_key=?", run_id, key
    )
    return found[0] if found else None


def kept_of(tx: Tx, run_ids: Sequence[str], name: str) -> dict[str, Kept]:
    """As `kept`, for each of these runs that keeps any."""
    found = tx.rows(
        "SELECT s.run_id, count(*), sum(CASE WHEN s.name=? AND (s.visit IS NULL OR s.visit=r.visit) THEN 1 ELSE 0 END)"
        " FROM stepwell_signals s JOIN stepwell_runs r ON r.id=s.run_id"
        f" WHERE s.run_id {tx.dialect.among} AND s.state='open' GROUP BY s.run_id",
        name,
        tx.dialect.listed(run_ids),
    )
    return {run_id: Kept(int(every), int(alike)) for run_id, every, alike in found}


def answerers(tx: Tx, ids: Sequence[str]) -> dict[str, str | None]:
    """Who sent these signals, by the signal's id."""
    if not ids:
        return {}
    found = tx.rows(f"SELECT id, user_id FROM stepwell_signals WHERE id {tx.dialect.among}", tx.dialect.listed(ids))
    return {row[0]: row[1] for row in found}


def by_key_of(tx: Tx, run_ids: Sequence[str], key: str) -> dict[str, SignalRow]:
    """For each of these runs the signal that it accepted with this idempotency key, if it did."""
    found = tx.fetch(
        SignalRow._make,
        f"SELECT {_ALL} FROM stepwell_signals WHERE run_id {tx.dialect.among} AND idempotency_key=?",
        tx.dialect.listed(run_ids),
        key,
    )
    return {signal.run_id: signal for signal in found}


def put(tx: Tx, accepted: Sequence[SignalRow], now: int) -> None:
    """The signals are in the inboxes, after all that are there; they are counted, and runs that wait become ready.

    The runs must be held.
    """
    latest = _latest(tx, {signal.run_id for signal in accepted})
    placed = []
    for signal in accepted:
        last = latest.get(signal.run_id)
        if last is not None and last >= signal.accepted_at:  # the clock was set back, or two came at once
            signal = signal._replace(accepted_at=last + 1)
        latest[signal.run_id] = signal.accepted_at
        placed.append(signal)
    tx.insert(signals, placed)
    runs.wake(tx, [signal.run_id for signal in placed], now)


def _latest(tx: Tx, run_ids: set[str]) -> dict[str, int]:
    found = tx.rows(
        f"SELECT run_id, max(accepted_at) FROM stepwell_signals WHERE run_id {tx.dialect.among} AND state='open'"
        " GROUP BY run_id",
        tx.dialect.listed(run_ids),
    )
    return {row[0]: row[1] for row in found}


def tell(tx: Tx, told: Sequence[SignalRow]) -> None:
    """These parents have been told, those that haven't finished."""
    alive = tx.rows(
        f"SELECT id FROM stepwell_runs WHERE id {tx.dialect.among} AND status NOT IN ('completed', 'canceled')"
        f" ORDER BY id{tx.dialect.locking}",
        tx.dialect.listed({signal.run_id for signal in told}),
    )
    living = {row[0] for row in alive}
    reached = [signal for signal in told if signal.run_id in living]
    if reached:
        put(tx, reached, reached[0].accepted_at)


def take(tx: Tx, taken: Sequence[tuple[str, int]]) -> None:
    """Each (signal, version) was consumed by that history row."""
    tx.each(
        "UPDATE stepwell_signals SET state='taken', version=? WHERE id=?",
        [(version, signal_id) for signal_id, version in taken],
    )


def void(tx: Tx, visits: Sequence[tuple[str, int, int]]) -> None:
    """What belonged to each (run, visit) and wasn't taken is void by that version."""
    tx.each(
        "UPDATE stepwell_signals SET state='void', version=? WHERE run_id=? AND visit=? AND state='open'",
        [(version, run_id, visit) for run_id, visit, version in visits],
    )


def of_run(tx: Tx, run_id: str) -> list[SignalRow]:
    """All signals of a run, oldest first, with what became of them."""
    return tx.fetch(
        SignalRow._make, f"SELECT {_ALL} FROM stepwell_signals WHERE run_id=? ORDER BY accepted_at, id", run_id
    )
