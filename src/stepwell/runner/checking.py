"""The check of runs in flight against the code: what it can't carry on, counted by workflow, version, place and reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from stepwell.engine.run import Inbox, RunRow
from stepwell.execution.fitness import why_left
from stepwell.runner.core import Core
from stepwell.store.reading import in_flight
from stepwell.store.reading.in_flight import InFlight
from stepwell.store.tx import Tx

_PAGE: Final = 100
_REASONS: Final = 10
"""Reasons that are told apart at one place; those beyond are counted together."""
_MOST_CHARS: Final = 1_000


class Misfit(BaseModel):
    """Runs that the code can't carry on, and why. They stay as they are until the code fits."""

    model_config = ConfigDict(frozen=True)

    app_name: str
    workflow: str
    workflow_version: int
    """The version that the runs are stored in."""
    place: str
    runs: int
    reason: str
    """The fault, and what mends it."""
    example: str
    """The id of one of the runs."""


class _Group(NamedTuple):
    app_name: str
    workflow: str
    version: int
    place: str


class Reached(NamedTuple):
    """The point that a check has come to: past the statuses before this one, and in this one past an id."""

    status: str
    run_id: str


class Checked(NamedTuple):
    """The misfits that a check has found, and the point that it has come to; None if it has looked at all runs."""

    misfits: list[Misfit]
    reached: Reached | None


BEGINNING: Final = Reached(in_flight.STATUSES[0], "")


async def misfits(core: Core) -> list[Misfit]:
    """Return all runs in flight of the registered apps, failed ones included, that this process's code can't carry on.

    Each run is loaded, migrated and validated in memory, a page at a time, and nothing is written. A run that changes its
    status meanwhile may be counted twice or not at all. Raises StoreUnavailable.
    """
    return (await check(core)).misfits


async def check(
    core: Core, begin: Reached = BEGINNING, *, most: int | None = None, apps: frozenset[str] | None = None
) -> Checked:
    """Do the same from where an earlier check has come to, over some `most` runs, and tell only of those of these apps.

    Raises StoreUnavailable.
    """
    found: dict[_Group, dict[str, tuple[int, str]]] = {}
    seen = 0
    async for reached, page in _pages(core, begin):
        for run in page.runs:
            if apps is None or run.app_name in apps:
                _look(core, run, page.inboxes.get(run.id, ()), found)
        seen += len(page.runs)
        if most is not None and seen >= most:
            return Checked(_listed(found), reached)
        await asyncio.sleep(0)  # validating a page takes some milliseconds: others have their turn
    return Checked(_listed(found), None)


async def _pages(core: Core, begin: Reached) -> AsyncIterator[tuple[Reached, InFlight]]:
    """Yield the pages of runs behind `begin`, each with how far one is after it."""
    for status in in_flight.STATUSES[in_flight.STATUSES.index(begin.status) :]:
        after = begin.run_id if status == begin.status else ""
        while (page := await _page(core, status, after)).runs:
            after = page.runs[-1].id
            yield Reached(status, after), page


def _look(core: Core, run: RunRow, inbox: Inbox, found: dict[_Group, dict[str, tuple[int, str]]]) -> None:
    why = why_left(core.shared.registry.find(run.app_name, run.workflow_name), run, inbox)
    if why is not None:
        _count(found, run, str(why)[:_MOST_CHARS])


def _listed(found: dict[_Group, dict[str, tuple[int, str]]]) -> list[Misfit]:
    return [
        _misfit(group, reason, *counted) for group in sorted(found) for reason, counted in sorted(found[group].items())
    ]


async def _page(core: Core, status: str, after: str) -> InFlight:
    apps = core.shared.registry.apps

    def query(tx: Tx) -> InFlight:
        return in_flight.page(tx, apps, status, after, _PAGE)

    return await core.store.read(query)


def _count(found: dict[_Group, dict[str, tuple[int, str]]], run: RunRow, why: str) -> None:
    reasons = found.setdefault(_Group(run.app_name, run.workflow_name, run.workflow_version, run.place), {})
    if why not in reasons and len(reasons) >= _REASONS:
        why = next((one for one in reasons if one.startswith(_OTHERS)), f"{_OTHERS}{why}")
    number, example = reasons.get(why, (0, run.id))
    reasons[why] = (number + 1, example)


_OTHERS: Final = "various reasons, for example: "


def _misfit(group: _Group, reason: str, number: int, example: str) -> Misfit:
    return Misfit(
        app_name=group.app_name,
        workflow=group.workflow,
        workflow_version=group.version,
        place=group.place,
        runs=number,
        reason=reason,
        example=example,
    )
