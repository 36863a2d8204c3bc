"""The count after the crashes: raw SQL over the file, beside what the processes noted. Nothing of Stepwell is asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from acceptance import evidence
from acceptance.mix import DELAY, KINDS, TIMER

_MICRO = 1_000_000

PATHS: dict[str, list[str]] = {
    "plain": ["one", "two", "three"],
    "late": ["one", "two", "three"],
    "ordered": ["one", "two", "three"],
    "stepping": ["first", "second"],
    "booking": ["book", "done"],
    "parent": ["spawn", "told"],
    "child": ["begin", "finish"],
    "answered": ["ask", "answer"],
    "flaky": ["attempt", "done"],
    "timed": ["begin", "rang"],
    "papers": ["first", "second", "third"],
    "announcing": ["announce", "done"],
    "listening": ["hear"],
    "endless": [],
    "doomed": ["spawn"],
}
"""The transitions that a run of each workflow commits, each once, in this order."""
CANCELED = {"doomed", "endless"}
FAILURES = {"booking": 1, "parent": 1, "flaky": 2}
"""Attempts that fail, by the workflow's own will."""


@dataclass(slots=True)
class Audit:
    """Figures to print, and faults: each of these must be 0."""

    figures: dict[str, object] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    @property
    def broken(self) -> dict[str, list[str]]:
        return {what: found[:5] for what, found in self.faults.items() if found}

    def table(self) -> str:
        rows = [(what, str(value)) for what, value in self.figures.items()]
        rows += [(what, str(len(found))) for what, found in self.faults.items()]
        width = max(len(what) for what, _ in rows)
        return "\n".join(f"{what:<{width}}  {value:>10}" for what, value in rows)


@dataclass(slots=True)
class _Stored:
    """All that is in the file."""

    runs: dict[str, dict[str, Any]]
    history: dict[str, list[dict[str, Any]]]
    documents: dict[str, list[dict[str, Any]]]

    def of(self, *kinds: str) -> Iterator[dict[str, Any]]:
        return (run for run in self.runs.values() if run["workflow_name"] in kinds)

    def committed(self, run_id: str) -> list[dict[str, Any]]:
        return [row for row in self.history[run_id] if row["status"] == "committed" and row["transition"]]

    def count(self, kind: str, transition: str) -> int:
        return sum(row["transition"] == transition for run in self.of(kind) for row in self.committed(run["id"]))


def audit(*, inexact: float = 0.0, excused: str | None = None) -> Audit:
    """What became of everything that was accepted.

    `inexact` is how far moments of two processes may be off, in seconds. Attempts may fail with an error that says `excused`.
    """
    stored = _load()
    result = Audit()
    accepted = {int(n): run_id for n, run_id in evidence.lines("accepted")}
    result.figures |= {
        "runs accepted": len(accepted),
        "runs stored (with children and listeners)": len(stored.runs),
        "runs ended": sum(run["finished_at"] is not None for run in stored.runs.values()),
        "transitions committed": sum(len(stored.committed(run_id)) for run_id in stored.runs),
        "steps journaled": evidence.number("SELECT count(*) FROM stepwell_steps"),
        "executions of steps": len(evidence.lines("steps")),
    }
    for check in (_starts, partial(_ends, excused), _chains, _steps, _children, _effects, partial(_times, inexact)):
        result.faults |= check(stored, accepted)
    result.faults["damage in the database"] = evidence.damage()
    return result


def _load() -> _Stored:
    history: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in evidence.records("SELECT * FROM stepwell_history ORDER BY run_id, version"):
        history[row["run_id"]].append(row)
    documents: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in evidence.records("SELECT * FROM stepwell_documents ORDER BY run_id, position"):
        documents[row["run_id"]].append(row)
    return _Stored({row["id"]: row for row in evidence.records("SELECT * FROM stepwell_runs")}, history, documents)


