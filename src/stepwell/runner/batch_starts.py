"""The starts of a batch: all validated before any is stored, and stored together or not at all.

A batch may be large. What is kept of each start until it is stored is its `Request`: the rows are made of it piece by
piece while they are written, by `engine.begin`, which calls no user code.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from hashlib import sha256
from math import floor, isfinite
from typing import Any, Final, NamedTuple, overload

from stepwell.definition.model import Definition
from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin, begin_member
from stepwell.engine.gates import group_gate
from stepwell.engine.groups import BEHIND, MOST_MEMBERS, GroupRow, Slot
from stepwell.engine.run import Moment
from stepwell.errors import IdempotencyConflict, InvalidArgs, StepwellError
from stepwell.execution.shared import Shared, new_id
from stepwell.runner.arguments import MAX_NAME, check_in_flight, users_key
from stepwell.runner.start import Origin, Start, listed, requested
from stepwell.store import batches, conflicts, deciding, groups, runs
from stepwell.store.tx import Tx
from stepwell.store.writing.apply import Applier
from stepwell.store.writing.starts import StartKey, key_of

_TURN: Final = 100
"""Starts that are validated in one turn of the loop."""
_CHUNK: Final = 1_000
"""Runs that are made and written by one part of a large write."""


class NamedStarts(Sequence[Start]):
    """Starts that are made one at a time, of something that people know by another name than `starts[0]`."""

    @abstractmethod
    def where(self, index: int) -> str:
        """Return the name of a start for messages, as `line 3`."""

    @abstractmethod
    def loc(self, index: int) -> tuple[str | int, ...]:
        """Return the place of a start, as errors of validation begin with it."""


class ItemStarts(NamedStarts):
    """Starts of one workflow from a list of args, which a request calls its items."""

    def __init__(self, workflow: str, items: Sequence[Any]) -> None:
        self._workflow = workflow
        self._items = items

    def where(self, index: int) -> str:
        return f"items[{index}]"

    def loc(self, index: int) -> tuple[str | int, ...]:
        return "body", "items", index

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Start: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Start]: ...
    def __getitem__(self, index: int | slice) -> Start | Sequence[Start]:
        if isinstance(index, slice):
            return [Start(self._workflow, args) for args in self._items[index]]
        return Start(self._workflow, self._items[index])


def where(starts: Sequence[Start], index: int) -> str:
    """Return the name of a start for messages."""
    return starts.where(index) if isinstance(starts, NamedStarts) else f"starts[{index}]"


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The checked options of a batch."""

    label: str | None = None
    max_in_flight: int | None = None
    stop_after_failures: int | float | None = None
    key: str | None = None

    def stop_after(self, total: int) -> int | None:
        """Return the number of failed runs with more than which a batch of this size is stopped."""
        given = self.stop_after_failures
        # As it is written: 0.29 of 100 are 29, which no product of floats says.
        return floor(Decimal(repr(given)) * total) if isinstance(given, float) else given


def options_of(label: Any, max_in_flight: Any, stop_after_failures: Any, key: Any) -> BatchOptions:
    """Return the options of a batch. Raises InvalidArgs."""
    if label is not None and not is_text(label, MAX_NAME):
        raise InvalidArgs(f"label={shown(label)}: give a text of 1 to {MAX_NAME} characters, without NUL.")
    check_in_flight(max_in_flight)
    given = stop_after_failures
    whole = type(given) is int and 0 <= given < 2**31
    share = type(given) is float and isfinite(given) and 0 <= given < 1
    if given is not None and not (whole or share):
        raise InvalidArgs(
            f"stop_after_failures={shown(given)}: give the number of failed runs that are tolerated, 0 or more, or their share "
            "of all, from 0.0 to below 1.0, as in 0.05."
        )
    return BatchOptions(label, max_in_flight, given, users_key(key))


def counted(starts: Any) -> Sequence[Start]:
    """Return the starts as they are now. Raises InvalidArgs for too many, or something else than starts."""
    found = starts if isinstance(starts, NamedStarts) else listed(starts, MOST_MEMBERS + 1)
    if len(found) > MOST_MEMBERS:
        raise too_many(len(starts) if isinstance(starts, Sequence) else len(found))
    return found


def too_many(number: int) -> InvalidArgs:
    """Return the refusal of so many starts."""
    return InvalidArgs(
        f"{number:,} starts: a batch has at most {MOST_MEMBERS:,}. Give several batches the same label instead."
    )


class Prepared(NamedTuple):
    """The validated starts of a batch."""

    starts: Sequence[Start]
    requests: list[Request]
    definitions: list[Definition]
    fingerprint: str
    """Of the workflows and args, as they would be stored."""
    now: Moment

    @property
    def workflow_name(self) -> str | None:
        """The name of the workflow, if they all have the same."""
        names = {one.name for one in self.definitions}
        return names.pop() if len(names) == 1 else None

    def beside(self) -> list[Commit]:
        """Return one commit for each of their workspaces."""
        firsts = {request.workspace_id: index for index, request in reversed([*enumerate(self.requests)])}
        return [begin(self.definitions[index], self.requests[index], self.now) for index in firsts.values()]


