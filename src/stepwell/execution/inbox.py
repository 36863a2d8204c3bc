"""Reading what a pass hasn't read yet of its run's inbox, before a signal is taken from it."""

from __future__ import annotations

from typing import Protocol

from stepwell.engine.choose import Execute
from stepwell.engine.run import Inbox, RunRow, SignalRow, without
from stepwell.engine.visits import reserved
from stepwell.execution.storage import Storage, patiently


class InboxHolder(Protocol):
    """The pass, with the part of the inbox that it has read."""

    storage: Storage
    run: RunRow
    inbox: Inbox
    more: bool

    def is_stopped(self) -> bool:
        """Return whether it is to end here."""
        ...


async def with_whole_signal(holder: InboxHolder, decision: Execute, signal: SignalRow) -> Execute | None:
    """Return the decision with what is still to be read of the signal, and of those behind it; None to decide again.

    Whether the run parks afterwards is decided by what is in the inbox: the next one must be in it before.
    Raises StoreUnavailable where it is stopped before.
    """
    storage, run = holder.storage, holder.run
    if holder.more and _is_last(holder, signal):
        what = f"run {run.id}: its inbox"
        holder.inbox, holder.more = await patiently(lambda: storage.inbox(run), what, holder.is_stopped)
    if not signal.unread:
        return decision
    whole = await patiently(lambda: storage.signal(signal.id), f"run {run.id}: its signal", holder.is_stopped)
    if whole is None:  # it was deleted by hand: decided again
        holder.inbox = without(holder.inbox, signal)
        return None
    return Execute(decision.transition, whole)


def _is_last(holder: InboxHolder, signal: SignalRow) -> bool:
    """Return whether it is the last of its kind, name and visit in the inbox that the run's visit could take."""
    alike, others = (signal.visit, signal.kind, signal.name), reserved(holder.run)
    return sum((s.visit, s.kind, s.name) == alike and s.id not in others for s in holder.inbox) < 2
