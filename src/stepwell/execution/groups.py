"""The children that `self.start_many` asks for: all validated first, made together with their group, and read again."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from stepwell.definition.authoring.context import OnParentEnd, Show, Until
from stepwell.definition.authoring.document import Link
from stepwell.definition.authoring.groups import Group, GroupItem
from stepwell.definition.authoring.workflow import Start
from stepwell.definition.model import Definition, Transition
from stepwell.definition.text import type_name
from stepwell.definition.values.codec import codec_for
from stepwell.definition.values.inputs import same_meaning, summary
from stepwell.definition.values.misfit import shown
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin_member
from stepwell.engine.gates import group_gate
from stepwell.engine.groups import BEHIND, MOST_MEMBERS, GroupRow, Member, NewGroup, Slot
from stepwell.engine.run import RunRow
from stepwell.errors import GroupNotFound, IdempotencyConflict, InvalidArgs, InvalidPayload, StepwellError
from stepwell.execution.arguments import check_in_flight, id_of, users_key
from stepwell.execution.children import check_choice, checked_label, meta_json
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.starts import Origin, requested
from stepwell.execution.storage import Storage
from stepwell.store.deciding import key_taken
from stepwell.store.writing.starts import StartKey, key_of

_ANY: Final = codec_for(Any)
_VERB: Final = "self.start_many"
_TURN: Final = 50
"""Starts that are validated in one turn of the loop."""
_PAGE: Final = 500
"""Items that are read at a time."""
_PAGE_BYTES: Final = 8 * 1024 * 1024


class Asked(NamedTuple):
    """The arguments of `self.start_many`, besides the starts."""

    callback: str | None
    until: Until
    max_in_flight: int | None
    show: Show
    label: str | None
    meta: dict[str, Any] | None
    on_parent_end: OnParentEnd | None


class Many(NamedTuple):
    """The children of one call: their commits, their group, and their ids in the order of the starts."""

    group: NewGroup
    children: tuple[Commit, ...]
    ids: list[str]
    links: list[Link]


def checked_starts(starts: Any) -> tuple[Start, ...]:
    """Return the starts as they are now. Raises InvalidArgs for anything but a list of them, or too many."""
    if not isinstance(starts, list | tuple):
        raise InvalidArgs(
            f"{_VERB}({shown(starts)}): give a list of Start(workflow, args), as in [Start(Child, args)]."
        )
    if len(starts) > MOST_MEMBERS:
        raise InvalidArgs(
            f"{_VERB}: {len(starts):,} starts; a group has at most {MOST_MEMBERS:,}. Start several groups instead."
        )
    for index, one in enumerate(starts):
        if not isinstance(one, Start):
            raise InvalidArgs(f"{_VERB}: starts[{index}] is {shown(one)}: give a Start(workflow, args).")
    return tuple(starts)


def check_asked(definition: Definition, asked: Asked) -> None:
    """Raise InvalidArgs for options that can't be, or a callback that can't take what it would be called with."""
    check_choice(_VERB, "until", asked.until, get_args(Until))
    check_choice(_VERB, "show", asked.show, get_args(Show))
    check_choice(_VERB, "on_parent_end", asked.on_parent_end, (None, *get_args(OnParentEnd)))
    try:
        check_in_flight(asked.max_in_flight)
    except InvalidArgs as error:
        raise InvalidArgs(f"{_VERB}: {error}") from None
    for transition in definition.named(asked.callback) if asked.callback else ():
        _check_taker(definition, transition, asked)


def _check_taker(definition: Definition, transition: Transition, asked: Asked) -> None:
    if transition.kind != "signal" or transition.payload is None:
        return
    type_ = transition.payload.codec.type
    given = f"{_VERB}(callback={asked.callback!r}, until={asked.until!r}): {definition.workflow.__name__}.{transition.method}"
    if asked.until == "each":
        if _is_group(type_):
            raise InvalidArgs(
                f"{given} takes {type_name(type_)}, and until='each' calls it once for each child, with the child's result: "
                "give until='all_ended' (or 'all_completed', 'first_completed'), or another type."
            )
    elif not _takes_group(type_):
        raise InvalidArgs(
            f"{given} takes {type_name(type_)}, and is called once, with the end of the group: annotate its parameter "
            "Signal[Group[...]] or Group[...], or leave it out; until='each' calls it once for each child."
        )


def _is_group(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Group)


def _takes_group(type_: Any) -> bool:
    origin = get_origin(type_)
    if origin is Annotated:
        return _takes_group(get_args(type_)[0])
    if origin in (Union, types.UnionType):
        return any(map(_takes_group, get_args(type_)))
    kind = type_ if origin is None else origin
    return type_ in (Any, object) or _is_group(type_) or (isinstance(kind, type) and issubclass(kind, dict | Mapping))


# -- made --------------------------------------------------------------------------------------------------------------


async def many_of(
    shared: Shared, storage: Storage, run: RunRow, definition: Definition, starts: Sequence[Start], asked: Asked
) -> Many:
    """Return the children of a group; the loop has its turns between.

    Raises what `self.start` raises, and IdempotencyConflict, with the start that is wrong.
    """
    check_asked(definition, asked)
    label = checked_label(_VERB, asked.label)
    maker = _ChildMaker(shared, run, asked, meta_json(_VERB, asked.meta, shared.limits.payload))
    maker.known = await _known(storage, run, starts)
    links: list[Link] = []
    for index, start in enumerate(starts):
        try:
            title = maker.add(index, start)
        except StepwellError as error:
            error.args = (f"{_VERB}: starts[{index}]: {error}",)
            raise
        if title is not None and asked.show != "hidden":
            links.append(Link(label=label or title, workflow_id=maker.ids[-1], show=asked.show))
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    return Many(NewGroup(maker.row(label), tuple(maker.slots)), tuple(maker.children), maker.ids, links)


async def _known(storage: Storage, run: RunRow, starts: Sequence[Start]) -> dict[StartKey, RunRow]:
    """Return the runs to which the keys of these starts belong already."""
    keys = [
        (start.app_name or run.app_name, run.user_id, users_key(start.idempotency_key) or "")
        for start in starts
        if start.idempotency_key is not None
    ]
    return await storage.keyed(keys) if keys else {}


class _ChildMaker:
    """Makes the children of one group, one after the other."""

    def __init__(self, shared: Shared, run: RunRow, asked: Asked, meta: str | None) -> None:
        self._shared = shared
        self._run = run
        self._asked = asked
        self._meta = meta
        self._now = shared.clock.now()
        self._id = new_id()
        self._gate = None if asked.max_in_flight is None else group_gate(self._id, asked.max_in_flight).id
        self._each = asked.until == "each"
        self._names: set[str] = set()
        self.known: dict[StartKey, RunRow] = {}
        self.children: list[Commit] = []
        self.ids: list[str] = []
        self.slots: list[Slot] = []

    def add(self, index: int, start: Start) -> str | None:
        """Make a child and return its workflow's title; None where its key belongs to a child that is there already."""
        run, asked = self._run, self._asked
        origin = Origin(start.app_name or run.app_name, run.user_id)
        definition, request = requested(self._shared, start, origin, self._now)
        self._names.add(definition.name)
        if (earlier := self._earlier(definition, start, request)) is not None:
            self.ids.append(earlier)
            return None
        if start.workspace_id is None and origin.app_name == run.app_name:
            request = request._replace(workspace_id=run.workspace_id)
        request = request._replace(
            parent_id=run.id,
            callback=asked.callback if self._each else None,
            callback_meta=self._meta if self._each else None,
            on_parent_end=asked.on_parent_end or ("cancel" if asked.callback else "abandon"),
            behind=request.behind + index * BEHIND,
            group_id=self._id,
            group_index=index,
        )
        turn, by_clock = len(self.children) < (asked.max_in_flight or 0), start.at is not None
        child, slots = begin_member(definition, request, self._now, self._gate, turn=turn, by_clock=by_clock)
        self.children.append(child)
        self.slots += slots
        self.ids.append(child.run.id)
        if (key := key_of(request)) is not None:
            self.known[key] = child.run
        return definition.title

    def _earlier(self, definition: Definition, start: Start, request: Request) -> str | None:
        """Return the id of the child of this run to which the start's key belongs already. Raises IdempotencyConflict."""
        key = key_of(request)
        found = None if key is None else self.known.get(key)
        if found is None or key is None:
            return None
        if found.parent_id != self._run.id:
            raise key_taken(found, key[2])
        given = {} if start.args is None else start.args
        if found.workflow_name != definition.name or not (
            found.args == request.args
            or (definition.args is not None and same_meaning(definition.args, found.args, given))
        ):
            raise IdempotencyConflict(
                f"The idempotency key {key[2]!r} belongs to child {found.id} of this run, of {found.workflow_name!r} with other "
                "args: use another key, or the same workflow and args."
            )
        return found.id

    def row(self, label: str | None) -> GroupRow:
        """Return the group's own row."""
        asked = self._asked
        return GroupRow(
            id=self._id,
            kind="group",
            app_name=self._run.app_name,
            user_id=self._run.user_id,
            parent_id=self._run.id,
            callback=None if self._each else asked.callback,
            callback_meta=None if self._each else self._meta,
            until=asked.until,
            total=len(self.children),
            max_in_flight=asked.max_in_flight,
            stop_after=None,
            label=label,
            workflow_name=next(iter(self._names)) if len(self._names) == 1 else None,
            idempotency_key=None,
            fingerprint=None,
            created_at=self._now,
            status="running",
            outcome=None,
            decided_by=None,
            decided_at=None,
            finished_at=None,
        )


