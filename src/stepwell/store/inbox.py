"""The inbox as a pass sees it: the signals that decide which one is next, and the data of small ones.

Kept signals may be many and large, and a claim is made while others wait for the writer. So of many alike only
the oldest are read, from an index that leaves their rows alone; the data of a large one is read once it is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from stepwell.engine.run import Inbox, RunRow, SignalRow
from stepwell.engine.visits import all_bound, reserved, visits
from stepwell.store import tables
from stepwell.store.tables import signals
from stepwell.store.tx import Tx

_FEW: Final = 30
"""Open signals of one claim that are read without further ado, and again as many for each of its runs."""
_FEW_EACH: Final = 10
_ALIKE: Final = 30
"""Signals of one kind, name and visit that are read of a run that has more."""
_SMALL: Final = 4096
"""Bytes up to which a signal is read whole at once."""

_ALL: Final = tables.columns(signals)
_INDEXED: Final = ("id", "run_id", "name", "kind", "visit", "accepted_at", "size")
_UNREAD: Final = {"data": "''", "status": "'completed'", "sender": "''", "state": "'open'"}
_LIGHT: Final = ", ".join(
    name if name in _INDEXED else f"{_UNREAD.get(name, 'NULL')} AS {name}" for name in tables.names(signals)
)
_OPEN: Final = "FROM stepwell_signals INDEXED BY stepwell_signals_open"
_WHOLE_IF_SMALL: Final = ", ".join(
    f"o.{name}" if name in _INDEXED else f"coalesce(s.{name}, o.{name})" if name in _UNREAD else f"s.{name}"
    for name in tables.names(signals)
)


class Seen(NamedTuple):
    """The part of a run's inbox that is read."""

    inbox: Inbox = ()
    more: bool = False
    """True if there are more signals alike. Then it holds at least two of them that a visit may take."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that this worker may execute now, with all that its next pass needs."""

    run: RunRow
    inbox: Inbox
    steps: dict[tuple[str, str], str | None]
    """Journaled values of the current visit, by (transition, step)."""
    more: bool = False
    """True if there are more signals alike in the inbox."""


def seen(tx: Tx, found: Sequence[RunRow]) -> dict[str, Seen]:
    """Return the open signals of each of these runs, oldest first; of very many alike the oldest."""
    most = _FEW + _FEW_EACH * len(found)
    read = _read(tx, "WHERE run_id IN list(?) AND state='open' LIMIT ?", tx.listed(run.id for run in found), most + 1)
    if len(read) <= most:
        return _by_run(read)
    if len(found) == 1:
        return {found[0].id: _oldest(tx, found[0])}
    return {run_id: one for run in found for run_id, one in seen(tx, [run]).items()}


def outline(tx: Tx, run_id: str) -> Inbox:
    """Return all open signals of the run, oldest first, without their data."""
    found = tx.fetch(SignalRow._make, f"SELECT {_LIGHT} {_OPEN} WHERE run_id=? AND state='open'", run_id)
    return _in_order(found)


def whole(tx: Tx, signal_id: str) -> SignalRow | None:
    """Return the signal with its data; None if it isn't open any more."""
    return tx.one(SignalRow._make, f"SELECT {_ALL} FROM stepwell_signals WHERE id=? AND state='open'", signal_id)


def _read(tx: Tx, which: str, *parameters: object) -> list[SignalRow]:
    return tx.fetch(
        SignalRow._make,
        f"SELECT {_WHOLE_IF_SMALL} FROM (SELECT {_LIGHT} {_OPEN} {which}) AS o"
        " LEFT JOIN stepwell_signals s ON s.id=o.id AND o.size<=?",
        *parameters,
        _SMALL,
    )


def _by_run(read: Sequence[SignalRow]) -> dict[str, Seen]:
    found: dict[str, list[SignalRow]] = {}
    for signal in read:
        found.setdefault(signal.run_id, []).append(signal)
    return {run_id: Seen(_in_order(own)) for run_id, own in found.items()}


def _in_order(found: Sequence[SignalRow]) -> Inbox:
    return tuple(sorted(found, key=lambda signal: (signal.accepted_at, signal.id)))


def _oldest(tx: Tx, run: RunRow) -> Seen:
    found: list[SignalRow] = []
    most = _ALIKE + len(reserved(run))  # of which some are for interrupted visits
    for visit in (None, *visits(run)):
        own, values = ("visit IS NULL", ()) if visit is None else ("visit=?", (visit,))
        for kind, name in _alike(tx, run.id, own, values):
            # The visit stands in the order too, so that it is that of the index for every database.
            which = f"WHERE run_id=? AND {own} AND kind=? AND name=? AND state='open' ORDER BY visit, accepted_at, id LIMIT ?"
            found += _read(tx, which, run.id, *values, kind, name, most)
    if missing := set(all_bound(run)) - {signal.id for signal in found}:  # each was the oldest when it was chosen
        found += _read(tx, "WHERE run_id=? AND state='open' AND id IN list(?)", run.id, tx.listed(missing))
    return Seen(_in_order(found), more=True)


def _alike(tx: Tx, run_id: str, own: str, values: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Yield the kinds and names of open signals, each found in the index behind the one before."""
    after = ("", "")
    while True:
        found = tx.rows(
            f"SELECT kind, name {_OPEN} WHERE run_id=? AND {own} AND state='open' AND (kind, name) > (?, ?)"
            " ORDER BY visit, kind, name LIMIT 1",
            run_id,
            *values,
            *after,
        )
        if not found:
            return
        after = (found[0][0], found[0][1])
        yield after
