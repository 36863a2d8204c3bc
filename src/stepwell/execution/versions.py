"""Runs of earlier versions, as this code sees them: migrated, and with the names that transitions have now.

- Migrations run in order whenever a run is loaded, before its guards, on copies. They are pure: what one makes is stored
  with the run's next checkpoint, and until then the row stays as the earlier code left it, so that a rollback finds it.
- Parking, handing back and leaving aside store nothing of it.
- A missing migration, one that raises, or a result that doesn't fit this code leaves the run as it is (rule 34).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stepwell.definition.authoring.migration import Migration
from stepwell.definition.model import Definition
from stepwell.definition.text import message_of, told
from stepwell.definition.values.inputs import plain_json
from stepwell.engine.choose import Unfit, misfit, no_link
from stepwell.engine.run import Inbox, RunRow
from stepwell.execution.storage import Journal

_PLACE, _FAILING, _BOUND, _TIMERS = 0, 4, 6, 9
"""Positions in the fields of an interrupted visit: see `engine.visits`."""


def current(definition: Definition, run: RunRow) -> RunRow | Unfit:
    """Return the run as this code sees it; Unfit where no migration leads to it, or one of them can't be carried out.

    Calls user code, whose exceptions are the reason of the Unfit.
    """
    if definition.renamed:
        run = _renamed(definition, run)
    if not definition.migrations or run.workflow_version >= definition.version or run.finished:
        return run
    missing = no_link(definition, run)
    return _migrated(definition, run) if missing is None else Unfit(missing)


def seen(definition: Definition | None, run: RunRow) -> RunRow:
    """Return the run as this code sees it, or as it is stored where this code doesn't fit it."""
    if definition is None:
        return run
    found = current(definition, run)
    return run if isinstance(found, Unfit) else found


def fitted(definition: Definition | None, run: RunRow) -> RunRow | Unfit:
    """Return the run as this code sees it; Unfit where it can't execute it because of its version, args or state."""
    if definition is None or run.workflow_version > definition.version:
        return Unfit(misfit(definition, run) or "")
    found = current(definition, run)
    if isinstance(found, Unfit):
        return found
    try:
        if definition.args is not None:
            definition.args.load(found.args)
        if found.state != definition.initial_state:
            definition.state.load(found.state)
    except BaseException as error:  # noqa: BLE001 - a validator of the user's may raise anything
        return Unfit(f"its args or state no longer fit {definition.workflow.__name__}: {message_of(error)}")
    return found


def known_inbox(definition: Definition, inbox: Inbox) -> Inbox:
    """Return the signals with the names that their transitions have now."""
    if not definition.renamed:
        return inbox
    return tuple(signal._replace(name=definition.current(signal.name)) for signal in inbox)


def known_journal(definition: Definition, journal: Journal) -> Journal:
    """Return the journal by the first names of its transitions."""
    if not definition.renamed:
        return journal
    first = {name: t.first_name for t in definition.transitions for name in (t.name, *t.was)}
    return {(first.get(transition, transition), step): value for (transition, step), value in journal.items()}


# -- migrations -------------------------------------------------------------------------------------------------------


def _migrated(definition: Definition, run: RunRow) -> RunRow | Unfit:
    version = run.workflow_version
    try:
        made = _carried_on(definition, run, run.place)
        place = _place(definition, made.place)
        changes: dict[str, Any] = {
            "workflow_version": definition.version,
            "args": run.args if definition.args is None else _fitted("args", definition.args, made.args),
            "state": _fitted("state", definition.state, made.state),
            "result": run.result if made.result is None and run.result == "null" else _result(made.result),
            "place": place,
        }
        if run.moves_to is not None:
            changes["moves_to"] = _place(definition, _carried_on(definition, run, run.moves_to).place)
        if run.detours is not None:
            changes["detours"] = _detours(definition, run, run.detours)
    except BaseException as error:  # noqa: BLE001 - migrations and validators are user code: they may raise anything
        return Unfit(
            f"it is of version {version}, and can't be migrated to version {definition.version} of "
            f"{definition.workflow.__name__}: {error if isinstance(error, MigrationMisfit) else told(error)}"
        )
    return run._replace(**changes)


def _carried_on(definition: Definition, run: RunRow, place: str) -> Migration:
    """Return what the migrations, in order, make of the run if it stands at `place`."""
    result = None if run.result is None else json.loads(run.result)
    made = Migration(run.workflow_version, json.loads(run.args), json.loads(run.state), result, place)
    for version in range(run.workflow_version, definition.version):
        made = Migration(version, made.args, made.state, made.result, made.place)
        definition.migrations[version](made)
    return made


class MigrationMisfit(Exception):
    """A result of a migration that the code doesn't fit."""


def _place(definition: Definition, place: Any) -> str:
    if place not in definition.places or place == "end":
        raise MigrationMisfit(f"{definition.workflow.__name__} has no place {place!r} where a run can go on")
    return str(place)


def _fitted(what: str, codec: Any, value: Any) -> str:
    """Return the value as JSON with all its defaults, as this code would have stored it."""
    try:
        made: str = codec.dump(codec.load(plain_json(value)))
    except BaseException as error:
        raise MigrationMisfit(f"what it makes of the {what} doesn't fit: {told(error)}") from error
    return made


def _result(value: Any) -> str | None:
    return None if value is None else plain_json(value)


def _detours(definition: Definition, run: RunRow, detours: str) -> str:
    visits = json.loads(detours)
    for visit in visits:
        visit[_PLACE] = _place(definition, _carried_on(definition, run, visit[_PLACE]).place)
    return json.dumps(visits)


# -- names ------------------------------------------------------------------------------------------------------------


def _renamed(definition: Definition, run: RunRow) -> RunRow:
    """Return the run with the names that the transitions in its row have now; the same where none is an old one."""
    if not any((run.failing, run.bound, run.callbacks, run.detours, run.timers)):
        return run
    name = definition.current
    try:
        return run._replace(
            failing=_tries(definition, run.failing),
            timers=_timers(definition, run.timers),
            bound=None if run.bound is None else name(run.bound),
            callbacks=run.callbacks and json.dumps(sorted({name(one) for one in json.loads(run.callbacks)})),
            detours=run.detours and json.dumps([_visit(definition, visit) for visit in json.loads(run.detours)]),
        )
    except (ValueError, TypeError, AttributeError):  # a row that was spoilt by hand is left as it is
        return run


def _tries(definition: Definition, failing: str | None) -> str | None:
    if failing is None:
        return None
    tries: Mapping[str, int] = json.loads(failing)
    return json.dumps({definition.current(one): number for one, number in tries.items()})


def _timers(definition: Definition, timers: str | None) -> str | None:
    if timers is None:
        return None
    kept = json.loads(timers)
    for kind in ("after", "at"):
        kept[kind] = {definition.current(one): moment for one, moment in kept[kind].items()}
    return json.dumps(kept, ensure_ascii=False)


def _visit(definition: Definition, visit: list[Any]) -> list[Any]:
    visit[_FAILING] = _tries(definition, visit[_FAILING])
    visit[_BOUND] = visit[_BOUND] and definition.current(visit[_BOUND])
    if len(visit) > _TIMERS:
        visit[_TIMERS] = _timers(definition, visit[_TIMERS])
    return visit
