"""Limits as people see them: which are in use, who holds them, what waits behind; and the reasons that they give runs to wait."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from stepwell.engine.gates import Gate, GateKind, GateParts, lane_of, parts_of
from stepwell.engine.run import Moment, RunRow, Status
from stepwell.errors import InvalidArgs, LimitNotFound
from stepwell.execution.clock import to_datetime
from stepwell.runner.arguments import check_limit
from stepwell.runner.models import Page
from stepwell.runner.query import Reader
from stepwell.store.reading import limits
from stepwell.store.reading.limits import COUNTED, GateUse, Hold, LimitOf
from stepwell.store.tables import moment
from stepwell.store.tx import Tx

_LISTED: Final = 50
"""Runs of each kind that one limit lists."""
_NUMBERED: Final = {"executing": "concurrency", "run": "concurrency", "rate": "rate_limit", "fair": "fair_by"}


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class LimitView(_Shown):
    """A limit for one key, and how it is used. At most 1,000 runs are counted of each kind."""

    id: str
    kind: GateKind
    """It limits runs that execute, runs that have begun and not ended, first executions in a time, turns of keys, or the runs
    of a group that are under way.
    """
    rule: str
    """Its name; without one app, workflow and number of the rule, as `shop/order#0`; of a group its id."""
    app_name: str | None
    """None of a limit that has a name, which workflows of several apps may share."""
    workflow_name: str | None
    key: str | None
    """None: one for all."""
    user_id: str | None
    """The user whose key it is, where keys are per user."""
    limit: int | None
    """None where neither this process's code nor a stored run says it."""
    per_seconds: float | None
    """The length of a rate limit's window."""
    holding: int
    held: int
    held_since: datetime | None
    """Since when the first run is held back."""
    opens_at: datetime | None
    """The time at which the next run may begin, where a rate is used up."""


class LimitHolder(_Shown):
    """A run that holds a slot of a limit; of a rate: that began within the window."""

    workflow_id: str
    app_name: str
    workflow_name: str
    user_id: str
    status: Status
    subject: str | None
    since: datetime


class HeldBack(_Shown):
    """A run that waits for a slot of a limit."""

    workflow_id: str
    app_name: str
    workflow_name: str
    user_id: str
    status: Status
    subject: str | None
    since: datetime


class LimitDetail(LimitView):
    """A limit with the first of the runs that hold it, and of those that wait behind it."""

    holders: tuple[LimitHolder, ...]
    waiting: tuple[HeldBack, ...]


@dataclass(frozen=True, slots=True)
class LimitsInUse:
    """The limits that runs hold or wait for; `apps`: those of runs of these apps only."""

    reader: Reader
    apps: frozenset[str] | None = None

    async def listed(
        self, *, app_name: str | None = None, held: bool = False, limit: int = 50, cursor: str | None = None
    ) -> Page[LimitView]:
        """Return a page of limits, by their ids; with `held` those behind which runs wait.

        A page may hold fewer than `limit` and yet have a `next_cursor`.
        """
        check_limit(limit)
        after, apps, limit_of, now = _position(cursor), self._of(app_name), limits_of(self.reader), self._now()

        def query(tx: Tx) -> tuple[list[GateUse], str | None]:
            found, mark = limits.in_use(tx, after, limit, apps=apps, only_held=held)
            return limits.uses(tx, found, limit_of, now), mark

        found, mark = await self.reader.read(query)
        items = tuple(LimitView(**_view(use)) for use in found if use.holding or use.held)
        return Page(items=items, next_cursor=None if mark is None else _cursor(mark))

    async def detail(self, limit_id: str) -> LimitDetail:
        """Return a limit with the first runs that hold it or wait for it. Raises LimitNotFound where none does."""
        apps, limit_of, now = self._of(None), limits_of(self.reader), self._now()

        def query(tx: Tx) -> tuple[GateUse, list[limits.Holder], list[limits.Behind]]:
            [use] = limits.uses(tx, [limit_id], limit_of, now)
            holders = limits.holders(tx, use.gate, now, _LISTED, apps=apps)
            return use, holders, limits.behind(tx, use.gate, _LISTED, apps=apps)

        use, holders, waiting = await self.reader.read(query)
        if not (holders or waiting):
            raise LimitNotFound(f"No run holds the limit {limit_id!r}, or waits for it.")
        return LimitDetail(
            **_view(use),
            holders=tuple(LimitHolder(**_run(one), since=_when(one.at)) for one in holders),
            waiting=tuple(HeldBack(**_run(one), since=_when(one.since)) for one in waiting),
        )

    def _of(self, app_name: str | None) -> Sequence[str] | None:
        if app_name is None:
            return None if self.apps is None else sorted(self.apps)
        return [app_name] if self.apps is None or app_name in self.apps else []

    def _now(self) -> Moment:
        return self.reader.core.shared.clock.now()


def limits_of(reader: Reader) -> LimitOf:
    """Return how the limits of this process's code are looked up."""
    return reader.core.store.applier.gates.limits.of


def _run(one: limits.Holder | limits.Behind) -> dict[str, Any]:
    return {
        "workflow_id": one.run_id,
        "app_name": one.app_name,
        "workflow_name": one.workflow_name,
        "user_id": one.user_id,
        "status": one.status,
        "subject": one.subject,
    }


