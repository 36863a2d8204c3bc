"""Gates: one limit with one key, and what the runs before it hold (rule 54).

- A start works its keys out, and the run keeps its gates as JSON (`RunRow.gates`). The limit that counts is that of the
  code which decides, where it has the rule, else that which the run has kept: a deployment may change it.
- A run that becomes ready is promised its slots, or it is held behind a gate. A claim takes the slots. A promise keeps
  others from being let through in vain, and binds no claim: what is taken is never more than the limit.
- First executions count for a rate until something of the run is committed: whether a worker that died before had begun
  to execute it isn't known.
- Of each key that takes turns, one run at a time that hasn't begun is ready or held behind another gate. Its turn ends with
  its claim. What has begun needs no turn: it may hold slots for which the run waits that has the turn.
- Of groups only what is taken is looked at here: their own duty lets members through.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, NamedTuple, get_args

from stepwell.definition.model import Rule
from stepwell.engine.run import Moment

GateKind = Literal["executing", "run", "rate", "fair", "group"]
_KINDS: Final = frozenset(get_args(GateKind))
_ALIVE: Final = "alive"
_STARTED: Final = "started"
_FAMILIES: Final = {"executing": "concurrency", "run": "concurrency", "rate": "rate", "fair": "fair"}


class Gate(NamedTuple):
    """One limit with one key: what the runs that have it share."""

    kind: GateKind
    id: str
    """`[family, rule, key]` as JSON, `parts_of` reads it; of a group `group:` and its id."""
    limit: int
    per: Moment | None = None
    """The length of a rate limit's window."""


class GateParts(NamedTuple):
    """The parts of a gate's id."""

    family: str
    """`concurrency`, `rate`, `fair` or `group`."""
    rule: str
    """The rule's name; without one app, workflow and number of the rule, as `shop/order#0`; of a group its id."""
    key: str | None
    user: str | None = None
    """The user whose key it is, where keys are per user."""


def gate_of(rule: Rule, app_name: str, workflow_name: str, key: str | None, user_id: str) -> Gate:
    """Return the gate of this rule of a workflow for this key, worked out for a start of this user."""
    scope: list[str | int | None]
    scope = [app_name, workflow_name, rule.index] if rule.name is None else [rule.name]
    if rule.per_user:
        scope.append(user_id)
    text = json.dumps([_FAMILIES[rule.kind], scope, key], ensure_ascii=False, separators=(",", ":"))
    return Gate(rule.kind, text, rule.limit, rule.per)


def group_gate(group_id: str, limit: int) -> Gate:
    """Return the gate of the members of a group of which so many may be begun and not ended."""
    return Gate("group", f"group:{group_id}", limit)


def group_of(gate_id: str) -> str | None:
    """Return the id of the group whose gate it is; None of a limit."""
    return gate_id.removeprefix("group:") if gate_id.startswith("group:") else None


@lru_cache(maxsize=4096)
def parts_of(gate_id: str) -> GateParts | None:
    """Return what the id says; None if a person has written something else there."""
    if (group := group_of(gate_id)) is not None:
        return GateParts("group", group, None)
    try:
        family, scope, key = json.loads(gate_id)
        name = scope[0] if len(scope) == 1 else f"{scope[0]}/{scope[1]}#{scope[2]}"
        user = scope[3] if len(scope) == 4 else None
        return GateParts(str(family), str(name), None if key is None else str(key), user)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


@lru_cache(maxsize=4096)
def lane_of(gate_id: str) -> tuple[str, str] | None:
    """Return the app and the workflow whose rule it is; None of a limit that has a name, and of a group."""
    try:
        scope = [] if gate_id.startswith("group:") else json.loads(gate_id)[1]
        return (str(scope[0]), str(scope[1])) if len(scope) > 1 else None
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def gates_json(gates: Iterable[Gate], alive: Iterable[str] = ()) -> str | None:
    """Return the gates as a run keeps them, with what later starts find it by; None for neither."""
    rows = [*map(list, gates), *([_ALIVE, found_by, 0, None] for found_by in alive)]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")) if rows else None


@lru_cache(maxsize=4096)
def gates_of(text: str | None) -> tuple[Gate, ...]:
    """Return the gates that a run keeps; none where a person has written something else there."""
    if text is None:
        return ()
    try:
        return tuple(_gate(*one) for one in json.loads(text) if one[0] not in (_ALIVE, _STARTED))
    except (ValueError, TypeError, LookupError, RecursionError):
        return ()


@lru_cache(maxsize=4096)
def found_by(text: str | None) -> tuple[str, ...]:
    """Return what later starts of its key find the run by; nothing of it holds a run back (`engine.conflicts`)."""
    return _rows(text, _ALIVE)


def started_with(text: str | None) -> str | None:
    """Return the digest of the args with which the run was started, where other ones have taken their place since."""
    return next(iter(_rows(text, _STARTED)), None)


def with_start(text: str | None, digest: str) -> str:
    """Return what a run keeps, with the digest of the args with which it was started."""
    rows = json.loads(text or "[]")
    return json.dumps([*rows, [_STARTED, digest, 0, None]], ensure_ascii=False, separators=(",", ":"))


