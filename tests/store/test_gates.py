"""Gates in the database: what is taken never exceeds a limit, whatever happens to runs, and nothing is left over (rule 54)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import pytest

from stepwell import END, Workflow, transition
from stepwell.definition.authoring.workflow import definition_of
from stepwell.definition.model import Rule
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin, cancel, retry
from stepwell.engine.gates import Gate, RuleLimits, gate_of, gates_json
from stepwell.engine.run import RunRow
from stepwell.engine.settle import released
from stepwell.store import openings, runs, workers
from stepwell.store.base import Store
from stepwell.store.gates import Gates, applicant
from stepwell.store.tx import Tx
from stepwell.store.writing.apply import Applier

T = TypeVar("T")
LANES = [("shop", "job")]
SLOTS = gate_of(Rule("executing", 0, 2), "shop", "job", "k", "u1")
WHOLE = gate_of(Rule("run", 1, 3, name="whole"), "shop", "job", None, "u1")
RATE = gate_of(Rule("rate", 0, 4, per=1_000), "shop", "job", None, "u1")
TURNS = [gate_of(Rule("fair", 0, 1), "shop", "job", key, "u1") for key in "ab"]


class Job(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Life:
    """Runs under limits, and what happens to them, each in a transaction of its own."""

    def __init__(self, store: Store, *gates: Gate) -> None:
        self.now = 1_000_000
        self.store = store
        self.gates = gates
        self.made = 0
        self.tx: Tx | None = None
        """The last transaction."""
        gates = Gates(RuleLimits(lambda: ()), lambda: self.now)
        self.applier = Applier(100, lambda *_: None, gates, lambda run: None)

    async def write(self, act: Callable[[Tx], T]) -> T:
        def operation(tx: Tx) -> T:
            self.tx = tx
            answer = act(tx)
            self.applier.settle(tx)
            return answer

        return await self.store.writer.call(operation)

    async def start(self, *more: Gate, gates: str | None = None, priority: int = 0) -> str:
        self.made += 1
        self.now += 1
        text = gates_json([*self.gates, *more]) if gates is None else gates
        request = Request(f"r{self.made:05}", "shop", "u1", "w", "null", "{}", priority=priority, gates=text)
        commit = begin(definition_of(Job), request, self.now)
        await self.write(lambda tx: self.applier.create(tx, [commit]))
        return commit.run.id

    async def claim(self, limit: int = 1, worker: str = "me") -> list[str]:
        self.now += 1

        def act(tx: Tx) -> list[str]:
            answer = self.applier.gates.admit(tx, runs.claim(tx, LANES, worker, limit, self.now))
            self.applier.gates.open(tx, answer.turns, turns=1)
            return [run.id for run in answer.admitted]

        return await self.write(act)

    async def change(self, run_id: str, change: Callable[[RunRow], RunRow]) -> None:
        self.now += 1

        def act(tx: Tx) -> None:
            run = runs.hold(tx, run_id)
            assert run is not None
            self.applier.advance(tx, [Commit(run.version, run.claim, change(run))])

        await self.write(act)

    async def park(self, run_id: str) -> None:
        await self.change(run_id, lambda run: released(run, "waiting", self.now, version=run.version + 1))

    async def fail(self, run_id: str) -> None:
        await self.change(run_id, lambda run: released(run, "failed", self.now, version=run.version + 1))

    async def end(self, run_id: str) -> None:
        await self.change(
            run_id,
            lambda run: released(run, "completed", self.now, version=run.version + 1, finished_at=self.now),
        )

    async def retry(self, run_id: str) -> None:
        await self.change(run_id, lambda run: retry(definition_of(Job), run, self.now).run)

    async def cancel(self, run_id: str) -> None:
        def canceled(run: RunRow) -> RunRow:
            commit = cancel(run, None, None, self.now)
            return run if commit is None else commit.run

        await self.change(run_id, canceled)

    async def wake(self, run_id: str) -> None:
        await self.write(lambda tx: runs.wake(tx, [run_id], self.now))

    async def bury(self, worker: str) -> None:
        await self.write(lambda tx: workers.take_over(tx, worker, self.now, counts=False))

    async def tend(self) -> None:
        """What the duty does."""

        def act(tx: Tx) -> None:
            due = openings.due(tx, self.now, 100)
            openings.forget_due(tx, due, self.now)
            self.applier.gates.open(tx, [*due, *openings.held(tx, "", 100)])

        await self.write(act)

    async def rows(self) -> dict[str, RunRow]:
        return await self.store.read(lambda tx: runs.load(tx, [f"r{n + 1:05}" for n in range(self.made)]))

    async def held(self) -> list[str]:
        found = [run for run in (await self.rows()).values() if run.held_by is not None]
        return [run.id for run in sorted(found, key=lambda run: (run.held_rank or 0, run.id))]

    async def slots(self) -> int:
        sql = "SELECT count(*) FROM stepwell_slots WHERE kind<>'rate'"
        return int(await self.store.read(lambda tx: tx.scalar(sql)))


async def test_so_many_are_ready_as_there_are_slots_and_the_others_follow_in_order(store: Store) -> None:
    life = Life(store, SLOTS)
    ids = [await life.start() for _ in range(4)]
    late = await life.start(priority=1)
    assert await life.held() == [late, *ids[2:]]
    assert await life.claim(10) == ids[:2]
    assert await life.claim(10) == []
    await life.end(ids[0])
    assert await life.claim(10) == [late]
    await life.park(ids[1])
    await life.cancel(late)
    assert await life.claim(10) == ids[2:]
    for run_id in ids[2:]:
        await life.end(run_id)
    assert await life.held() == []
    assert await life.slots() == 0


async def test_a_claim_puts_back_what_became_ready_without_a_slot(store: Store) -> None:
    life = Life(store, SLOTS)
    ids = [await life.start() for _ in range(3)]
    first = await life.claim(10)
    for run_id in first:
        await life.park(run_id)
    assert await life.claim(10) == ids[2:]
    before = await life.rows()
    await life.store.writer.call(lambda tx: runs.wake(tx, first, life.now))  # by older code: it holds none back
    assert await life.claim(10) == [first[0]]
    after = (await life.rows())[first[1]]
    assert after.held_by == SLOTS.id
    assert after.claim == before[first[1]].claim
    assert (after.status, after.owner, after.ready_at) == ("waiting", None, None)
    await life.end(ids[2])
    assert await life.claim(10) == [first[1]]


async def test_a_whole_run_keeps_its_slot_until_it_ends_and_needs_another_when_it_is_retried(store: Store) -> None:
    life = Life(store, WHOLE._replace(limit=1))
    one, other = [await life.start() for _ in range(2)]
    assert await life.claim(10) == [one]
    await life.park(one)
    await life.wake(one)
    assert await life.claim(10) == [one]
    await life.fail(one)
    assert await life.claim(10) == [other]
    await life.retry(one)
    assert await life.claim(10) == []
    assert await life.held() == [one]
    await life.end(other)
    assert await life.claim(10) == [one]


async def test_a_window_is_half_open_and_opens_at_its_moment(store: Store) -> None:
    life = Life(store, RATE._replace(limit=2))
    ids = [await life.start() for _ in range(5)]
    assert await life.claim(10) == ids[:2]
    began = life.now
    await life.end(ids[0])
    opens = await store.read(openings.next_opening)
    assert opens == began + 1_000
    life.now = began + 998
    await life.tend()
    assert await life.claim(10) == []  # at 999
    await life.tend()
    life.now = began + 1_000
    await life.tend()
    life.now -= 1
    assert await life.claim(10) == ids[2:4]
    life.now = began + 2_001
    await life.tend()
    assert await life.claim(10) == ids[4:]
    assert await store.read(openings.next_opening) is None or await life.held() == []
    life.now += 10_000_000
    assert await store.writer.call(lambda tx: openings.prune(tx, life.now, 100)) > 0


async def test_a_run_that_is_executed_again_doesnt_count_again_once_something_of_it_is_committed(store: Store) -> None:
    life = Life(store, RATE._replace(limit=1))
    one = await life.start()
    assert await life.claim() == [one]
    await life.bury("me")
    assert await life.claim() == [one]  # it had its slot
    await life.park(one)
    other = await life.start()
    await life.wake(one)
    assert await life.claim(10) == [one]
    assert await life.held() == [other]


async def test_of_each_key_one_run_is_ready_and_the_next_at_the_end_of_the_line(store: Store) -> None:
    life = Life(store)
    a, b = TURNS
    ids = [await life.start(a) for _ in range(3)] + [await life.start(b) for _ in range(2)]
    assert await life.held() == [ids[1], ids[2], ids[4]]
    order = [(await life.claim())[0] for _ in range(5)]
    assert order == [ids[0], ids[3], ids[1], ids[4], ids[2]]
    assert await life.slots() == 0


async def test_who_has_its_turn_keeps_it_behind_another_gate(store: Store) -> None:
    life = Life(store, SLOTS._replace(limit=1))
    a, b = TURNS
    ids = [await life.start(a) for _ in range(3)] + [await life.start(b) for _ in range(2)]
    order = []
    for _ in range(5):
        [run_id] = await life.claim(10)
        order.append(run_id)
        await life.end(run_id)
    assert order == [ids[0], ids[3], ids[1], ids[4], ids[2]]


async def test_what_a_person_has_spoilt_stops_no_others(store: Store) -> None:
    life = Life(store, SLOTS._replace(limit=1))
    ids = [await life.start() for _ in range(5)]
    assert await life.claim() == ids[:1]
    await life.write(lambda tx: tx.run("UPDATE stepwell_runs SET gates='spoilt' WHERE id=?", ids[1]))
    await life.write(lambda tx: tx.run("UPDATE stepwell_runs SET gates=NULL WHERE id=?", ids[2]))
    await life.write(lambda tx: tx.run("DELETE FROM stepwell_runs WHERE id=?", ids[0]))
    await life.tend()
    await life.tend()
    await life.tend()
    assert await life.claim(10) == ids[1:4]
    assert await life.held() == ids[4:]


async def test_a_lost_promotion_heals(store: Store) -> None:
    life = Life(store, SLOTS._replace(limit=1))
    one, other = [await life.start() for _ in range(2)]
    assert await life.claim() == [one]
    await store.writer.call(  # by older code, which knows nothing of slots
        lambda tx: tx.run("UPDATE stepwell_runs SET status='completed', owner=NULL, claim=claim+1 WHERE id=?", one)
    )
    assert await life.claim() == []
    assert await store.read(lambda tx: life.applier.gates.with_room(tx, [SLOTS.id])) == [SLOTS.id]
    await life.tend()
    assert await life.claim() == [other]


_AS_OLDER_CODE = {
    "canceled": "status='canceled', version=version+1, finished_at=1, updated_at=1",
    "claimed": "status='running', owner='old', claim=claim+1, ready_at=NULL, updated_at=1",
    "completed": "status='completed', version=version+1, claim=claim+2, ready_at=NULL, finished_at=1, updated_at=1",
    "failed": "status='failed', version=version+1, claim=claim+2, ready_at=NULL, updated_at=1",
}


@pytest.mark.parametrize("change", _AS_OLDER_CODE)
async def test_what_older_code_did_with_a_held_run_stands(store: Store, change: str) -> None:
    """It knows nothing of `held_by`, and leaves it as it is."""
    life = Life(store, SLOTS._replace(limit=1))
    first, held, last = [await life.start() for _ in range(3)]
    assert await life.claim(10) == [first]
    await life.write(lambda tx: tx.run(f"UPDATE stepwell_runs SET {_AS_OLDER_CODE[change]} WHERE id=?", held))
    before = (await life.rows())[held]
    await life.end(first)
    await life.tend()
    assert await life.claim(10) == [last]
    after = (await life.rows())[held]
    assert after == before._replace(held_by=None, held_rank=None)


async def test_promises_that_no_worker_takes_keep_others_back_for_a_while_only(store: Store) -> None:
    life = Life(store, SLOTS._replace(limit=1))
    one, other = [await life.start() for _ in range(2)]
    await life.write(lambda tx: tx.run("UPDATE stepwell_runs SET workflow_name='other' WHERE id=?", one))
    await life.tend()
    assert await life.claim() == []
    life.now += 10_000_001
    await life.tend()
    assert await life.claim() == [other]


async def test_a_slot_that_a_person_has_spoilt_stops_no_claim(store: Store) -> None:
    life = Life(store, SLOTS, RATE)
    one = await life.start()
    spoilt = "'x'" if store.dialect.alone else "0"  # PostgreSQL takes nothing else
    await life.write(lambda tx: tx.run(f"UPDATE stepwell_slots SET at={spoilt}, claim={spoilt}"))
    assert await life.claim() == [one]
    other = await life.start()
    assert await life.claim() == [other]


async def test_what_a_clock_that_was_ahead_has_stored_is_counted_from_now(store: Store) -> None:
    life = Life(store, RATE._replace(limit=1))
    year = 365 * 86_400 * 1_000_000
    life.now += year
    one = await life.start()
    assert await life.claim() == [one]
    life.now -= year
    other = await life.start()
    assert await life.held() == [other]
    assert await store.writer.call(lambda tx: openings.bring_back(tx, life.now, 60_000_000)) == 1
    life.now += 1_001
    await life.tend()
    assert await life.claim() == [other]


async def test_what_is_deleted_leaves_nothing_but_what_a_rate_counts(store: Store) -> None:
    life = Life(store, SLOTS, RATE)
    one = await life.start()
    await life.claim()
    await life.write(lambda tx: runs.delete(tx, [one]))
    assert await life.slots() == 0
    assert await store.read(lambda tx: tx.scalar("SELECT count(*) FROM stepwell_slots")) == 1


async def test_a_start_that_is_written_again_takes_nothing_from_the_run(store: Store) -> None:
    life = Life(store, RATE)
    commit = begin(
        definition_of(Job), Request("r00001", "shop", "u1", "w", "null", "{}", gates=gates_json([RATE])), life.now
    )
    life.made = 1
    await life.write(lambda tx: life.applier.create(tx, [commit]))
    await life.claim()
    await life.write(lambda tx: life.applier.create(tx, [commit]))
    taken = await store.read(lambda tx: tx.rows("SELECT taken FROM stepwell_slots"))
    assert [tuple(row) for row in taken] == [(1,)]
    assert applicant((await life.rows())["r00001"]).claim == 1


@pytest.mark.parametrize("seed", range(6))
async def test_random_lives_never_exceed_their_limits_and_all_come_to_their_end(store: Store, seed: int) -> None:
    chance = Random(seed)
    life = Life(store, SLOTS, WHOLE, RATE)
    began: dict[str, list[int]] = {}
    for _ in range(150):
        life.now += chance.randrange(100)
        rows = await life.rows()
        mine = [run.id for run in rows.values() if run.owner is not None]
        waiting = [run.id for run in rows.values() if run.status == "waiting" and run.owner is None]
        failed = [run.id for run in rows.values() if run.status == "failed"]
        match chance.randrange(9):
            case 0 | 1:
                await life.start(TURNS[chance.randrange(2)])
            case 2 | 3:
                for run_id in await life.claim(chance.randrange(1, 5), chance.choice(["me", "other"])):
                    before = rows.get(run_id)
                    if before is None or before.version == 0:
                        began.setdefault(run_id, []).append(life.now)
            case 4 if mine:
                await chance.choice([life.park, life.fail, life.end, life.cancel])(chance.choice(mine))
            case 5 if waiting:
                await chance.choice([life.wake, life.wake, life.cancel])(chance.choice(waiting))
            case 6 if failed:
                await life.retry(chance.choice(failed))
            case 7:
                await life.bury(chance.choice(["me", "other"]))
            case _:
                await life.tend()
        await _check(life, began)
    await _bring_to_an_end(life)


async def _check(life: Life, began: dict[str, list[int]]) -> None:
    rows = (await life.rows()).values()
    assert sum(run.owner is not None for run in rows) <= SLOTS.limit
    held = [run for run in rows if run.claim > 0 and run.status not in ("completed", "failed", "canceled")]
    taken = {
        row[0]
        for row in await life.store.read(
            lambda tx: tx.rows("SELECT run_id FROM stepwell_slots WHERE kind='run' AND taken=1")
        )
    }
    assert sum(run.id in taken for run in held) <= WHOLE.limit
    assert {run.id for run in rows if run.owner is not None} <= taken
    moments = sorted(max(all_) for all_ in began.values())
    for first, beyond in zip(moments, moments[RATE.limit :], strict=False):
        assert beyond - first >= (RATE.per or 0)


async def _bring_to_an_end(life: Life) -> None:
    for _ in range(400):
        rows = await life.rows()
        left = [run for run in rows.values() if run.status not in ("completed", "canceled")]
        if not left:
            assert await life.slots() == 0
            return
        for run in left:
            if run.owner is not None:
                await life.end(run.id)
            elif run.status == "failed":
                await life.retry(run.id)
            elif run.ready_at is None and run.held_by is None:
                await life.wake(run.id)
        life.now += 300
        await life.tend()
        await life.claim(5)
    raise AssertionError(f"these never came to their end: {[(run.id, run.status, run.held_by) for run in left]}")


async def test_the_end_of_a_run_that_took_its_turn_costs_no_further_statement(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turn was over with its claim, which let the next one through."""
    statements: list[Tx] = []
    for name in ("rows", "run", "each"):
        _counted(monkeypatch, name, statements)
    life = Life(store)
    counts = []
    for gates in ((), TURNS[:1]):
        one, _other = [await life.start(*gates) for _ in range(2)]
        assert await life.claim() == [one]
        statements.clear()
        await life.end(one)
        # Others are the process's own, which looks for what is due.
        counts.append(sum(tx is life.tx for tx in statements))
        assert await life.claim() == [_other]
    assert counts[0] == counts[1] > 0


def _counted(monkeypatch: pytest.MonkeyPatch, name: str, statements: list[Tx]) -> None:
    original = getattr(Tx, name)

    def counting(tx: Tx, sql: str, *given: object) -> object:
        if name != "each" or given[0]:  # nothing is executed for no rows
            statements.append(tx)
        return original(tx, sql, *given)

    monkeypatch.setattr(Tx, name, counting)


async def test_a_cancelled_run_gives_its_turn_to_the_next(store: Store) -> None:
    """It was never claimed: no claim has let the next one through."""
    life = Life(store)
    first, second, third = [await life.start(TURNS[0]) for _ in range(3)]
    assert await life.held() == [second, third]
    await life.cancel(first)
    assert await life.held() == [third]
    assert await life.claim() == [second]
    assert await life.held() == []