def _when(at: object) -> datetime:
    return to_datetime(moment(at) or 0)


def _view(use: GateUse) -> dict[str, Any]:
    gate, parts = use.gate, parts_of(use.gate.id) or GateParts("concurrency", use.gate.id, None)
    app, workflow = lane_of(gate.id) or (None, None)
    return {
        "id": gate.id,
        "kind": gate.kind,
        "rule": parts.rule,
        "app_name": app,
        "workflow_name": workflow,
        "key": shown_key(parts.key),
        "user_id": parts.user,
        "limit": gate.limit or None,
        "per_seconds": None if gate.per is None else gate.per / 1_000_000,
        "holding": use.holding,
        "held": use.held,
        "held_since": None if use.held_since is None else _when(use.held_since),
        "opens_at": None if use.opens_at is None else _when(use.opens_at),
    }


def shown_key(key: str | None) -> str | None:
    """Return a key as its author knows it: a text without its quotation marks, anything else as JSON."""
    try:
        found = None if key is None else json.loads(key)
    except ValueError:
        return key
    return found if isinstance(found, str) else key


def _cursor(gate_id: str) -> str:
    return urlsafe_b64encode(gate_id.encode()).decode()


def _position(cursor: str | None) -> str | None:
    try:
        return None if cursor is None else b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InvalidArgs(f"cursor={cursor!r}: give the next_cursor of the page before, or leave it out.") from None


def limit_line(one: LimitView) -> str:
    """Return a limit in one line: what it allows, and how it is used."""
    per = None if one.per_seconds is None else round(one.per_seconds * 1_000_000)
    return f"{limit_text(Gate(one.kind, one.id, one.limit or 0, per))}: {one.holding:,} hold it, {one.held:,} wait"


# -- why a run waits ---------------------------------------------------------------------------------------------------


def held_reasons(row: RunRow, hold: Hold | None) -> list[str]:
    """Return the sentences that say behind which limit the run waits, who holds that, and when it goes on."""
    if hold is None or row.held_by is None:
        return []
    use = hold.use
    reasons = [f"It has been held back since {_shown(hold.since)}: {limit_text(use.gate)}."]
    if holders := _holders(hold):
        reasons.append(holders)
    place = f"more than {COUNTED:,} runs are before it" if hold.place > COUNTED else f"it is number {hold.place}"
    reasons.append(f"In the queue for that, {place}.")
    if use.opens_at is not None:
        reasons.append(f"The next run may begin at {_shown(use.opens_at)}.")
    return reasons


def expiry(row: RunRow) -> list[str]:
    """Return the sentence that says when a run is cancelled that hasn't begun."""
    if row.expires_at is None or row.finished:
        return []
    if row.expires_at < 0:
        after = timedelta(microseconds=-row.expires_at)
        return [f"It expires: unless it has begun within {after} after its turn and its delay, it is cancelled then."]
    return [f"It expires: unless it has begun by {_shown(row.expires_at)}, it is cancelled then."]


def limit_text(gate: Gate) -> str:
    """Return what a limit allows, and which rule it is, as a clause."""
    parts = parts_of(gate.id) or GateParts("concurrency", gate.id, None)
    most = f"at most {gate.limit:,} run{'' if gate.limit == 1 else 's'}"
    whose = "" if parts.user is None else f" of user {parts.user!r}"
    key = whose if parts.key is None else f" with the key {shown_key(parts.key)!r}{whose}"
    rule = _rule(gate, parts)
    match gate.kind:
        case "executing":
            return f"{most}{key} may execute at once ({rule})"
        case "run":
            return f"{most}{key} may be begun and not ended ({rule})"
        case "rate":
            seconds = (gate.per or 0) / 1_000_000
            return f"{most}{key} may begin in any {seconds:g} s ({rule})"
        case "fair":
            return f"the keys of {parts.rule.partition('#')[0]} take turns, and runs{key} are before it (fair_by)"
        case "group":
            return f"{most} of group {parts.rule} may be under way (max_in_flight)"


def _rule(gate: Gate, parts: GateParts) -> str:
    family = _NUMBERED.get(gate.kind, gate.kind)
    app, workflow = lane_of(gate.id) or (None, None)
    if app is None:
        return f"the {family} limit named {parts.rule!r}"
    return f"{family}[{parts.rule.rpartition('#')[2]}] of {app}/{workflow}"


def _holders(hold: Hold) -> str:
    """Return which runs hold the limit, as far as the reader may see them."""
    use = hold.use
    if use.gate.kind == "fair" or not use.holding:
        return ""
    ids = ", ".join(one.run_id for one in hold.holders)
    more = "at least " if use.holding >= COUNTED else ""
    runs = f"{more}{use.holding:,} run{'' if use.holding == 1 else 's'}"
    verb = (
        "began within that time" if use.gate.kind == "rate" else "hold it now" if use.holding != 1 else "holds it now"
    )
    among = "" if len(hold.holders) == use.holding else " among them "
    return f"{runs[0].upper()}{runs[1:]} {verb}" + (f":{among or ' '}{ids}." if ids else ".")


def _shown(at: Moment) -> str:
    return _when(at).isoformat(timespec="seconds")