def _starts(stored: _Stored, accepted: dict[int, str]) -> dict[str, list[str]]:
    told = Counter((words[0], words[1]) for words in evidence.lines("accepted"))
    keys = Counter(run["idempotency_key"] for run in stored.runs.values() if run["idempotency_key"])
    named = {int(key[1:]) for key in keys if key.startswith("n")}
    users = {(run["app_name"], run["user_id"]) for run in stored.runs.values()}
    orders = Counter(evidence.read("SELECT run_id FROM orders"))
    ordered = Counter((run["id"],) for run in stored.of("ordered"))
    return {
        "accepted and not stored": [f"n{n} {run_id}" for n, run_id in accepted.items() if run_id not in stored.runs],
        "of another workflow than asked for": [
            f"n{n}" for n, run_id in accepted.items()
            if run_id in stored.runs and stored.runs[run_id]["workflow_name"] != KINDS[n % len(KINDS)].__name__.lower()
        ],
        "keys with two runs": [
            *(key for key, count in keys.items() if count > 1),
            *(n for n, count in Counter(n for n, _ in told).items() if count > 1),
        ],
        "stored and never acknowledged": [f"n{n}" for n in named - accepted.keys()],
        "workspaces too many or too few": [
            str(rows) for rows in [evidence.number("SELECT count(*) FROM stepwell_workspaces")] if rows != len(users)
        ],
        "runs without the caller's row, or with two": [str(one) for one in (orders - ordered) + (ordered - orders)],
    }  # fmt: skip


def _ends(excused: str | None, stored: _Stored, accepted: dict[int, str]) -> dict[str, list[str]]:
    lost, twice, failed, going_on = [], [], [], []
    for run_id, run in stored.runs.items():
        kind = run["workflow_name"]
        ends = [row for row in stored.history[run_id] if row["target"] == "end" or row["status"] == "canceled"]
        if run["status"] != ("canceled" if kind in CANCELED else "completed"):
            lost.append(_text(run))
        if len(ends) > 1:
            twice.append(_text(run))
        failures = [row["error"] for row in stored.history[run_id] if row["status"] == "failed"]
        meant = [error for error in failures if excused is None or excused not in str(error)]
        # An attempt that was excused may have been one that would have failed by its own will.
        if not len(meant) <= FAILURES.get(kind, 0) <= len(failures):
            failed.append(f"{_text(run)}: {failures}")
        if run["owner"] or run["ready_at"] or run["due_at"]:
            going_on.append(_text(run))
    return {
        "runs lost": lost,
        "runs ended twice": twice,
        "runs with more or fewer failed attempts than they wanted": failed,
        "ended runs that are still due or owned": going_on,
    }


def _chains(stored: _Stored, accepted: dict[int, str]) -> dict[str, list[str]]:
    twice, gaps, broken = [], [], []
    for run_id, run in stored.runs.items():
        rows, committed = stored.history[run_id], stored.committed(run_id)
        names = [row["transition"] for row in committed]
        if len(names) != len(set(names)):
            twice.append(f"{_text(run)}: {names}")
        if [row["version"] for row in rows] != list(range(run["version"] + 1)):
            gaps.append(_text(run))
        places = ["start", *(row["target"] for row in committed)]
        if names != PATHS[run["workflow_name"]] or [row["source"] for row in committed] != places[:-1]:
            broken.append(f"{_text(run)}: {names}")
    return {
        "transitions committed twice": twice,
        "runs with a version missing or twice": gaps,
        "runs whose checkpoints aren't connected": broken,
        "transitions entered before the last checkpoint": [" ".join(words) for words in evidence.lines("early")],
    }


def _steps(stored: _Stored, accepted: dict[int, str]) -> dict[str, list[str]]:
    executed = {(key, name, execution) for key, name, execution in evidence.lines("steps")}
    journal = {
        (f"{run_id}:{method}:{visit}", name): value.strip('"')
        for run_id, visit, method, name, value in evidence.read(
            "SELECT run_id, visit, transition, name, value FROM stepwell_steps"
        )
    }
    by_run: dict[str, set[str]] = defaultdict(set)
    for (key, _), value in journal.items():
        by_run[key.split(":")[0]].add(value)
    return {
        "steps executed again after their journal row was committed": [" ".join(words) for words in evidence.lines("again")],
        "journal rows without an execution": [
            f"{key} {name}" for (key, name), value in journal.items() if (key, name, value) not in executed
        ],
        "states that differ from the journal": [
            _text(run) for run in stored.of("stepping") if not _four_of(run, by_run[run["id"]])
        ],
    }  # fmt: skip