def _rows(text: str | None, kind: str) -> tuple[str, ...]:
    try:
        return tuple(str(one[1]) for one in json.loads(text or "[]") if one[0] == kind)
    except (ValueError, TypeError, LookupError, RecursionError):
        return ()


def _gate(kind: object, gate_id: object, limit: object, per: object) -> Gate:
    if kind not in _KINDS or type(gate_id) is not str or type(limit) is not int or type(per) not in (int, type(None)):
        raise ValueError(kind)
    return Gate(kind, gate_id, limit, per)  # type: ignore[arg-type]


# -- limits of the code ------------------------------------------------------------------------------------------------


class RuleLimits:
    """The limits that this process's code has, by rule."""

    def __init__(self, rules: Callable[[], Iterable[tuple[str, str, Rule]]]) -> None:
        self._rules = rules
        self._known: Mapping[str, Rule] | None = None

    def of(self, gate: Gate) -> Gate:
        """Return the gate with the limit of the code, where that has the rule; else as the run has kept it."""
        if self._known is None:
            self._known = {_stem(gate_of(rule, app, name, None, "").id): rule for app, name, rule in self._rules()}
        rule = self._known.get(_stem(gate.id)) if self._known else None
        return gate if rule is None else gate._replace(limit=rule.limit, per=rule.per)


@lru_cache(maxsize=16384)
def _stem(gate_id: str) -> str:
    parts = parts_of(gate_id)
    return gate_id if parts is None else f"{parts.family} {parts.rule}"


# -- decisions ---------------------------------------------------------------------------------------------------------


class Applicant(NamedTuple):
    """A run before its gates: it becomes ready, or a worker claims it."""

    run_id: str
    app_name: str
    workflow_name: str
    priority: int
    gates: str | None
    claim: int
    version: int
    ready_at: Moment
    """The moment since when it is ready."""
    headstart: Moment

    @property
    def rank(self) -> Moment:
        """Its order among those before a gate."""
        return self.ready_at - self.headstart

    @property
    def first(self) -> bool:
        """True if nothing of it is committed: its next execution counts as its first."""
        return self.version == 0


@dataclass(slots=True)
class Room:
    """A gate with what runs hold of it, while one transaction decides."""

    gate: Gate
    taken: int
    """Slots that count now."""
    promised: int = 0
    """Further ones that ready runs are promised; of turns: runs that have theirs."""
    held: bool = False
    """Some runs are held behind it."""

    @property
    def free(self) -> int:
        """Slots that are neither taken nor promised."""
        return max(self.gate.limit - self.taken - self.promised, 0)


@dataclass(slots=True)
class Own:
    """The slots that the applicants have already: pairs of a gate and a run."""

    taken: set[tuple[str, str]] = field(default_factory=set)
    """Held for a whole run, or counted as its first execution in the present window."""
    promised: set[tuple[str, str]] = field(default_factory=set)


def needs_slot(gate: Gate, one: Applicant, own: Own) -> bool:
    """Return whether the next execution of the run needs a slot of this gate that it hasn't."""
    if gate.kind == "rate" and not one.first:
        return False
    return (gate.id, one.run_id) not in own.taken


def take(one: Applicant, gates: Sequence[Gate], rooms: Mapping[str, Room], own: Own) -> Gate | None:
    """Take a slot of each gate for a claim, and return None; or return the first gate that has none, and take nothing."""
    wanted = [gate for gate in gates if gate.kind != "fair" and needs_slot(gate, one, own)]
    for gate in wanted:
        room = rooms[gate.id]
        others = 0 if (gate.id, one.run_id) in own.promised else room.promised
        if room.taken + others >= room.gate.limit:
            return gate
    for gate in wanted:
        rooms[gate.id].taken += 1
    return None


class Promise(NamedTuple):
    """The slots that a run is promised, and the gate behind which it is held instead of becoming ready."""

    gates: tuple[Gate, ...]
    held: Gate | None


def promise(
    one: Applicant, gates: Sequence[Gate], rooms: Mapping[str, Room], own: Own, behind: str | None = None
) -> Promise:
    """Return the promises of a run that becomes ready: of all its gates; or only its turn, or none, and where it is held.

    `behind` is the gate that lets it through. A run that hasn't begun doesn't overtake those that are held.
    """
    begins = one.claim == 0
    turns = [gate for gate in gates if gate.kind == "fair" and begins and (gate.id, one.run_id) not in own.promised]
    for gate in turns:
        if gate.id != behind and (rooms[gate.id].free == 0 or rooms[gate.id].held):
            return Promise((), gate)
    wanted = [gate for gate in gates if gate.kind not in ("fair", "group") and needs_slot(gate, one, own)]
    for gate in turns:
        rooms[gate.id].promised += 1
    for gate in wanted:
        room = rooms[gate.id]
        queues = room.held and begins and behind is None
        if room.free == 0 or queues:
            return Promise(tuple(turns), gate)
    for gate in wanted:
        rooms[gate.id].promised += 1
    return Promise((*turns, *wanted), None)
