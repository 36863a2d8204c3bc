"""Claims in the database: only what this process's code can execute, and suspects apart from all others.

Nearly always the best ready runs are simply claimed. Where that meets a suspect, or a run that this code can't execute, the
claim is undone in its own transaction, as if it had never been: suspects are then claimed by themselves, and the
ready runs of an unfit run's workflow are only read, one after the other: a run which other code has to execute doesn't hide
others, is never written to, and stays ready for the code that fits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from stepwell.definition.registry import Registry
from stepwell.engine.choose import misfit
from stepwell.engine.run import Moment, RunRow
from stepwell.engine.suspicion import suspicion_of
from stepwell.errors import StepwellError
from stepwell.store import history, inbox, runs, unused_turns
from stepwell.store.base import Store
from stepwell.store.inbox import Claimed
from stepwell.store.pauses import unpaused
from stepwell.store.runs import Ready
from stepwell.store.tx import Lane, Tx
from stepwell.store.writing import expiry

log = logging.getLogger("stepwell.queue")

_LEFT: Final = 10_000
"""Runs that are remembered as unfit although their rows don't show it; a forgotten one is looked at once more."""
_KNOWN: Final = "its args, state or inbox don't fit"
_SUSPECTS: Final = 1_000
_NOTHING: Final = inbox.Seen()
_TRIES: Final = 4
_PAGE: Final = 500
_PAGES: Final = 4
"""Pages of one look: others want to read, and the loop has to continue."""
_AFRESH: Final = 0.25
"""Seconds before a walk starts over at the earliest."""
_ROWS: Final = 5_000
"""Rows that are seen again each second, at most: some hundredths of what a database reads."""


class _Met(StepwellError):
    """The claim met runs that it mustn't take: its transaction is undone."""

    def __init__(self, met: Sequence[RunRow]) -> None:
        super().__init__("the claim is undone")
        self.met = met


