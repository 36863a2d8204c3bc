"""Signals of people and code, events, and ends of children: accepted, counted and taken, or void. And who listens to events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stepwell.engine.commit import Commit, Listener, Resume
from stepwell.engine.run import HistoryRow, RunRow, SignalRow
from stepwell.engine.signals import First, Kept, Unused, late, traces
from stepwell.engine.visits import all_bound, reserved
from stepwell.store import history, runs, tables
from stepwell.store.tables import listeners, signals
from stepwell.store.tx import Tx, paired

_ALL = tables.columns(signals)
_COUNTED = "kind IN ('event', 'signal')"
"""The kinds that callers may send without end. Children are as many as the run has started."""
_ALIKE = "kind=? AND name=?"
_UNUSED = "id, run_id, name, kind, user_id, sender, accepted_at"


def kept(tx: Tx, run: RunRow, name: str, rivals: Sequence[tuple[str, str]]) -> Kept:
    """Return the kept signals of the run, as one of this name that arrives has to see them."""
    [(every, alike, size)] = tx.rows(
        f"SELECT count(*), sum(CASE WHEN {_ALIKE} AND (visit IS NULL OR visit=?) THEN 1 ELSE 0 END), sum(size)"
        f" FROM stepwell_signals WHERE run_id=? AND state='open' AND {_COUNTED}",
        "signal",
        name,
        run.arrived,
        run.id,
    )
    return Kept(int(every), int(alike or 0), int(size or 0), _first(tx, run, rivals) if rivals else None)


def _first(tx: Tx, run: RunRow, wanted: Sequence[tuple[str, str]]) -> First | None:
    # Found in the index; one row is read.
    oldest = (
        "SELECT * FROM (SELECT accepted_at FROM stepwell_signals WHERE run_id=? AND state='open' AND kind=? AND name=?"
        " AND (visit IS NULL OR visit=?) AND NOT (id IN list(?)) ORDER BY accepted_at LIMIT 1) AS o"
    )
    others = tx.listed(reserved(run))
    given = [value for kind, name in wanted for value in (run.id, kind, name, run.arrived, others)]
    return tx.one(
        First._make,
        "SELECT name, kind, user_id, accepted_at FROM stepwell_signals WHERE run_id=? AND accepted_at="
        f"(SELECT min(accepted_at) FROM ({' UNION ALL '.join([oldest] * len(wanted))}) AS found)",
        run.id,
        *given,
    )


def by_key(tx: Tx, run_id: str, key: str) -> SignalRow | None:
    """Return the signal that was accepted with this idempotency key."""
    return tx.one(
        SignalRow._make, f"SELECT {_ALL} FROM stepwell_signals WHERE run_id=? AND idempotency_key=?", run_id, key
    )


def kept_of(tx: Tx, run_ids: Sequence[str], name: str) -> dict[str, Kept]:
    """Like `kept`, for each of these runs that keeps any, for an event for the transition of this name."""
    here = "(s.visit IS NULL OR s.visit=coalesce(r.stay, r.visit))"
    found = tx.rows(
        f"SELECT s.run_id, count(*), sum(CASE WHEN {_ALIKE} AND {here} THEN 1 ELSE 0 END), sum(s.size)"
        " FROM stepwell_signals s JOIN stepwell_runs r ON r.id=s.run_id"
        f" WHERE s.run_id IN list(?) AND s.state='open' AND {_COUNTED} GROUP BY s.run_id",
        "event",
        name,
        tx.listed(run_ids),
    )
    return {run_id: Kept(int(every), int(alike), int(size)) for run_id, every, alike, size in found}


def answerers(tx: Tx, ids: Sequence[str]) -> dict[str, str | None]:
    """Return the senders of these signals, by the signal's id."""
    if not ids:
        return {}
    found = tx.rows("SELECT id, user_id FROM stepwell_signals WHERE id IN list(?)", tx.listed(ids))
    return {row[0]: row[1] for row in found}


def last_taken(tx: Tx, run_id: str, names: Iterable[str]) -> tuple[str | None, int] | None:
    """Return who sent the last signal by one of these names that the run has taken, and when."""
    found = tx.rows(
        "SELECT user_id, accepted_at FROM stepwell_signals WHERE run_id=? AND state='taken' AND kind='signal'"
        " AND name IN list(?) ORDER BY accepted_at DESC LIMIT 1",
        run_id,
        tx.listed(names),
    )
    return (found[0][0], int(found[0][1])) if found else None


