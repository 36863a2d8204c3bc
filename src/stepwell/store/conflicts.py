"""Unfinished runs with the key of a start, in the database: found, counted, and changed in the transaction of the start.

They are found by rows of the kind `alive`, which say only by which rules to look for a run: what it is now, its own row says.
Two starts of one key never look at the same time: on PostgreSQL the keys are locked first, all of a transaction in one order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from stepwell.engine.commit import Commit, Listener
from stepwell.engine.conflicts import Conflict, put_off, still_waiting, waits_for_turn
from stepwell.engine.gates import found_by, gates_of
from stepwell.engine.run import RunRow
from stepwell.store import signals, tables
from stepwell.store.runs import hold_all
from stepwell.store.tables import runs
from stepwell.store.tx import Tx, WakeUp

_OF_KEY: Final = (
    " FROM stepwell_slots s JOIN stepwell_runs r ON r.id=s.run_id WHERE s.gate=? AND s.kind='alive'"
    " AND r.status NOT IN ('completed', 'failed', 'canceled')"
)
_UNFINISHED: Final = f"SELECT r.id{_OF_KEY} ORDER BY r.created_at, r.id LIMIT ?"
_UNBEGUN: Final = (
    f"SELECT {tables.columns(runs)} FROM stepwell_runs WHERE id IN (SELECT r.id{_OF_KEY} AND r.claim=0 AND r.version=0"
    " ORDER BY r.created_at, r.id LIMIT 1) AND claim=0 AND version=0 AND status='pending' FOR NO KEY UPDATE"
)
_DELAYED: Final = (
    "INSERT INTO stepwell_slots (gate, run_id, kind, taken, claim, at) VALUES (?, ?, 'delay', 0, 0, ?)"
    " ON CONFLICT (gate, run_id) DO UPDATE SET kind=excluded.kind, at=excluded.at"
)
"""The delay of a member of a group, which begins with its turn (`engine.groups.slots_of`)."""

_MOST: Final = 10_000
"""Runs of one key that a start looks at."""


def lock(tx: Tx, commits: Iterable[Commit]) -> None:
    """Lock the keys of these starts until the transaction ends: what other transactions did with them is seen then."""
    lock_all(tx, (one for commit in commits for one in commit.conflicts))


def lock_all(tx: Tx, found: Iterable[Conflict]) -> None:
    """Lock these keys, all that a transaction will ever need: one that took some first could wait for who waits for it."""
    if keys := {one.id for one in found if one.on_conflict != "queue"}:
        tx.dialect.lock_keys(tx.driver, sorted(keys))


def unfinished(tx: Tx, conflict: Conflict, limit: int = _MOST) -> list[str]:
    """Return the unfinished runs of the key, the oldest first."""
    return [row[0] for row in tx.rows(_UNFINISHED, conflict.id, limit)]


def replaced(tx: Tx, conflict: Conflict, start: Commit) -> list[RunRow]:
    """Return the unfinished runs that the start replaces, the oldest, locked; none if it is stored already."""
    found = unfinished(tx, conflict)
    if start.run.id in found:
        return []
    held = hold_all(tx, found[: max(len(found) - conflict.limit + 1, 0)])
    return [run for run in held.values() if run.status not in ("completed", "failed", "canceled")]


def unbegun(tx: Tx, conflict: Conflict) -> RunRow | None:
    """Return the run of the key that hasn't begun, locked until this transaction ends; None if there is none."""
    return tx.one(RunRow._make, _UNBEGUN, conflict.id)


def stand(tx: Tx, commits: Sequence[Commit]) -> None:
    """Let later starts find these runs."""
    tx.each(
        "INSERT INTO stepwell_slots (gate, run_id, kind, taken, claim, at) VALUES (?, ?, 'alive', 1, 0, ?)"
        " ON CONFLICT (gate, run_id) DO NOTHING",
        [(one.id, commit.run.id, commit.run.created_at) for commit in commits for one in commit.conflicts],
    )


def forget(tx: Tx, ended: Iterable[RunRow]) -> None:
    """Let no start find these runs any more."""
    tx.each(
        "DELETE FROM stepwell_slots WHERE gate=? AND run_id=?",
        [(gate_id, run.id) for run in ended if run.gates is not None for gate_id in found_by(run.gates)],
    )


def replace(tx: Tx, run: RunRow, start: Commit, conflict: Conflict) -> RunRow:
    """Put a run that hasn't begun in the place of the start, and return it as it is now."""
    after = put_off(run, start.run, conflict.max_wait, start.run.updated_at)
    forget(tx, [run])
    _give_back(tx, run)
    if waits_for_turn(run):
        after, delay = still_waiting(run, after, after.updated_at)
        tx.run(_DELAYED, run.held_by, run.id, delay)
    tx.run(
        "UPDATE stepwell_runs SET workflow_version=?, args=?, subject=?, gates=?, held_by=?, held_rank=?, ready_at=NULL,"
        " due_at=?, deadline=?, expires_at=?, updated_at=? WHERE id=?",
        after.workflow_version, after.args, after.subject, after.gates, after.held_by, after.held_rank, after.due_at,
        after.deadline, after.expires_at, after.updated_at, run.id,
    )  # fmt: skip
    stand(tx, [start._replace(run=after)])
    if start.listeners is not None:
        signals.stop_listening(tx, [run.id])
        signals.listen(tx, [_listening(one, run.id) for one in start.listeners])
    if after.due_at is not None:
        tx.hints.due.append(WakeUp(run.id, run.app_name, run.workflow_name, run.priority, after.due_at))
    return after


def _give_back(tx: Tx, run: RunRow) -> None:
    """Give back what a run that hasn't begun was promised: it may come to other gates now."""
    promised = [(gate.id, run.id) for gate in gates_of(run.gates)]
    tx.each("DELETE FROM stepwell_slots WHERE gate=? AND run_id=?", promised)
    tx.hints.freed.update(gate_id for gate_id, _ in promised)


def _listening(listener: Listener, run_id: str) -> Listener:
    return listener._replace(run_id=run_id)