# -- read again --------------------------------------------------------------------------------------------------------


async def items_of(shared: Shared, storage: Storage, run: RunRow, group_id: object) -> AsyncIterator[GroupItem[Any]]:
    """Yield the children of a group of the run's user, in the order of the starts; read in pages, each as it stands then.

    Raises GroupNotFound, or InvalidPayload for a result that its workflow's `Result` doesn't load any more.
    """
    after, wanted = -1, id_of(group_id) or ""
    while True:
        found = await storage.members(wanted, run.user_id, after, _PAGE, _PAGE_BYTES)
        if found is None:
            raise GroupNotFound(
                f"self.children({group_id!r}): no group of user {run.user_id!r} has this id; give the group_id of a Group, "
                "or of a run."
            )
        if not found:
            return
        for member in found:
            yield _item(shared, member)
        after = found[-1].position


def _item(shared: Shared, member: Member) -> GroupItem[Any]:
    definition = shared.registry.find(member.app_name, member.workflow_name)
    result = None
    if member.status == "completed" and member.result not in (None, "null"):
        codec = _ANY if definition is None else definition.result
        try:
            result = codec.load(member.result or "null")
        except Exception as error:
            raise InvalidPayload(
                f"The result of child {member.id} ({member.workflow_name}) can't be loaded: {summary(error)}"
            ) from error
    return GroupItem(
        index=member.position, workflow_id=member.id, status=member.status, result=result, error=member.error
    )