def by_key_of(tx: Tx, run_ids: Sequence[str], key: str) -> dict[str, SignalRow]:
    """Return for each of these runs the signal that it accepted with this idempotency key, if it did."""
    found = tx.fetch(
        SignalRow._make,
        f"SELECT {_ALL} FROM stepwell_signals WHERE run_id IN list(?) AND idempotency_key=?",
        tx.listed(run_ids),
        key,
    )
    return {signal.run_id: signal for signal in found}


def put(tx: Tx, accepted: Sequence[SignalRow], now: int) -> None:
    """Put the signals into the inboxes, after all others, count them, and make waiting runs ready.

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
    """Return when the last signal of each run was accepted."""
    found = tx.rows(
        "SELECT r.id, (SELECT max(accepted_at) FROM stepwell_signals s WHERE s.run_id=r.id) FROM stepwell_runs r"
        " WHERE r.id IN list(?)",
        tx.listed(run_ids),
    )
    return {row[0]: row[1] for row in found if tables.moment(row[1]) is not None}


def tell(tx: Tx, told: Sequence[SignalRow], keep_states: int) -> None:
    """Put the messages to these parents into their inboxes; one that had finished gets a trace of it."""
    parents = runs.hold_all(tx, {signal.run_id for signal in told})
    reached = [signal for signal in told if (run := parents.get(signal.run_id)) is not None and not run.finished]
    if reached:
        put(tx, reached, reached[0].accepted_at)
    finished = [signal for signal in told if (run := parents.get(signal.run_id)) is not None and run.finished]
    if finished:
        _trace_late_ends(tx, parents, finished, keep_states)


def replace(tx: Tx, signal_id: str, data: str) -> None:
    """Give a signal that a run has bound other data, as of an end that went well."""
    sql = "UPDATE stepwell_signals SET data=?, size=?, status='completed', error=NULL WHERE id=?"
    tx.run(sql, data, len(data.encode()), signal_id)


def stand_in(tx: Tx, signal: SignalRow, other: SignalRow, version: int) -> None:
    """Put another signal in the place of this one, which becomes void at that version."""
    tx.run("UPDATE stepwell_signals SET state='void', version=? WHERE id=?", version, signal.id)
    tx.insert(signals, [other])


def one(tx: Tx, signal_id: str) -> SignalRow | None:
    """Return this signal."""
    return tx.one(SignalRow._make, f"SELECT {_ALL} FROM stepwell_signals WHERE id=?", signal_id)


def take(tx: Tx, taken: Sequence[tuple[str, int]]) -> None:
    """Mark each (signal, version) as consumed by that history row."""
    tx.each(
        "UPDATE stepwell_signals SET state='taken', version=? WHERE id=?",
        [(version, signal_id) for signal_id, version in taken],
    )


def of_run(tx: Tx, run_id: str) -> list[SignalRow]:
    """Return all signals of a run, oldest first, taken ones included."""
    return tx.fetch(
        SignalRow._make, f"SELECT {_ALL} FROM stepwell_signals WHERE run_id=? ORDER BY accepted_at, id", run_id
    )


# -- void signals ------------------------------------------------------------------------------------------------------


def void(tx: Tx, commits: Sequence[Commit], signalled: set[str], keep_states: int) -> Mapping[str, int]:
    """Void signals that can't be taken any more after these commits; return the number of rows that each run's history grew by.

    Signals kept by a run that ended aren't written again: nothing looks for them any more, and they may be large.
    """
    some = [commit for commit in commits if commit.run.id in signalled]
    left = _left(tx, some) + [one for commit in some if commit.closed for one in _closed(tx, commit)]
    left += [one for commit in some if commit.outdated for one in _outdated(tx, commit)]
    ended = [one for commit in some if commit.run.finished for one in _kept(tx, commit.run.id)]
    if not left and not ended:
        return {}
    by_run: dict[str, dict[str, Unused]] = {}
    for signal in _details(tx, [*left, *ended]):
        by_run.setdefault(signal.run_id, {})[signal.id] = signal
    versions = {commit.run.id: commit.run.version for commit in some}
    leaving = set(left)
    tx.each(
        "UPDATE stepwell_signals SET state='void', version=? WHERE id=?",
        [(versions[run_id], one) for run_id, found in by_run.items() for one in found if one in leaving],
    )
    added = [
        row
        for commit in some
        if commit.run.id in by_run
        for row in traces(commit, sorted(by_run[commit.run.id].values(), key=lambda one: one.accepted_at))
    ]
    return _append(tx, added, keep_states)


def _trace_late_ends(tx: Tx, parents: Mapping[str, RunRow], told: Sequence[SignalRow], keep_states: int) -> None:
    """Write traces of ends of children that came after the end of their parent.

    A child that was cancelled because its parent had ended leaves none.
    """
    unused: dict[str, list[Unused]] = {}
    for end in told:
        if end.status != "canceled":
            seen = Unused(end.id, end.run_id, end.name, end.kind, end.user_id, end.sender, end.accepted_at)
            unused.setdefault(end.run_id, []).append(seen)
    _append(tx, [row for run_id, ends in unused.items() for row in late(parents[run_id], ends)], keep_states)


def _append(tx: Tx, added: Sequence[HistoryRow], keep_states: int) -> Mapping[str, int]:
    if not added:
        return {}
    history.append(tx, added, keep_states)
    counts: dict[str, int] = {}
    for row in added:
        counts[row.run_id] = counts.get(row.run_id, 0) + 1
    tx.each("UPDATE stepwell_runs SET version=version+? WHERE id=?", [(n, run_id) for run_id, n in counts.items()])
    return counts


def _left(tx: Tx, commits: Sequence[Commit]) -> list[str]:
    visits = [(commit.run.id, str(visit)) for commit in commits for visit in commit.left]
    if not visits:
        return []
    return [row[0] for row in tx.dialect.left(tx.driver, paired(visits))]


def _closed(tx: Tx, commit: Commit) -> list[str]:
    found = tx.rows(
        "SELECT id FROM stepwell_signals WHERE run_id=? AND state='open' AND kind='signal'"
        " AND name IN list(?) AND NOT (id IN list(?))",
        commit.run.id,
        tx.listed(commit.closed),
        tx.listed(all_bound(commit.run)),
    )
    return [row[0] for row in found]


def _outdated(tx: Tx, commit: Commit) -> list[str]:
    found = tx.rows(
        "SELECT id FROM stepwell_signals WHERE run_id=? AND state='open' AND kind='signal' AND user_id IS NOT NULL"
        " AND visit=? AND name IN list(?) AND NOT (id IN list(?))",
        commit.run.id,
        commit.run.arrived,
        tx.listed(commit.outdated),
        tx.listed(all_bound(commit.run)),
    )
    return [row[0] for row in found]


def _kept(tx: Tx, run_id: str) -> list[str]:
    return [row[0] for row in tx.rows("SELECT id FROM stepwell_signals WHERE run_id=? AND state='open'", run_id)]


def _details(tx: Tx, ids: Sequence[str]) -> list[Unused]:
    sql = f"SELECT {_UNUSED} FROM stepwell_signals WHERE id IN list(?)"
    return tx.fetch(Unused._make, sql, tx.listed(set(ids)))


# -- listeners ---------------------------------------------------------------------------------------------------------


def listen(tx: Tx, added: Sequence[Listener]) -> None:
    """Let the runs listen to these events too."""
    tx.insert(listeners, added, unless=("run_id", "event", "transition", "matched"))


def stop_listening(tx: Tx, run_ids: Iterable[str]) -> None:
    """Let these runs listen to no event any more."""
    tx.run("DELETE FROM stepwell_listeners WHERE run_id IN list(?)", tx.listed(run_ids))


def listening(tx: Tx, resume: Resume, user_id: str | None) -> list[str]:
    """Return the runs that the event resumes; with `user_id`, that user's only."""
    found = tx.rows(
        "SELECT l.run_id FROM stepwell_listeners l JOIN stepwell_runs r ON r.id=l.run_id"
        " WHERE l.event=? AND l.app_name=? AND l.workflow_name=? AND l.transition=? AND l.matched=?"
        " AND (CAST(? AS TEXT) IS NULL OR r.user_id=?) AND r.status NOT IN ('completed', 'canceled') ORDER BY l.run_id",
        resume.event,
        resume.app_name,
        resume.workflow_name,
        resume.transition,
        resume.matched,
        user_id,
        user_id,
    )
    return [row[0] for row in found]
