"""Questions: asked, answered, assigned, ended; and the inbox."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from stepwell.engine.commit import Commit
from stepwell.engine.questions import WHENEVER, QuestionRow
from stepwell.engine.run import HistoryRow
from stepwell.store import history, tables
from stepwell.store.tables import questions
from stepwell.store.tx import Tx, paired

_ALL = tables.columns(questions)


def apply(tx: Tx, commits: Iterable[Commit]) -> None:
    """Store the questions that these commits ask, and end those of the visits that they leave."""
    for commit in commits:
        if commit.unasked:
            _forget_unused(tx, commit)
            close(tx, commit.run.id, commit.unasked, commit.run.updated_at)
        if commit.reasked:
            _reopen(tx, commit.run.id, commit.run.visit)
    ask(tx, [row for commit in commits for row in commit.asked])
    for commit in commits:
        if commit.asked and commit.run.stay is not None:
            _answer_again(tx, commit)


def _answer_again(tx: Tx, commit: Commit) -> None:
    """Note the answers that were given before a transition led back to the place, and count for the new visit."""
    given = (
        "FROM stepwell_signals s WHERE s.run_id=stepwell_questions.run_id AND s.name=stepwell_questions.transition"
        " AND s.state='open' AND s.kind='signal' AND (s.visit IS NULL OR s.visit=?)"
    )
    tx.run(
        f"UPDATE stepwell_questions SET answered_by=(SELECT s.user_id {given} ORDER BY s.accepted_at LIMIT 1),"
        " answered_at=?, closed_at=? WHERE run_id=? AND visit=? AND closed_at IS NULL"
        f" AND EXISTS (SELECT 1 {given})",
        commit.run.stay,
        commit.run.updated_at,
        commit.run.updated_at,
        commit.run.id,
        commit.run.visit,
        commit.run.stay,
    )


def ask(tx: Tx, asked: Sequence[QuestionRow]) -> None:
    """Store these questions; one that is stored already stays as it is."""
    tx.insert(questions, asked, unless=("run_id", "visit", "transition"))


def _reopen(tx: Tx, run_id: str, visit: int) -> None:
    tx.run(
        "UPDATE stepwell_questions SET answered_by=NULL, answered_at=NULL, closed_at=NULL WHERE run_id=? AND visit=?",
        run_id,
        visit,
    )


def _forget_unused(tx: Tx, commit: Commit) -> None:
    """Forget who answered the questions of the visits that end, where the run doesn't go on by that answer."""
    only: str = ""
    given: tuple[str | None, ...] = ()
    if commit.taken is not None and commit.history is not None:
        if commit.run.stay is None:
            return  # what it has taken answers all questions of the place
        only, given = " AND transition<>?", (commit.history.transition,)
    sql = "UPDATE stepwell_questions SET answered_by=NULL, answered_at=NULL WHERE run_id=? AND visit=? AND answered_at"
    tx.each(f"{sql} IS NOT NULL{only}", [(commit.run.id, visit, *given) for visit in commit.unasked])


def close(tx: Tx, run_id: str, visits: Iterable[int], now: int) -> None:
    """End the questions of these visits."""
    sql = "UPDATE stepwell_questions SET closed_at=? WHERE run_id=? AND visit=? AND closed_at IS NULL"
    tx.each(sql, [(now, run_id, visit) for visit in visits])


def answered(tx: Tx, run_id: str, visit: int, by: str | None, now: int, only: Collection[str] | None) -> None:
    """Note who has answered the questions of this visit, all of them or only these: they leave the inbox."""
    some, given = ("", ()) if only is None else (" AND transition IN list(?)", (tx.listed(only),))
    tx.run(
        "UPDATE stepwell_questions SET answered_by=?, answered_at=?, closed_at=?"
        f" WHERE run_id=? AND visit=? AND closed_at IS NULL{some}",
        by,
        now,
        now,
        run_id,
        visit,
        *given,
    )


def assign(
    tx: Tx, question: QuestionRow, assignee: str | None, team: str | None, told: HistoryRow, timers: str | None
) -> None:
    """Let others answer the question; links that were made before are void. No worker executes the run."""
    history.append(tx, [told], 0)
    tx.run(
        "UPDATE stepwell_runs SET version=?, updated_at=?, timers=? WHERE id=?",
        told.version,
        told.finished_at,
        timers,
        told.run_id,
    )
    tx.run(
        "UPDATE stepwell_questions SET assignee=?, team=?, assigned=assigned+1 WHERE run_id=? AND visit=? AND transition=?",
        assignee,
        team,
        question.run_id,
        question.visit,
        question.transition,
    )


def latest(tx: Tx, run_id: str, names: Collection[str], visit: int | None) -> QuestionRow | None:
    """Return the last question of the run by one of these names, or that of a visit."""
    only, given = ("", ()) if visit is None else (" AND visit=?", (visit,))
    return tx.one(
        QuestionRow._make,
        f"SELECT {_ALL} FROM stepwell_questions WHERE run_id=? AND transition IN list(?){only} ORDER BY visit DESC LIMIT 1",
        run_id,
        tx.listed(names),
        *given,
    )


