"""What waits for a person."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.definition.model import Definition, Transition
from stepwell.engine.run import Run as RunRow
from stepwell.execution.clock import to_datetime
from stepwell.runner.models import Page
from stepwell.runner.query import check_limit, cursor_of
from stepwell.runner.sight import Sight
from stepwell.runner.views import Ask, Waiting
from stepwell.store import overview, queries
from stepwell.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Questions(Sight):
    """The signals that people may send; what a child is going to answer is none."""

    async def waiting(
        self, *, app_name: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Waiting]:
        """The runs that wait for a person, newest first. What a child is going to answer is left out."""
        check_limit(limit)
        before = cursor_of(cursor)
        places = [
            (app, one.name, place.name)
            for app, one in self.definitions()
            if app_name in (None, app)
            for place in one.places.values()
            if any(t.kind == "signal" for t in place.waiting)
        ]

        def query(tx: Tx) -> tuple[queries.Listed, set[tuple[str, str]]]:
            listed = overview.waiting(tx, places, self._user, limit, before)
            return listed, overview.called_back(tx, [run.id for run in listed.runs])

        listed, called = await self._core.store.read(query)
        found = [self._waits(run, called) for run in listed.runs]
        return Page(items=tuple(one for one in found if one.asks), next_cursor=listed.before)

    def _waits(self, row: RunRow, called: set[tuple[str, str]]) -> Waiting:
        definition = self._core.shared.registry.find(row.app_name, row.workflow_name)
        return Waiting(run=self._model(row), asks=_asks(row, definition, called), since=to_datetime(row.entered_at))

    async def asks(self, workflow_id: str) -> list[Ask]:
        """The signals that a person may send to the run now. Raises WorkflowNotFound."""
        row = await self.reader.row(workflow_id)
        called = await self._core.store.read(lambda tx: overview.called_back(tx, [row.id]))
        return list(_asks(row, self._core.shared.registry.find(row.app_name, row.workflow_name), called))


def _asks(row: RunRow, definition: Definition | None, called: set[tuple[str, str]]) -> tuple[Ask, ...]:
    place = None if definition is None or row.finished or row.status == "failed" else definition.places.get(row.place)
    if definition is None or place is None:
        return ()
    return tuple(_ask(definition, t) for t in place.waiting if t.kind == "signal" and (row.id, t.name) not in called)


def _ask(definition: Definition, t: Transition) -> Ask:
    payload = t.payload
    return Ask(
        transition=t.name,
        title=t.name.replace("_", " ").capitalize(),
        description=" ".join((getattr(definition.workflow, t.method).__doc__ or "").split()),
        optional=payload is None or payload.optional,
        schema=None if payload is None else payload.codec.schema(),
        source=t.source,
        target=t.target,
    )
