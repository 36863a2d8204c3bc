"""Why a run is where it is, in plain words."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stepwell.definition.model import Definition
from stepwell.engine.run import Inbox
from stepwell.engine.run import Run as RunRow
from stepwell.execution.clock import to_datetime
from stepwell.runner.models import waiting_for
from stepwell.store.workers import WorkerRow


class Explanation(BaseModel):
    """One sentence per reason, the most important first."""

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    status: str
    place: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.reasons)


def explain(
    row: RunRow,
    definition: Definition | None,
    inbox: Inbox,
    workers: list[WorkerRow],
    takers: int,
    *,
    machines: bool = True,
) -> Explanation:
    """`takers` is how many live workers take this workflow; `machines` whether to tell where the processes are."""
    reasons = [*_by_status(row, definition, workers, machines), *_misfit(row, definition, takers), *_kept(row, inbox)]
    return Explanation(workflow_id=row.id, status=row.status, place=row.place, reasons=tuple(reasons))


def _by_status(row: RunRow, definition: Definition | None, workers: list[WorkerRow], machines: bool) -> list[str]:
    match row.status:
        case "completed":
            return [f"It completed at {_when(row.finished_at)}."]
        case "canceled":
            return [f"It was cancelled at {_when(row.finished_at)} ({row.error})."]
        case "failed":
            return [f"It failed at {row.place!r}: {row.error}", f"Retry it with runner.retry({row.id!r})."]
        case "running":
            return [_executes(row, workers, machines)]
        case _ if row.ready_at is not None:
            return [f"It is ready since {_when(row.ready_at)} and waits for a worker with a free slot."]
        case "retrying":
            last = f"Its last attempt failed: {row.error}"
            return [f"It tries again at {_when(row.due_at)}, after {row.failures} failed tries.", last]
        case "pending":
            return [f"It starts at {_when(row.due_at)}."]
        case _:
            return _waits(row, definition)


def _executes(row: RunRow, workers: list[WorkerRow], machines: bool) -> str:
    owner = next((worker for worker in workers if worker.id == row.owner), None)
    if owner is None:
        return f"Its worker {row.owner} has no heartbeat any more: it is taken over within a lease."
    where = f" (pid {owner.pid} on {owner.host})" if machines else ""
    return f"Worker {owner.id}{where} executes it at {row.place!r}."


def _waits(row: RunRow, definition: Definition | None) -> list[str]:
    reasons = []
    names = waiting_for(row, definition)
    if names:
        reasons.append(f"It waits at {row.place!r} for a signal: {', '.join(names)}.")
    place = definition.places.get(row.place) if definition else None
    events = [t for t in place.waiting if t.event] if place else []
    reasons += [f"It waits at {row.place!r} for the event {t.event.name!r} ({t.name})." for t in events if t.event]
    if row.due_at is not None:
        reasons.append(f"Its timer is due at {_when(row.due_at)}.")
    return reasons or [f"It waits at {row.place!r}."]


def _misfit(row: RunRow, definition: Definition | None, takers: int) -> list[str]:
    if row.finished:
        return []
    if definition is None:
        return [f"Nobody here registers {row.app_name}/{row.workflow_name}: add it to an App's workflows."]
    reasons = [] if takers else [f"No live worker registers {row.app_name}/{row.workflow_name}."]
    if row.place not in definition.places:
        reasons.append(
            f"The code of {definition.workflow.__name__} has no place {row.place!r}: the run stays as it is."
        )
    if row.bound and not any(t.name == row.bound for t in definition.transitions):
        reasons.append(f"The code of {definition.workflow.__name__} has no transition {row.bound!r} any more.")
    for what, codec, text in (("state", definition.state, row.state), ("args", definition.args, row.args)):
        reasons += _breaks(what, codec, text)
    return reasons


def _breaks(what: str, codec: Any, text: str) -> list[str]:
    if codec is None:
        return []
    try:
        codec.load(text)
    except Exception as error:  # noqa: BLE001 - a validator of the user's may raise anything
        why = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else repr(error)
        return [f"Its {what} no longer fits the code: {why}; it stays as it is."]
    return []


def _kept(row: RunRow, inbox: Inbox) -> list[str]:
    kept = [signal.name for signal in inbox if signal.id != row.bound_signal]
    return (
        [f"{len(kept)} signals are kept for later: {', '.join(sorted(set(kept)))}."]
        if kept and not row.finished
        else []
    )


def _when(moment: int | None) -> str:
    return to_datetime(moment).isoformat(timespec="seconds") if moment is not None else "an unknown time"
