"""Explanations of why a run is in its current state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from stepwell.console.reading.limits import expiry, held_reasons
from stepwell.console.reading.pausing import paused_reasons
from stepwell.definition.model import Definition
from stepwell.definition.text import told
from stepwell.engine.choose import Unfit, stranger_in
from stepwell.engine.questions import QuestionRow
from stepwell.engine.run import Inbox, Moment, RunRow, names_in
from stepwell.engine.suspicion import suspicion_of
from stepwell.execution.clock import to_datetime
from stepwell.execution.fitness import why_left
from stepwell.execution.versions import current, known_inbox, seen
from stepwell.runner.models import Explanation, Situation, waiting_signals
from stepwell.store.reading.limits import COUNTED
from stepwell.store.workers import WorkerRow


def explain(facts: Situation) -> Explanation:
    """Return one sentence per reason why the run is where it is, the most important first."""
    row, definition = facts.row, facts.definition
    unfit = _unfit(row, definition, facts.inbox)
    paused = paused_reasons(row, facts.pauses, insider=facts.machines)
    reasons = [
        *held_reasons(row, facts.hold),
        *(paused if row.ready_at is not None else ()),
        *_by_status(row, definition, facts, unfit=bool(unfit)),
        *(paused if row.ready_at is None else ()),
        *_clears_up(row),
        *_forked(row),
        *expiry(row),
        *_suspected(row),
        *_untaken(row, definition, facts.takers),
        *unfit,
        *_kept(row, facts.inbox),
        *(one.error for one in facts.unused if one.error is not None),
    ]
    return Explanation(workflow_id=row.id, status=row.status, place=row.place, reasons=tuple(reasons))


def _by_status(row: RunRow, definition: Definition | None, facts: Situation, *, unfit: bool) -> list[str]:
    match row.status:
        case "completed":
            return [f"It completed at {_when(row.finished_at)}."]
        case "canceled":
            return [f"It was cancelled at {_when(row.finished_at)} ({row.error})."]
        case "failed":
            return [f"It failed at {row.place!r}: {row.error}", f"Retry it with runner.retry({row.id!r})."]
        case "running":
            return [_executes(row, facts.workers, facts.machines)]
        case _ if row.held_by is not None:
            return []
        case _ if row.ready_at is not None and facts.pauses:
            return [f"It has been ready since {_when(row.ready_at)}."]
        case _ if row.ready_at is not None:
            what = "a worker whose code can execute it" if unfit else "a worker with a free slot"
            return [f"It has been ready since {_when(row.ready_at)} and waits for {what}{_behind(facts.ahead)}."]
        case "retrying":
            last = f"Its last attempt failed: {row.error}"
            return [f"It will be retried at {_when(row.due_at)}. Failed attempts so far: {row.failures}.", last]
        case "pending":
            return [f"It starts at {_when(row.due_at)}."]
        case _:
            return [*_waits(row, definition), *(_asks(one, facts.now) for one in facts.asked)]


def _forked(row: RunRow) -> list[str]:
    if row.forked_from is None:
        return []
    return [f"It is a fork of run {row.forked_from}, and began at the target of checkpoint {row.forked_at}."]


def _clears_up(row: RunRow) -> list[str]:
    if row.canceling is None or row.finished:
        return []
    return [
        f"It is being cancelled ({row.canceling}): it clears up from {row.place!r} on, and is cancelled when it comes to "
        f"'end'. runner.cancel({row.id!r}, force=True) cancels it at once."
    ]


def _behind(ahead: int | None) -> str:
    if not ahead:
        return ""
    return f", behind {'at least ' if ahead >= COUNTED else ''}{ahead:,} ready run{'' if ahead == 1 else 's'} of its workflow"


def _executes(row: RunRow, workers: Sequence[WorkerRow], machines: bool) -> str:
    owner = next((worker for worker in workers if worker.id == row.owner), None)
    if owner is None:
        return f"Its worker {row.owner} no longer sends heartbeats: another worker takes the run over within one lease."
    where = f" (pid {owner.pid} on {owner.host})" if machines else ""
    return f"Worker {owner.id}{where} is executing it at {row.place!r}."


def _waits(row: RunRow, definition: Definition | None) -> list[str]:
    reasons = []
    names = waiting_signals(row, definition)
    if names:
        reasons.append(f"It waits at {row.place!r} for a signal: {', '.join(names)}.")
    row = seen(definition, row)
    place = definition.places.get(row.place) if definition else None
    ends = [t.name for t in place.waiting if t.kind == "signal" and t.name in names_in(row.callbacks)] if place else []
    if ends:
        reasons.append(f"It waits at {row.place!r} for child runs to end: {', '.join(ends)}.")
    events = [t for t in place.waiting if t.event] if place else []
    reasons += [f"It waits at {row.place!r} for the event {t.event.name!r} ({t.name})." for t in events if t.event]
    if row.due_at is not None:
        reasons.append(f"Its timer is due at {_when(row.due_at)}.")
    return reasons or [f"It waits at {row.place!r}."]


def _asks(asked: QuestionRow, now: Moment) -> str:
    whom = [] if asked.assignee is None else [f"user {asked.assignee!r}"]
    whom += [] if asked.team is None else [f"group {asked.team!r}"]
    due = ""
    if asked.due_at is not None:
        due = f", which {'was' if asked.due_at < now else 'is'} due at {_when(asked.due_at)}"
    return (
        f"It has asked {' and '.join(whom) or f'its user {asked.user_id!r}'} since {_when(asked.asked_at)}: "
        f"{asked.title!r} ({asked.transition}){due}."
    )


def _suspected(row: RunRow) -> list[str]:
    if row.suspicion is None or row.finished or row.status == "failed":
        return []
    deaths, _, reason = suspicion_of(row.suspicion)
    if reason is not None:
        return [f"It is under suspicion: {reason}. If that happens again, its attempt fails."]
    died = "a worker died" if deaths == 1 else f"{deaths} workers died, one after the other,"
    alone = f", {row.takeovers} times with no other run beside it" if row.takeovers else ""
    return [
        f"It is under suspicion: {died} while executing it at {row.place!r}{alone}. "
        "It is executed separately from other runs until its next checkpoint."
    ]


def _untaken(row: RunRow, definition: Definition | None, takers: int) -> list[str]:
    if row.finished:
        return []
    if definition is None:
        return [f"No app in this process registers {row.app_name}/{row.workflow_name}: add it to an App's workflows."]
    return [] if takers else [f"No live worker registers {row.app_name}/{row.workflow_name}."]


def _unfit(row: RunRow, definition: Definition | None, inbox: Inbox) -> list[str]:
    """Return the reasons why this process's code can't execute the run."""
    if row.finished or definition is None:
        return []
    name = definition.workflow.__name__
    left = why_left(definition, row, inbox)
    found = current(definition, row)
    if isinstance(found, Unfit):
        return [f"It stays as it is: {left}."]
    inbox, row = known_inbox(definition, inbox), found
    reasons = []
    if row.workflow_version > definition.version:
        reasons.append(
            f"It has version {row.workflow_version}, and this code has version {definition.version} of {name}: "
            "the run is left for newer code."
        )
    if row.place not in definition.places:
        reasons.append(f"The code of {name} has no place {row.place!r}: the run stays as it is.")
    if row.moves_to is not None and row.moves_to not in definition.places:
        reasons.append(f"The code of {name} has no place {row.moves_to!r}, the run's next place.")
    if row.bound and not any(t.name == row.bound for t in definition.transitions):
        reasons.append(f"The code of {name} no longer has a transition {row.bound!r}.")
    if (stranger := stranger_in(definition, inbox)) is not None:
        reasons.append(f"It stays as it is: {stranger}.")
    for what, codec, text in (("state", definition.state, row.state), ("args", definition.args, row.args)):
        reasons += _breaks(what, codec, text)
    if left is not None:
        reasons += [f"To mend it: {left.cure}."] if reasons else [f"{str(left)[:1].upper()}{str(left)[1:]}."]
    return reasons


def _breaks(what: str, codec: Any, text: str) -> list[str]:
    if codec is None:
        return []
    try:
        codec.load(text)
    except ValidationError as error:
        return [f"The code can't read its {what}: {error.errors(include_url=False)[0]['msg']}; the run stays as it is."]
    except BaseException as error:  # noqa: BLE001 - an application's validator may raise anything
        why = told(error)
        return [f"The code can't read its {what}: {why}; the run stays as it is."]
    return []


def _kept(row: RunRow, inbox: Inbox) -> list[str]:
    kept = [signal.name for signal in inbox if signal.id != row.bound_signal]
    return (
        [f"Signals kept for later ({len(kept)}): {', '.join(sorted(set(kept)))}."] if kept and not row.finished else []
    )


def _when(moment: int | None) -> str:
    return to_datetime(moment).isoformat(timespec="seconds") if moment is not None else "an unknown time"