def of_run(tx: Tx, run_id: str) -> list[QuestionRow]:
    """Return all questions of a run, in the order in which they were asked."""
    sql = f"SELECT {_ALL} FROM stepwell_questions WHERE run_id=? ORDER BY visit, transition"
    return tx.fetch(QuestionRow._make, sql, run_id)


def args_sizes(tx: Tx, run_ids: Collection[str]) -> dict[str, int]:
    """Return the bytes of the args of these runs, by their ids."""
    if not run_ids:
        return {}
    return dict(tx.rows("SELECT id, octet_length(args) FROM stepwell_runs WHERE id IN list(?)", tx.listed(run_ids)))


def args_of(tx: Tx, run_ids: Collection[str]) -> dict[str, str]:
    """Return the args of these runs, by their ids."""
    if not run_ids:
        return {}
    return dict(tx.rows("SELECT id, args FROM stepwell_runs WHERE id IN list(?)", tx.listed(run_ids)))


def open_of(tx: Tx, run_id: str, visit: int) -> list[QuestionRow]:
    """Return the open questions of a run in this visit."""
    sql = f"SELECT {_ALL} FROM stepwell_questions WHERE run_id=? AND visit=? AND closed_at IS NULL ORDER BY transition"
    return tx.fetch(QuestionRow._make, sql, run_id, visit)


def unasked(tx: Tx, asking: Iterable[tuple[str, str]], limit: int) -> list[str]:
    """Return runs that wait where a question is missing; `asking` has (app/workflow at place, transition)."""
    found = tx.rows(
        "SELECT r.id FROM stepwell_runs r WHERE r.status='waiting' AND r.internal=0 AND r.ready_at IS NULL"
        " AND r.owner IS NULL AND r.held_by IS NULL AND EXISTS (SELECT 1 FROM pairs(?) l"
        " WHERE l.a=r.app_name || '/' || r.workflow_name || ' at ' || r.place AND NOT EXISTS (SELECT 1"
        " FROM stepwell_questions q WHERE q.run_id=r.id AND q.visit=r.visit AND q.transition=l.b)) LIMIT ?",
        paired(asking),
        limit,
    )
    return [row[0] for row in found]


# -- the inbox ---------------------------------------------------------------------------------------------------------

Position = tuple[int, int, str, str]
"""The place of a question in the inbox: its urgency, when it was asked, its run and its transition."""

_FEW_GROUPS: Final = 20
"""Groups whose questions are found one after the other, each in order from an index; those of more are sorted."""
_HERE: Final = "r.status NOT IN ('completed', 'canceled', 'failed') AND r.internal=0"


def _without(text: str, part: str) -> str:
    """Return the condition that a text of SQL doesn't hold another."""
    return f"replace(coalesce({text}, ''), {part}, '')=coalesce({text}, '')"


# `Run.callbacks` is a list of names as JSON; `replace` is what both databases have to look into a text.
_QUOTED: Final = "'\"' || q.transition || '\"'"
_NO_CALLBACK: Final = _without("r.callbacks", _QUOTED)


class AwaitedSignal(NamedTuple):
    """A signal transition of a place."""

    app_name: str
    workflow_name: str
    place: str
    names: Sequence[str]
    """Its name and the old ones."""


@dataclass(frozen=True, slots=True)
class Sought:
    """The questions that are looked for. Without a user and groups: all of them."""

    user_id: str | None
    groups: Sequence[str]
    app_name: str | None
    workflow_name: str | None
    overdue: bool | None
    now: int
    after: Position | None
    limit: int
    unasked: Sequence[AwaitedSignal]
    """The signals that may be waited for without a question."""
    apps: Sequence[str] | None = None
    """Those of these apps only; None: of all."""
    run_id: str | None = None
    """Those of this run only; None: of all."""


@dataclass(frozen=True, slots=True)
class Unasked:
    """A run that waits for its user, without a question: the place says for what."""

    run_id: str
    app_name: str
    workflow_name: str
    user_id: str
    place: str
    visit: int
    entered_at: int
    labels: str
    subject: str | None
    timers: str | None
    callbacks: str | None


class Entry(NamedTuple):
    """A question with what its run is called."""

    question: QuestionRow
    labels: str
    subject: str | None


def inbox(tx: Tx, wanted: Sought) -> list[Entry]:
    """Return open questions with the labels and subjects of their runs, at most `limit`, the most urgent first.

    A question is open while its run is in that visit and no signal for it is stored. One that is answered by the end of
    a child (a callback) is open to no person.
    """
    found: dict[tuple[str, int, str], Entry] = {}
    for condition, given in _audiences(tx, wanted):
        for row in _open(tx, wanted, condition, given):
            question = QuestionRow._make(row[:-2])
            found[question[:3]] = Entry(question, *row[-2:])
    ordered = sorted(found.values(), key=lambda one: one.question.key)
    return ordered[: wanted.limit]