async def prepared(shared: Shared, starts: Sequence[Start], origin: Origin, batch_id: str) -> Prepared:
    """Return the starts, validated; the loop has its turns between. Raises what `run` raises, and names the start."""
    found = Prepared(starts, [], [], "", shared.clock.now())
    marks = sha256()
    keys: dict[StartKey, int] = {}
    for index, start in enumerate(starts):
        try:
            users_key(start.idempotency_key)
            definition, request = requested(shared, start, origin, found.now)
        except StepwellError as error:
            raise at(starts, index, error) from None
        _refuse_twice(starts, index, request, keys)
        found.definitions.append(definition)
        found.requests.append(
            request._replace(group_id=batch_id, group_index=index, behind=request.behind + index * BEHIND)
        )
        marks.update(f"{request.app_name}\0{definition.name}\0{request.args}\n".encode("utf-8", "surrogatepass"))
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    return found._replace(fingerprint=marks.hexdigest())


def at(starts: Sequence[Start], index: int, error: StepwellError) -> StepwellError:
    """Return the error of a start, which says which one it is."""
    text = f"{where(starts, index)}: {error}"
    if isinstance(error, InvalidArgs):
        place = starts.loc(index) if isinstance(starts, NamedStarts) else (index,)
        return InvalidArgs(text, [{**one, "loc": (*place, *one.get("loc", ()))} for one in error.errors()])
    error.args = (text,)
    return error


def _refuse_twice(starts: Sequence[Start], index: int, request: Request, keys: dict[StartKey, int]) -> None:
    key = key_of(request)
    if key is None:
        return
    earlier = keys.setdefault(key, index)
    if earlier != index:
        raise IdempotencyConflict(
            f"{where(starts, index)}: its idempotency key {request.idempotency_key!r} is that of {where(starts, earlier)} "
            "too, and a run is in a batch once: leave one of them out, or use another key."
        )


# -- storing ----------------------------------------------------------------------------------------------------------


class Storing:
    """The write of a batch, in parts, each of which makes and inserts some of its runs."""

    def __init__(self, applier: Applier, prepared: Prepared, row: GroupRow) -> None:
        self._applier = applier
        self._prepared = prepared
        self.row = row
        self.earlier: GroupRow | None = None
        """The batch that its idempotency key belongs to: then nothing is written."""

    def parts(self) -> Iterator[Callable[[Tx], bool]]:
        """Yield the parts in order; the write may be begun anew."""
        self.earlier = None
        yield self._first
        for start in range(0, len(self._prepared.requests), _CHUNK):
            yield partial(self._some, start)

    def whole(self, tx: Tx) -> None:
        """Write all parts, in a transaction of the caller's."""
        for part in self.parts():
            if not part(tx):
                return

    def _first(self, tx: Tx) -> bool:
        row = self.row
        if row.idempotency_key is not None:
            found = batches.by_key(tx, row.app_name, row.user_id, row.idempotency_key)
            # The same id: it was stored by this very call, whose answer was lost.
            if found is not None and found.id != row.id:
                self.earlier = found
                return False
        conflicts.lock_all(tx, (one for request in self._prepared.requests for one in request.conflicts))
        groups.insert(tx, row)
        return True

    def _some(self, start: int, tx: Tx) -> bool:
        members = [self._member(index) for index in range(start, min(start + _CHUNK, self.row.total))]
        commits = tuple(commit for commit, _ in members)
        self._refuse_taken(tx, start, commits)
        [answer] = self._applier.begin(tx, [commits])
        if isinstance(answer, Exception):
            raise answer
        for index, started in enumerate(answer, start):
            if not started.created:
                raise self._not_mine(index, started.run.id)
        deciding.take_turns(tx, [slot for _, slots in members for slot in slots])
        return True

    def _member(self, index: int) -> tuple[Commit, list[Slot]]:
        found, most = self._prepared, self.row.max_in_flight
        definition, request = found.definitions[index], found.requests[index]
        gate = None if most is None else group_gate(self.row.id, most).id
        by_clock = gate is not None and request.due_at is not None and found.starts[index].at is not None
        return begin_member(definition, request, found.now, gate, turn=index < (most or 0), by_clock=by_clock)

    def _refuse_taken(self, tx: Tx, start: int, commits: Sequence[Commit]) -> None:
        """Raise IdempotencyConflict for the first start whose key belongs to another run."""
        keys = [key_of(commit.run) for commit in commits]
        keyed = [key for key in keys if key is not None]
        taken = runs.by_keys(tx, keyed) if keyed else {}
        for index, (key, commit) in enumerate(zip(keys, commits, strict=True), start):
            earlier = None if key is None else taken.get(key)
            if earlier is not None and earlier.id != commit.run.id:
                raise self._not_mine(index, earlier.id)

    def _not_mine(self, index: int, run_id: str) -> IdempotencyConflict:
        return IdempotencyConflict(
            f"{where(self._prepared.starts, index)} wouldn't make a run of this batch: its idempotency key or a limit of its "
            f"workflow leads to run {run_id}, which exists already. Leave it out, or use another key."
        )


def row_of(prepared: Prepared, origin: Origin, options: BatchOptions, batch_id: str) -> GroupRow:
    """Return the batch's own row. One without starts has ended."""
    total, now = len(prepared.requests), prepared.now
    return GroupRow(
        id=batch_id,
        kind="batch",
        app_name=origin.app_name,
        user_id=origin.user_id,
        parent_id=None,
        callback=None,
        callback_meta=None,
        until="all_ended",
        total=total,
        max_in_flight=options.max_in_flight,
        stop_after=options.stop_after(total),
        label=options.label,
        workflow_name=prepared.workflow_name,
        idempotency_key=options.key,
        fingerprint=prepared.fingerprint if options.key is not None else None,
        created_at=now,
        status="running" if total else "ended",
        outcome=None,
        decided_by=None,
        decided_at=None if total else now,
        finished_at=None if total else now,
    )


def new_batch_id() -> str:
    """Return an id for a batch."""
    return new_id()
