"""The reasons why the code of this process can't carry a run on, with what mends them."""

from __future__ import annotations

from typing import NamedTuple

from stepwell.definition.model import Definition
from stepwell.engine.choose import Unfit, misfit, stranger_in
from stepwell.engine.run import Inbox, RunRow
from stepwell.execution.versions import current, fitted, known_inbox


class LeftAside(NamedTuple):
    """The reason why a run is left as it is, and what mends it."""

    why: str
    cure: str

    def __str__(self) -> str:
        return f"{self.why}: {self.cure}"


def why_left(definition: Definition | None, run: RunRow, inbox: Inbox) -> LeftAside | None:
    """Return why this code leaves the run as it is, with the cure; None if it can carry it on."""
    if definition is None:
        return LeftAside("no registered app lists this workflow", "list it again, or cancel the run")
    try:
        return _why(definition, run, inbox)
    except Exception as error:  # noqa: BLE001 - a row that was spoilt by hand doesn't hide the others
        return LeftAside(f"its row can't be read ({type(error).__name__})", "look at what was changed in it by hand")


def _why(definition: Definition, run: RunRow, inbox: Inbox) -> LeftAside | None:
    found = fitted(definition, run)
    if isinstance(found, Unfit):
        return LeftAside(found.reason, _cure(definition, run))
    if (why := misfit(definition, found)) is not None:
        return LeftAside(why, _misplaced(definition, run))
    if (why := stranger_in(definition, known_inbox(definition, inbox))) is not None:
        return LeftAside(why, "bring the transition back, or give its new name was=")
    return _unwoken(definition, run, found)


def _cure(definition: Definition, run: RunRow) -> str:
    if run.workflow_version > definition.version:
        return f"deploy the code of version {run.workflow_version}"
    if isinstance(current(definition, run), Unfit):
        return (
            "write that migration"
            if definition.missing_link(run.workflow_version) is not None
            else "mend the migration"
        )
    return _migration_cure(definition, run)


def _migration_cure(definition: Definition, run: RunRow) -> str:
    """Return what mends args and state that don't fit."""
    version = definition.version
    known = "" if run.workflow_version < version else f" and version={version + 1}"
    return f"let the types take what is stored, or write @migrate(from_version={run.workflow_version}){known}"


def _misplaced(definition: Definition, run: RunRow) -> str:
    """Return what mends a place or a transition that the code lacks."""
    if run.bound is not None and run.place in definition.places:
        return f"give its new name was={run.bound!r}, or bring it back"
    known = "" if run.workflow_version < definition.version else f" and version={definition.version + 1}"
    return f"bring the place back, or write @migrate(from_version={run.workflow_version}){known} that sets old.place"


def _unwoken(definition: Definition, run: RunRow, found: RunRow) -> LeftAside | None:
    """Return why nothing would ever wake the run: it was parked by other code, at a place where this one doesn't wait."""
    idle = run.status == "waiting" and run.owner is None and run.held_by is None
    if not idle or run.ready_at is not None or run.due_at is not None or definition.places[found.place].waiting:
        return None
    return LeftAside(
        f"it waits at {found.place!r}, where {definition.workflow.__name__} waits for nothing, so that nothing wakes it",
        "add a transition with wait=True there, or migrate it to a place that has one",
    )
