"""Whether a commit whose answer was lost is there, looked up by id and version (semantics 35)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.engine.commit import Commit
from stepwell.engine.run import Run
from stepwell.errors import StoreUnavailable
from stepwell.store import history, runs
from stepwell.store.base import Advance, Begin, Item, Record
from stepwell.store.tx import Tx


def stored(tx: Tx, items: Sequence[Item], answers: Sequence[Any]) -> bool | None:
    """Whether the one transaction of these items was committed: an item that can be looked up speaks for all.

    None: none of them can be.
    """
    for item, answer in zip(items, answers, strict=True):
        found = _item_stored(tx, item, answer)
        if found is not None:
            return found
    return None


def _item_stored(tx: Tx, item: Item, answer: Any) -> bool | None:
    match item:
        case Begin() if isinstance(answer, list):
            created = [started.run.id for started in answer if started.created]
            return bool(runs.existing(tx, created)) if created else None
        case Advance(commit) if isinstance(answer, Run):
            return commit_stored(tx, commit, answer)
        case Record(step) if answer is None:
            return step in history.steps_of(tx, step.run_id)
        case _:
            return None


def commit_stored(tx: Tx, commit: Commit, run: Run) -> bool | None:
    """Whether this commit made the run what `run` says; None if nothing tells."""
    if commit.history is not None:
        row = history.at(tx, run.id, commit.history.version)
        return row is not None and row._replace(state=None) == commit.history._replace(state=None)
    found = runs.load_one(tx, run.id)
    if found is None or found == run:
        return found is not None
    return False if (found.version, found.claim) == (commit.version, commit.claim) else None


def repeated(tx: Tx, commit: Commit) -> Run | None:
    """The run, if this very commit is there already and nobody has had the run since; else None."""
    found = runs.load_one(tx, commit.run.id)
    if found is None or (found.version, found.claim, found.owner) != (
        commit.run.version,
        commit.run.claim,
        commit.run.owner,
    ):
        return None
    return found if commit_stored(tx, commit, commit.run) else None


def unknown(item: Item, cause: object) -> StoreUnavailable:
    """The error of an item of which nobody can tell now whether it was stored."""
    workflow_id = _run_id(item)
    what = f"Look for run {workflow_id} later" if workflow_id else "Look later"
    return StoreUnavailable(
        f"The answer to a commit was lost: {cause}. Whether it was stored is unknown. {what}.",
        outcome="unknown",
        workflow_id=workflow_id,
    )


def _run_id(item: Item) -> str | None:
    match item:
        case Begin(commits):
            return commits[0].run.id if commits else None
        case Advance(commit):
            return commit.run.id
        case Record(step):
            return step.run_id
        case _:
            return None