def _audiences(tx: Tx, wanted: Sought) -> list[tuple[str, tuple[Any, ...]]]:
    """Return one condition for each index by which questions are found."""
    if wanted.user_id is None and not wanted.groups:
        return [("", ())]
    groups = _teams(tx, list(dict.fromkeys(wanted.groups)))
    if wanted.user_id is None:
        return groups
    own = ("q.user_id=? AND q.assignee IS NULL AND q.team IS NULL", (wanted.user_id,))
    return [("q.assignee=?", (wanted.user_id,)), own, *groups]


def _teams(tx: Tx, groups: Sequence[str]) -> list[tuple[str, tuple[Any, ...]]]:
    if len(groups) > _FEW_GROUPS:
        return [("q.team IN list(?)", (tx.listed(groups),))]
    return [("q.team=?", (group,)) for group in groups]


def _open(tx: Tx, wanted: Sought, condition: str, given: tuple[Any, ...]) -> Sequence[Any]:
    conditions = [condition] if condition else []
    parameters: list[Any] = [*given]
    for column, value in _named(wanted):
        if value is not None:
            conditions.append(f"q.{column}=?")
            parameters.append(value)
    if wanted.apps is not None:
        conditions.append("q.app_name IN list(?)")
        parameters.append(tx.listed(wanted.apps))
    if wanted.overdue is not None:
        conditions.append("q.urgency<?" if wanted.overdue else "q.urgency>=?")
        parameters.append(wanted.now)
    if wanted.after is not None:
        conditions.append("(q.urgency, q.asked_at, q.run_id, q.transition)>(?, ?, ?, ?)")
        parameters += wanted.after
    more = "".join(f" AND {one}" for one in conditions)
    return tx.rows(
        f"SELECT {tables.columns(questions, 'q.')}, r.labels, r.subject FROM stepwell_questions q"
        " JOIN stepwell_runs r ON r.id=q.run_id AND r.visit=q.visit"
        f" WHERE q.closed_at IS NULL AND {_HERE}{more} AND {_NO_CALLBACK} AND NOT EXISTS (SELECT 1 FROM stepwell_signals s"
        " WHERE s.run_id=q.run_id AND s.state='open' AND s.kind='signal' AND s.name=q.transition"
        " AND (s.visit IS NULL OR s.visit=coalesce(r.stay, r.visit)))"
        " ORDER BY q.urgency, q.asked_at, q.run_id, q.transition LIMIT ?",
        *parameters,
        wanted.limit,
    )


def _named(wanted: Sought) -> Sequence[tuple[str, str | None]]:
    return ("app_name", wanted.app_name), ("workflow_name", wanted.workflow_name), ("run_id", wanted.run_id)


def waiting(tx: Tx, wanted: Sought) -> list[Unasked]:
    """Return runs that wait for a signal without a question, the longest waiting first; two more than a page's entries.

    One is for the run whose signals were on the page before, one to know whether there are others.
    """
    if not wanted.unasked or wanted.overdue or (wanted.user_id is None and wanted.groups):
        return []
    own = "" if wanted.user_id is None else " AND r.user_id=?"
    # Behind a question that is due there are all of them, whenever they were entered.
    after = None if wanted.after is None or wanted.after[0] < WHENEVER else wanted.after
    behind = "" if after is None else " AND (r.entered_at, r.id)>=(?, ?)"
    one = "" if wanted.run_id is None else " AND r.id=?"
    rows = tx.rows(
        "SELECT r.id, r.app_name, r.workflow_name, r.user_id, r.place, r.visit, r.entered_at, r.labels, r.subject,"
        " r.timers, r.callbacks FROM stepwell_runs r WHERE r.status='waiting' AND r.internal=0 AND r.ready_at IS NULL"
        f" AND r.owner IS NULL AND r.held_by IS NULL{own}{behind}{one} AND EXISTS (SELECT 1 FROM pairs(?) l"
        f" WHERE l.a=r.app_name || ':' || r.workflow_name || ' at ' || r.place AND {_without('r.callbacks', 'l.b')}"
        " AND NOT EXISTS (SELECT 1 FROM stepwell_questions q WHERE q.run_id=r.id AND q.visit=r.visit"
        f" AND NOT {_without('l.b', _QUOTED)}))"
        " ORDER BY r.entered_at, r.id LIMIT ?",
        *(() if wanted.user_id is None else (wanted.user_id,)),
        *(() if after is None else (after[1], after[2])),
        *(() if wanted.run_id is None else (wanted.run_id,)),
        paired((f"{app}:{workflow} at {place}", _quoted(names)) for app, workflow, place, names in wanted.unasked),
        wanted.limit + 1,
    )
    return [Unasked(*row) for row in rows]


def _quoted(names: Iterable[str]) -> str:
    """Return names as they are within the JSON of `Run.callbacks`."""
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in names)
