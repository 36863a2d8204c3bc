"""Gates: one limit with one key, and what the runs before it hold (rule 54).

A start works its keys out, and the run keeps its gates as JSON (`RunRow.gates`). The limit that counts is that of the code
which decides, where it has the rule, else that which the run has kept: a deployment may change it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, NamedTuple, get_args

from stepwell.definition.model import Rule
from stepwell.engine.run import Moment

GateKind = Literal["executing", "run", "rate", "fair", "group"]
_KINDS: Final = frozenset(get_args(GateKind))
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


@lru_cache(maxsize=4096)
def parts_of(gate_id: str) -> GateParts | None:
    """Return what the id says; None if a person has written something else there."""
    if gate_id.startswith("group:"):
        return GateParts("group", gate_id.removeprefix("group:"), None)
    try:
        family, scope, key = json.loads(gate_id)
        name = scope[0] if len(scope) == 1 else f"{scope[0]}/{scope[1]}#{scope[2]}"
        user = scope[3] if len(scope) == 4 else None
        return GateParts(str(family), str(name), None if key is None else str(key), user)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def gates_json(gates: Iterable[Gate]) -> str | None:
    """Return the gates as a run keeps them; None for none."""
    rows = [list(gate) for gate in gates]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")) if rows else None


@lru_cache(maxsize=4096)
def gates_of(text: str | None) -> tuple[Gate, ...]:
    """Return the gates that a run keeps; none where a person has written something else there."""
    if text is None:
        return ()
    try:
        return tuple(_gate(*one) for one in json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return ()


def _gate(kind: object, gate_id: object, limit: object, per: object) -> Gate:
    if kind not in _KINDS or type(gate_id) is not str or type(limit) is not int or type(per) not in (int, type(None)):
        raise ValueError(kind)
    return Gate(kind, gate_id, limit, per)  # type: ignore[arg-type]
