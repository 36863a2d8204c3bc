"""The parts of runs: children, journaled steps, the questions that people answer, and checkpoints for live streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from stepwell.console.reading.views import Child, OpenSignal, Reading, StepView, TakenSignal, Waiting
from stepwell.definition.authoring.context import Show
from stepwell.definition.model import Definition, Transition
from stepwell.definition.values.narrowing import narrowed, narrows
from stepwell.engine.questions import QuestionRow
from stepwell.engine.run import RunRow
from stepwell.execution.clock import to_datetime
from stepwell.execution.versions import seen
from stepwell.runner.arguments import check_limit, cursor_of
from stepwell.runner.models import Checkpoint, Page, checkpoint_of, waiting_signals
from stepwell.runner.query import Reader
from stepwell.runner.readable import value_of
from stepwell.runner.step_models import step_row_of
from stepwell.runner.weight import within_values
from stepwell.store import history, inbox, questions, runs
from stepwell.store.documents import DocumentRow
from stepwell.store.history import History
from stepwell.store.reading import feed, overview
from stepwell.store.reading.feed import FeedEntry, Horizon, Visible
from stepwell.store.tables import moment
from stepwell.store.tx import Tx

_HIDDEN: Final = {"show": "hidden"}
__all__ = ["PAGE", "Checkpoints", "FeedEntry", "Horizon", "Visible", "checkpoint"]
PAGE: Final = 200
"""Rows in a page; a page with fewer rows is the last one."""


@dataclass(frozen=True, slots=True)
class Parts(Reading):
    """The parts of single runs."""

    async def children(self, workflow_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Child]:
        """Return the runs that a run started, newest first. Raises WorkflowNotFound."""
        check_limit(limit)
        before = cursor_of(cursor)
        workflow_id = (await self.reader.row(workflow_id)).id
        found, links = await self.reader.read(
            lambda tx: (overview.children(tx, workflow_id, limit + 1, before), overview.links(tx, workflow_id))
        )
        shown = {link.get("workflow_id"): link for link in map(value_of, links) if isinstance(link, dict)}
        more = found[limit - 1].id if len(found) > limit else None
        return Page(
            items=tuple(self._child(row, shown.get(row.id, _HIDDEN)) for row in found[:limit]), next_cursor=more
        )

    def _child(self, row: RunRow, shown: Mapping[str, Any]) -> Child:
        return Child(
            run=self._model(row),
            callback=row.callback,
            label=shown.get("label"),
            show=shown["show"] if shown.get("show") in get_args(Show) else "hidden",
            on_parent_end="abandon" if row.on_parent_end == "abandon" else "cancel",
        )

    async def steps(
        self, workflow_id: str, *, visit: int | None = None, limit: int = 1_000, most_bytes: int | None = None
    ) -> list[StepView]:
        """Return the steps that the run journaled last (in one visit), oldest first. Raises WorkflowNotFound."""
        workflow_id = (await self.reader.row(workflow_id)).id
        found = await self.reader.read(lambda tx: history.steps_of(tx, workflow_id, visit, limit, most_bytes))
        if most_bytes is not None:
            found = within_values(found, lambda row: (row.value,), last=True)
        return [
            StepView(**step_row_of(row).model_dump(), recorded_at=to_datetime(moment(row.recorded_at) or 0))
            for row in found
        ]


@dataclass(frozen=True, slots=True)
class Questions(Reading):
    """The signals that people may send, without those that a child is going to send."""

    async def waiting(
        self, *, app_name: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Waiting]:
        """Return the runs that wait for a person, newest first, without those that only wait for a child."""
        check_limit(limit)
        before = cursor_of(cursor)
        places = [
            (app, one.name, place.name)
            for app, one in self.definitions(ready_made=True)
            if app_name in (None, app)
            for place in one.places.values()
            if any(t.kind == "signal" for t in place.waiting)
        ]

        older = [
            (app, one.name, one.version)
            for app, one in self.definitions()
            if one.migrations and app_name in (None, app)
        ]
        listed = await self.reader.read(lambda tx: overview.waiting(tx, places, older, self._user, limit, before))
        found = [await self._waits(run) for run in listed.runs]
        return Page(items=tuple(one for one in found if one.asks), next_cursor=listed.before)

    async def _waits(self, row: RunRow) -> Waiting:
        definition = self._core.shared.registry.find(row.app_name, row.workflow_name)
        whole: RunRow | None = row
        older = definition is not None and definition.migrations and row.workflow_version < definition.version
        if older or narrows(definition):
            # Where it is for this code, its migrations say, which need its args and state; the type of an answer needs args.
            whole = await self.reader.read(lambda tx: runs.load_one(tx, row.id))
        run, since = self._model(row), to_datetime(row.entered_at)
        if whole is not None and whole is not row:
            run = run.model_copy(update={"waiting_for": waiting_signals(whole, definition)})
        return Waiting(run=run, asks=_asks(whole or row, definition), since=since)

    async def asks(self, workflow_id: str) -> list[OpenSignal]:
        """Return the signals that a person may send to the run now. Raises WorkflowNotFound."""
        row = await self.reader.row(workflow_id)
        found = _asks(row, self._core.shared.registry.find(row.app_name, row.workflow_name))
        asked = {} if row.timers is None else await self.reader.read(lambda tx: _asked(tx, row))
        return [_in_its_words(one, asked.get(one.transition)) for one in found]

    async def taken(self, workflow_id: str) -> TakenSignal | None:
        """Return the signal with which the run has failed, None if there is none. Raises WorkflowNotFound."""
        row = await self.reader.row(workflow_id)
        definition = self._core.shared.registry.find(row.app_name, row.workflow_name)
        bound = row.bound_signal
        signal = None if bound is None else await self.reader.read(lambda tx: inbox.whole(tx, bound))
        taker = None if definition is None else _taker(definition, row)
        if signal is None or definition is None or taker is None:
            return None
        asked = _ask(definition, taker, row.args).model_dump(by_alias=False)
        return TakenSignal(**asked, data=value_of(signal.data), answered_by=signal.user_id)


def _asked(tx: Tx, row: RunRow) -> dict[str, QuestionRow]:
    """Return the questions of the visit that the run is in, by their transitions."""
    return {one.transition: one for one in questions.of_run(tx, row.id) if one.visit == row.visit}


def _in_its_words(one: OpenSignal, question: QuestionRow | None) -> OpenSignal:
    """Return the signal as its question puts it."""
    if question is None:
        return one
    text = one.description if question.text is None else " ".join(question.text.split())
    return one.model_copy(update={"title": question.title, "description": text})


def _taker(definition: Definition, row: RunRow) -> Transition | None:
    """Return the transition that took the signal of a run that has failed or is going to try again."""
    if row.bound is None or row.status not in ("failed", "retrying"):
        return None
    takers = definition.named(definition.current(row.bound))
    return next((t for t in takers if t.source == row.place), takers[0] if takers else None)


def _asks(row: RunRow, definition: Definition | None) -> tuple[OpenSignal, ...]:
    names = waiting_signals(row, definition)
    if definition is None or not names:
        return ()
    place = definition.places[seen(definition, row).place]
    return tuple(_ask(definition, t, row.args) for t in place.waiting if t.kind == "signal" and t.name in names)


def _ask(definition: Definition, t: Transition, args: str) -> OpenSignal:
    payload = t.payload
    return OpenSignal(
        transition=t.name,
        title=t.name.replace("_", " ").capitalize(),
        description=" ".join((getattr(definition.workflow, t.method).__doc__ or "").split()),
        optional=payload is None or payload.optional,
        schema=None if payload is None else narrowed(definition, payload, args).schema(),
        source=t.source,
        target=t.target,
    )


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Reads rows of the history for a live stream. Raises StoreUnavailable or TooManyReads."""

    reader: Reader

    async def of_run(self, run_id: str, version: int) -> tuple[Sequence[FeedEntry], Sequence[DocumentRow], bool]:
        """Return a page of a run's rows after this version, oldest first, their documents, and whether it is the last."""
        return await self.reader.read(
            lambda tx: feed.with_documents(tx, feed.of_run(tx, run_id, version, PAGE), (run_id,), PAGE)
        )

    async def is_over(self, run_id: str, version: int) -> bool:
        """Return whether no row can follow this version: the run is finished, or no longer exists."""
        run = await self.reader.read(lambda tx: runs.load_one(tx, run_id))
        return run is None or (run.finished and run.version <= version)

    async def onward(self, seen: Horizon, until: Horizon, visible: Visible) -> tuple[Horizon, Sequence[FeedEntry]]:
        """Return the next horizon from `seen` toward `until` at which reading may stop, and the first page before it.

        It is some thousand rows further, however few of them are visible: a read walks over no more.
        """

        def query(tx: Tx) -> tuple[Horizon, list[FeedEntry]]:
            if not feed.any_visible(tx, visible):
                return until, []
            stop = feed.halt(tx, seen, until, visible=visible)
            return stop, feed.between(tx, seen, stop, 0, PAGE, visible)

        return await self.reader.read(query)

    async def between(self, seen: Horizon, until: Horizon, after: int, visible: Visible) -> Sequence[FeedEntry]:
        """Return a page of the visible rows committed between two horizons, after this number in commit order."""
        return await self.reader.read(lambda tx: feed.between(tx, seen, until, after, PAGE, visible))


def checkpoint(entry: FeedEntry) -> Checkpoint:
    """Return the row as a model, without its state, which a stream doesn't carry, and without a traceback."""
    return checkpoint_of(History(entry.row, None), entry.answered_by, traces=False)