def _four_of(run: dict[str, Any], values: set[str]) -> bool:
    return len(values) == 4 and all(value in (run["result"] or "") for value in values)


def _children(stored: _Stored, accepted: dict[int, str]) -> dict[str, list[str]]:
    children: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for child in stored.of("child", "endless"):
        children[child["parent_id"]].append(child)
    spawned = {
        run["id"] for run in stored.of("parent", "doomed")
        for row in stored.committed(run["id"]) if row["transition"] == "spawn"
    }  # fmt: skip
    told = Counter(row[0] for row in evidence.read("SELECT sender FROM stepwell_signals WHERE kind='child'"))
    taken = Counter(
        row["signal_id"] for rows in stored.history.values() for row in rows if row["signal_id"] and row["status"] == "committed"
    )  # fmt: skip
    ended = {child["id"] for child in stored.of("child") if child["status"] == "completed"}
    return {
        "children without their parent's commit": [_text(c) for p, found in children.items() for c in found if p not in spawned],
        "commits without their child, or with two": [p for p in spawned if len(children[p]) != 1],
        "parents told twice": [f"child {child}" for child, count in told.items() if count > 1]
        + [signal for signal, count in taken.items() if count > 1],
        "parents not told": [child for child in ended if told[child] != 1 or taken[f"{child}:end"] != 1],
    }  # fmt: skip


def _effects(stored: _Stored, accepted: dict[int, str]) -> dict[str, list[str]]:
    bookings = Counter(row[0] for row in evidence.read("SELECT run_id FROM bookings"))
    booked = Counter(run["id"] for run in stored.of("booking"))
    keyed_wrong = []
    for run in stored.of("papers"):
        notes = [row for row in stored.documents[run["id"]] if row["name"] == "note"]
        current = [row for row in notes if row["key"] == "status" and row["replaced_at"] is None]
        versions = Counter(row["version"] for row in notes)
        if versions != {1: 2, 2: 2, 3: 2} or len(current) != 1 or current[0]["version"] != 3:
            keyed_wrong.append(f"{_text(run)}: {dict(versions)}")
    return {
        "user rows without their transition, or twice": [str(one) for one in (bookings - booked) + (booked - bookings)],
        "runs whose documents differ from their commits": keyed_wrong,
        "documents of failed attempts": [
            _text(run) for run in stored.of("flaky") if any(row["name"] == "note" for row in stored.documents[run["id"]])
        ],
        "failed attempts without their trace": [
            _text(run) for run in stored.runs.values()
            if sum(row["name"] == "error" for row in stored.documents[run["id"]])
            != sum(row["status"] == "failed" for row in stored.history[run["id"]])
        ],
        "events without their commit, or twice": [
            f"{heard} heard, {announced} announced"
            for heard, announced in [(len(list(stored.of("listening"))), stored.count("announcing", "announce"))]
            if heard != announced
        ],
    }  # fmt: skip


def _times(inexact: float, stored: _Stored, accepted: dict[int, str]) -> dict[str, list[str]]:
    early, inexactly = [], round(inexact * _MICRO)
    for run in stored.of("timed"):
        began, rang = (row["finished_at"] for row in stored.committed(run["id"]))
        if rang < began + TIMER * _MICRO - inexactly:
            early.append(_text(run))
    early += [
        _text(run)
        for run in stored.of("late")
        if stored.history[run["id"]][1]["started_at"] < run["created_at"] + DELAY * _MICRO - inexactly
    ]
    return {"timers and delays that were too early": early}


def _text(run: dict[str, Any]) -> str:
    return f"{run['workflow_name']} {run['id']} {run['status']} at {run['place']} v{run['version']} {run['error'] or ''}".strip()