class Claims:
    """The claims of one worker, from the lanes that it takes."""

    def __init__(
        self, store: Store, registry: Registry, worker_id: str, lanes: Sequence[Lane], now: Callable[[], int]
    ) -> None:
        self._store = store
        self._registry = registry
        self._worker_id = worker_id
        self.lanes = tuple(lanes)
        self._now = now
        self._left: dict[str, int] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._walks: dict[Lane, Walk] = {}
        self._limited: list[Ready] = []
        """Unfit runs that haven't begun and have limits, of the present look."""
        self._suspected = False
        self._met = False
        self._turn = False
        self.more = False
        """True if the last claim stopped before it had seen everything: the next one continues there."""
        self.contended = False
        """True if it left runs ready, because another process decided about the same limits at that moment."""

    # -- runs left to other code ----------------------------------------------------------------------------------

    def mark_unfit(self, run: RunRow | Ready, reason: str) -> None:
        """Leave a run to other code although its row doesn't show why: as it is, it isn't claimed here again."""
        self._left.pop(run.id, None)
        self._left[run.id] = run.version
        if len(self._left) > _LEFT:
            del self._left[next(iter(self._left))]
        self._walk(run)
        log.warning("run %s (%s) is left to other code: %s", run.id, run.workflow_name, reason)

    def is_unfit(self, run: RunRow | Ready) -> bool:
        """Return whether the run is left to other code."""
        return self._why(run) is not None

    def _why(self, run: RunRow | Ready) -> str | None:
        if self._left.get(run.id) == run.version:
            return _KNOWN
        try:
            return misfit(self._registry.find(run.app_name, run.workflow_name), run)
        except Exception as error:  # noqa: BLE001 - a row that was spoilt by hand must not stop the claims of others
            return f"its row can't be read: {error!r}"

    def _walk(self, run: RunRow | Ready) -> None:
        lane = (run.app_name, run.workflow_name)
        self._walks.setdefault(lane, Walk(lane))

    def has_unfit(self, lane: Lane) -> bool:
        """Return whether runs of the lane are known to be left to other code: `apart` finds those that fit."""
        return lane in self._walks

    # -- claiming -------------------------------------------------------------------------------------------------

    async def claim(self, limit: int) -> list[Claimed]:
        """Claim up to `limit` ready runs: the best, or suspects and nothing else."""
        self.contended = False
        for _ in range(_TRIES):
            self._met = False
            found = await self.apart(limit) or await self._best(limit)
            if found or not self._met:
                break
        self.more = self.more or (self._met and not found)
        return found

    async def claim_of(self, wanted: Mapping[Lane, int]) -> list[Claimed]:
        """Claim so many ready runs of each of these lanes, the best; none where that meets suspects or unfit runs."""
        self.contended = False
        lanes = {lane: count for lane, count in wanted.items() if lane not in self._walks}

        def operation(tx: Tx) -> list[Claimed]:
            return with_inboxes(tx, [run for lane, count in lanes.items() for run in self._of_lane(tx, lane, count)])

        try:
            return await self._store.writer.call(operation) if lanes else []
        except _Met as met:
            self._learn(met.met)
            self.more = True
            return []

    def _of_lane(self, tx: Tx, lane: Lane, limit: int) -> list[RunRow]:
        def claim(wanted: int) -> list[RunRow]:
            return self._checked(runs.claim(tx, [lane], self._worker_id, wanted, self._now()))

        return self._admitted(tx, claim(limit), limit, claim)

    async def claim_ids(self, ids: Sequence[str]) -> tuple[list[Claimed], set[str], set[str]]:
        """Claim these runs, and return the claimed ones, those that another transaction holds, and those left to others."""
        left: set[str] = set()
        while True:
            wanted = [run_id for run_id in ids if run_id not in left]
            if not wanted:
                return [], set(), left
            try:
                found, held = await self._store.writer.call(lambda tx: self._claim_ids(tx, wanted))  # noqa: B023
            except _Met as met:
                self._learn(met.met)
                self.more = True
                left |= {run.id for run in met.met}
            else:
                return found, held, left

    def _claim_ids(self, tx: Tx, ids: Sequence[str]) -> tuple[list[Claimed], set[str]]:
        now = self._now()
        found = self._checked(runs.claim_ids(tx, self.lanes, ids, self._worker_id, len(ids), now))
        found = self._admitted(tx, found, len(ids))
        others = set(ids) - {run.id for run in found}
        return with_inboxes(tx, found), runs.claimable(tx, others, now) if others else set()

    async def claim_one(self, run: RunRow) -> Claimed | None:
        """Claim this run, of whichever lane; None if it isn't ready, has to wait, or is left to other code."""

        def operation(tx: Tx) -> list[Claimed]:
            lanes = [(run.app_name, run.workflow_name)]
            found = self._checked(runs.claim_ids(tx, lanes, [run.id], self._worker_id, 1, self._now()))
            return with_inboxes(tx, self._admitted(tx, found, 1))

        try:
            found = await self._store.writer.call(operation)
        except _Met:
            return None
        return found[0] if found else None

    async def apart(self, limit: int) -> list[Claimed]:
        """Claim suspects of one group, or runs that fit from lanes that also hold unfit ones."""
        self.more = False
        found = await self._suspects(limit) if self._suspected else []
        self._turn = not self._turn
        return found if found or not self._walks or not self._turn else await self._walked(limit)

    async def _best(self, limit: int) -> list[Claimed]:
        lanes = [lane for lane in self.lanes if lane not in self._walks] if self._walks else self.lanes
        found: list[Claimed] = []
        try:
            found = await self._store.writer.call(lambda tx: self._claim_best(tx, lanes, limit)) if lanes else []
        except _Met as met:
            self._learn(met.met)
        if self._walks and len(found) < limit and not self._turn:
            found += await self._walked(limit - len(found))
        return found

    def _claim_best(self, tx: Tx, lanes: Sequence[Lane], limit: int) -> list[Claimed]:
        def claim(wanted: int) -> list[RunRow]:
            return self._checked(runs.claim(tx, lanes, self._worker_id, wanted, self._now()))

        return with_inboxes(tx, self._admitted(tx, claim(limit), limit, claim))

    def _admitted(
        self, tx: Tx, found: list[RunRow], limit: int, again: Callable[[int], list[RunRow]] = lambda wanted: []
    ) -> list[RunRow]:
        """Return those of the claimed runs that may begin or go on, and others in the places of those that may not."""
        admitted = self._within_limits(tx, found, limit, again)
        expiry.clear(tx, admitted)
        return admitted

    def _cancel_late(self, tx: Tx, found: list[RunRow]) -> list[RunRow]:
        """Cancel those of the claimed runs that may not begin any more; return the others."""
        left = expiry.cancel_late(self._store.applier, tx, found, self._now())
        self.more = self.more or len(left) < len(found)
        return left

    def _within_limits(
        self, tx: Tx, found: list[RunRow], limit: int, again: Callable[[int], list[RunRow]]
    ) -> list[RunRow]:
        """Return those of the claimed runs that get their slots, and others in the places of those that don't."""
        admitted: list[RunRow] = []
        for tries in range(_TRIES, 0, -1):
            found = self._cancel_late(tx, found)
            if all(run.gates is None for run in found):
                return admitted + found
            answer = self._store.applier.gates.admit(tx, found)
            admitted += answer.admitted
            left = limit - len(admitted)
            self.contended = self.contended or answer.contended > 0
            if answer.turns:
                # With room left no run waits for a turn: each key has more of them.
                turns = max(-(-left // len(answer.turns)), 1)
                self._store.applier.gates.open(tx, answer.turns, turns=turns, after=answer.turns)
            # What stays ready would only be claimed again.
            if left <= 0 or answer.contended or not (answer.turns or answer.held):
                return admitted
            if tries > 1:
                found = again(left)
        # Others may still be ready; and nothing is claimed that isn't decided about.
        self.more = True
        return admitted

    def _checked(self, found: list[RunRow]) -> list[RunRow]:
        met = [run for run in found if run.suspicion is not None or self._why(run) is not None]
        if met:
            raise _Met(met)
        return found

    def _learn(self, met: Iterable[RunRow | Ready]) -> None:
        for run in met:
            reason = self._why(run)
            if reason is not None:
                self._walk(run)
                told = (run.app_name, run.workflow_name, reason)
                if reason != _KNOWN and told not in self._told:
                    self._told.add(told)
                    text = "runs of %s/%s are left to other code, for example run %s: %s"
                    log.warning(text, run.app_name, run.workflow_name, run.id, reason)
            elif run.suspicion is not None:
                self._suspected = True
            self._met = True

    # -- suspects -------------------------------------------------------------------------------------------------

    async def _suspects(self, limit: int) -> list[Claimed]:
        """Claim one group of suspects, the one with the fewest deaths: its innocents are soon through."""
        found = await self._store.read(lambda tx: runs.suspects(tx, self.lanes, _SUSPECTS))
        self._learn(run for run in found if self.is_unfit(run))
        fit = [run for run in found if not self.is_unfit(run)]
        if not fit:
            self._suspected = False
            return []
        groups = list(dict.fromkeys(run.suspicion for run in sorted(fit, key=_order)))
        for group in groups[:_TRIES]:  # another transaction may hold all of one
            if taken := await self._take([run.id for run in fit if run.suspicion == group][:limit]):
                return taken
        return []

    async def _take(self, ids: Sequence[str]) -> list[Claimed]:
        def operation(tx: Tx) -> list[Claimed]:
            found = runs.claim_ids(tx, self.lanes, ids, self._worker_id, len(ids), self._now())
            return with_inboxes(tx, self._admitted(tx, found, len(ids)))

        return await self._store.writer.call(operation) if ids else []

    # -- lanes with unfit runs ------------------------------------------------------------------------------------

    async def _walked(self, limit: int) -> list[Claimed]:
        """Claim runs that fit from lanes that hold unfit ones."""
        found, kept = await self._store.read(lambda tx: self._look(tx, limit))
        ids = [run.id for run in found]
        if kept:
            gates, now = self._store.applier.gates, self._now()
            await self._store.writer.call(lambda tx: unused_turns.give_up(tx, gates, kept, now))
        self.more = self.more or self._turn
        self._met = self._met or self._suspected
        return await self._take(ids)

    def _look(self, tx: Tx, limit: int) -> tuple[list[Ready], Sequence[unused_turns.Turn]]:
        """Return runs that fit, and turns that unfit ones keep from others."""
        found: list[Ready] = []
        self._limited = []
        for lane in unpaused(tx, list(self._walks)):
            walk = self._walks[lane]
            if len(found) == limit:
                self.more = True
                break
            found += walk.look(tx, limit - len(found), self._fits)
            self.more = self.more or walk.more
            # At the end of the line: the others have their turn first.
            del self._walks[lane]
            if not walk.clean:
                self._walks[lane] = walk
        return found, unused_turns.kept(tx, self._limited, self._now())

    def _fits(self, run: Ready) -> bool:
        fits = not self.is_unfit(run)
        if not fits and run.gates is not None and run.claim == 0:
            self._limited.append(run)
        if run.suspicion is not None:
            self._suspected = self._suspected or fits
            return False
        return fits


def _order(run: Ready) -> tuple[int, int, str]:
    label = run.suspicion or ""
    return suspicion_of(label).deaths, run.ready_at, label


def with_inboxes(tx: Tx, found: Sequence[RunRow]) -> list[Claimed]:
    """Return the runs with the signals that count for them, and with the journals of their current visits."""
    signalled = [run for run in found if run.inbox]
    seen = inbox.seen(tx, signalled) if signalled else {}
    again = [run.id for run in found if run.claim > 1]
    journals = history.journals(tx, again) if again else {}
    claimed = []
    for run in found:
        signals = seen.get(run.id, _NOTHING)
        claimed.append(Claimed(run, signals.inbox, journals.get(run.id, {}), signals.more))
    return claimed


class Walk:
    """The position of this process in one lane with runs that its code can't execute.

    It needn't look again where it has been: runs that become ready later are behind its position. Those that get before it
    (a timer found late, another worker's claim that was undone) are seen when the walk starts over: soon in a short lane, and
    never so often that it takes more than a few hundredths of the time.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.clean = False
        """True if the whole lane was seen, and nothing in it is unfit."""
        self.more = False
        """True if the last look stopped before the end."""
        self._begin()

    def _begin(self) -> None:
        self._seen: tuple[Moment, str] | None = None
        self._unfit = False
        self._rows = 0
        self._began = time.monotonic()

    def look(self, tx: Tx, limit: int, fits: Callable[[Ready], bool]) -> list[Ready]:
        """Return the next runs of the lane that fit, at most `limit`, the best first."""
        if not self.more and time.monotonic() - self._began > max(_AFRESH, self._rows / _ROWS):
            self._begin()
        found, self.more = self._look(tx, limit, fits)
        self.clean = not self.more and not self._unfit
        return found

    def _look(self, tx: Tx, limit: int, fits: Callable[[Ready], bool]) -> tuple[list[Ready], bool]:
        found: list[Ready] = []
        for _ in range(_PAGES):
            page = runs.page(tx, self.lane, self._seen, _PAGE)
            for run in page:
                if len(found) == limit:
                    return found, True
                self._seen = (run.rank, run.id)
                self._rows += 1
                if fits(run):
                    found.append(run)
                else:
                    self._unfit = True
            if len(page) < _PAGE:
                return found, False
        return found, True
