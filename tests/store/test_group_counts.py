"""The progress of groups (rule 53): counted from the runs, whatever their statuses, without counting all of them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from stepwell.engine.gates import group_gate
from stepwell.engine.groups import GroupRow
from stepwell.store import groups, tables
from stepwell.store.base import Store
from stepwell.store.tx import Tx

ENDS = ("completed", "failed", "canceled")
OTHERS = ("pending", "running", "waiting", "retrying")
MINUTE = 60_000_000
RUN = (
    "INSERT INTO stepwell_runs (id, app_name, workflow_name, workflow_version, workspace_id, user_id, internal, labels,"
    " priority, args, created_at, inbox, status, place, version, claim, state, visit, entered_at, attempt, failures,"
    " automatic, takeovers, children, updated_at, group_id, group_index, ended_at, held_by, held_rank, result)"
    " VALUES (?, 'a', 'w', 1, 'ws', 'u', 0, '[]', 0, 'null', 0, 0, ?, 'p', 0, 0, '{}', 0, 0, 0, 0, 0, 0, 0, 0,"
    " 'g', ?, ?, ?, ?, ?)"
)


def group(total: int, most: int | None = None, decided_at: int | None = None) -> GroupRow:
    return GroupRow(
        id="g",
        kind="group",
        app_name="a",
        user_id="u",
        parent_id=None,
        callback=None,
        callback_meta=None,
        until="each",
        total=total,
        max_in_flight=most,
        stop_after=None,
        label=None,
        workflow_name=None,
        idempotency_key=None,
        fingerprint=None,
        created_at=0,
        status="running",
        outcome=None if decided_at is None else "completed",
        decided_by=None,
        decided_at=decided_at,
        finished_at=None,
    )


def insert(tx: Tx, given: GroupRow, statuses: list[str], ended_at: int = 1) -> None:
    """The group with runs of these statuses; `held` ones are pending, `held again` ones retrying."""
    tx.insert(tables.groups, [given])
    gate = group_gate("g", 1).id
    rows = []
    for n, status in enumerate(statuses):
        own = {"held": "pending", "held again": "retrying"}.get(status, status)
        held = gate if own != status else None
        ended = ended_at if own in ENDS else None
        rows.append((f"r{n:05}", own, n, ended, held, n if held else None, '"it"' if own == "completed" else None))
    tx.each(RUN, rows)
    slots = [(gate, row[0], "group", 1, 0, 0) for row in rows if row[1] not in ENDS and row[4] is None]
    if given.max_in_flight is not None and given.decided_at is None:
        tx.insert(tables.slots, slots)


def share(random: Random, statuses: tuple[str, ...], total: int) -> list[str]:
    """One status for each: one or two of them for most, or all as often."""
    weights = random.choice([[1] * len(statuses), [random.choice([0, 1, 1, 30]) for _ in statuses]])
    return random.choices(statuses, weights if any(weights) else None, k=total)


@pytest.mark.parametrize("seed", range(30))
async def test_the_counts_are_those_of_the_runs(store: Store, seed: int) -> None:
    random = Random(seed)
    total = random.choice([0, 1, 2, 3, 10, 60])
    most, decided = random.choice([(None, None), (None, 5), (7, None), (7, 5)])
    held = () if most is None else ("held again",) if decided else ("held", "held again")
    statuses = share(random, (*ENDS, *OTHERS, *held), total)
    await store.writer.call(lambda tx: insert(tx, group(total, most, decided), statuses))
    found = await store.read(lambda tx: groups.progress(tx, "g", MINUTE))
    assert found is not None
    seen = Counter("held" if status.startswith("held") else status for status in statuses)
    assert found.counts._asdict() == {name: seen[name] for name in found.counts._fields}
    assert sum(found.counts) == total


async def test_deleted_runs_of_a_finished_group_count_as_completed(store: Store) -> None:
    finished = group(5)._replace(finished_at=3)
    await store.writer.call(lambda tx: insert(tx, finished, ["completed", "failed", "pending"]))
    found = await store.read(lambda tx: groups.progress(tx, "g", MINUTE))
    assert found is not None
    assert (found.counts.completed, found.counts.failed, found.counts.pending) == (3, 1, 1)


async def test_the_rate_is_that_of_the_last_minute_and_says_when_it_ends(store: Store) -> None:
    statuses = ["completed"] * 20 + ["failed"] * 10 + ["pending"] * 30
    await store.writer.call(lambda tx: insert(tx, group(60), statuses, ended_at=2 * MINUTE))
    for now, rate in ((2 * MINUTE + MINUTE // 2, 0.5), (3 * MINUTE, 0.0)):
        found = await store.read(lambda tx: groups.progress(tx, "g", now))  # noqa: B023
        assert found is not None
        assert found.rate == rate
        assert found.eta == (now + MINUTE if rate else None)
        assert found.ended_at is None


async def test_ends_in_the_moment_in_which_it_began_count_for_the_rate(store: Store) -> None:
    began = group(6)._replace(created_at=MINUTE)
    statuses = ["completed", "failed", "canceled", "pending", "pending", "pending"]
    await store.writer.call(lambda tx: insert(tx, began, statuses, ended_at=MINUTE))
    found = await store.read(lambda tx: groups.progress(tx, "g", MINUTE))
    assert found is not None
    assert (found.rate, found.eta) == (3.0, MINUTE + 1_000_000)


async def test_the_last_end_is_known_once_all_have_ended(store: Store) -> None:
    await store.writer.call(lambda tx: insert(tx, group(3), ["completed", "failed", "canceled"], ended_at=7))
    found = await store.read(lambda tx: groups.progress(tx, "g", MINUTE))
    assert found is not None
    assert (found.ended_at, found.eta) == (7, None)


async def test_members_come_in_the_order_of_the_starts_page_by_page(store: Store) -> None:
    statuses = ["completed", "failed", "pending"] * 10
    await store.writer.call(lambda tx: insert(tx, group(30), statuses))
    first = await store.read(lambda tx: groups.members(tx, "g", limit=7))
    assert [one.position for one in first] == [*range(7)]
    assert [one.status for one in first] == statuses[:7]
    failed = await store.read(lambda tx: groups.members(tx, "g", after=4, limit=4, status="failed"))
    assert [one.position for one in failed] == [7, 10, 13, 16]
    small = await store.read(lambda tx: groups.members(tx, "g", limit=30, most_bytes=9))
    assert [one.position for one in small] == [0, 1, 2, 3, 4, 5]
    one = await store.read(lambda tx: groups.members(tx, "g", limit=30, most_bytes=1))
    assert [member.result for member in one] == ['"it"']
