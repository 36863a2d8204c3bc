"""Rules that stand in SQL say what their twins in the engine say (rules 3a, 29, 32, 44), on every database."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from stepwell import END, Workflow, transition
from stepwell.definition.authoring.workflow import definition_of
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin
from stepwell.engine.pauses import PauseRow
from stepwell.engine.run import RunRow, SignalRow, claimed, freed, ripened, signalled, unless_signalled
from stepwell.engine.signals import is_void
from stepwell.store import pauses, runs, signals, tables, workers
from stepwell.store.base import Store
from stepwell.store.signals import void
from stepwell.store.tx import Lane, Tx, paired

NOW = 50
LANES = [("shop", "job")]


class Job(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


BEGUN = begin(definition_of(Job), Request("r", "shop", "u1", "w", "null", "{}"), 1).run
RUNS = {
    run.id: run
    for n, (status, owner, (ready_at, due_at), suspicion) in enumerate(
        product(
            ("pending", "running", "waiting", "retrying", "completed"),
            (None, "me"),
            ((None, None), (5, None), (None, 7), (None, NOW), (None, 70)),
            (None, "1:group"),
        )
    )
    for run in [
        BEGUN._replace(
            id=f"r{n:03}",
            status=status,
            owner=owner,
            ready_at=ready_at,
            due_at=due_at,
            suspicion=suspicion,
            inbox=3,
            claim=4,
            takeovers=2,
        )
    ]
}
FREE = [run for run in RUNS.values() if run.owner is None]
OURS = [run for run in RUNS.values() if run.owner == "me"]


async def changed(store: Store, change: Callable[[Tx], object], given: list[RunRow]) -> list[RunRow]:
    """The rows of these runs, after the statement."""

    def write(tx: Tx) -> list[RunRow]:
        tx.insert(tables.runs, given)
        change(tx)
        found = runs.load(tx, [run.id for run in given])
        return [found[run.id] for run in given]

    return await store.writer.call(write)


async def test_a_claim(store: Store) -> None:
    ready = [run for run in FREE if run.ready_at is not None]
    after = await changed(store, lambda tx: runs.claim(tx, LANES, "other", 1000, NOW), FREE)
    assert after == [claimed(run, "other", NOW) if run in ready else run for run in FREE]


async def test_a_claim_of_runs_by_their_ids(store: Store) -> None:
    due = [run for run in FREE if run.ready_at is not None or (run.due_at or 99) <= NOW]
    after = await changed(store, lambda tx: runs.claim_ids(tx, LANES, RUNS, "other", 1000, NOW), [*RUNS.values()])
    assert after == [claimed(run, "other", NOW) if run in due else run for run in RUNS.values()]


async def test_what_a_pause_covers(store: Store) -> None:
    lanes = [*product(("shop", "store"), ("job", "tick:job", "other"))]
    covers = pauses.paused_sql("l.a", "l.b")
    for app, workflow in product(("", "shop", "none"), ("", "job", "tick:job")):
        pause = PauseRow(app, workflow, None, None, NOW)

        def write(tx: Tx, pause: PauseRow = pause) -> set[Lane]:
            pauses.put(tx, pause)
            found = {tuple(row) for row in tx.rows(f"SELECT a, b FROM pairs(?) l WHERE {covers}", paired(lanes))}
            assert pauses.unpaused(tx, lanes) == [lane for lane in lanes if lane not in found]
            pauses.lift(tx, pause.app_name, pause.workflow_name)
            return found

        assert await store.writer.call(write) == {lane for lane in lanes if pause.covers(*lane)}


async def test_a_signal_in_the_inbox(store: Store) -> None:
    after = await changed(store, lambda tx: runs.wake(tx, RUNS, NOW), [*RUNS.values()])
    assert after == [signalled(run, NOW) for run in RUNS.values()]


async def test_a_moment_that_has_come(store: Store) -> None:
    after = await changed(store, lambda tx: runs.ripen(tx, NOW), [*RUNS.values()])
    assert after == [ripened(run, NOW) for run in RUNS.values()]


async def test_a_worker_that_leaves(store: Store) -> None:
    after = await changed(store, lambda tx: workers.take_over(tx, "me", NOW, counts=False), OURS)
    assert after == [freed(run, NOW) for run in OURS]


async def test_a_worker_that_died(store: Store) -> None:
    after = await changed(store, lambda tx: workers.take_over(tx, "me", NOW), OURS)
    assert after == [freed(run, NOW, 0, new.suspicion) for run, new in zip(OURS, after, strict=True)]
    for run in OURS:
        [alone] = await changed(
            store, lambda tx: workers.take_over(tx, "one", NOW), [run._replace(id="a", owner="one")]
        )
        asleep = run.status == "retrying" and (run.due_at or 0) > NOW
        assert alone._replace(id=run.id) == freed(run, NOW, 0 if asleep else 1, alone.suspicion)
        await store.writer.call(lambda tx: runs.delete(tx, ["a"]))


async def test_a_run_that_is_released(store: Store) -> None:
    claims = [(run.id, run.claim) for run in OURS]
    after = await changed(store, lambda tx: workers.release(tx, "me", claims, NOW), OURS)
    assert after == [freed(run, NOW, 1) for run in OURS]


async def test_a_checkpoint_that_parks_while_a_signal_came(store: Store) -> None:
    for inbox, run in product((2, 3), OURS):
        parked = run._replace(inbox=inbox, owner=None, claim=run.claim + 1, version=run.version + 1)
        commit = Commit(run.version, run.claim, parked)
        [after] = await changed(store, lambda tx, commit=commit: tx.dialect.advance(tx.driver, [commit]), [run])
        assert after == unless_signalled(parked, 3)._replace(inbox=3)
        await store.writer.call(lambda tx, run=run: runs.delete(tx, [run.id]))


async def test_signals_that_become_void(store: Store) -> None:
    one = SignalRow("", "r", "", "signal", "{}", "completed", None, "r", "u1", None, None, None, 1, "open", None, 2)
    inbox = [
        one._replace(id=f"{n}", name=name, kind=kind, visit=visit)
        for n, (name, kind, visit) in enumerate(
            product(("called", "other"), ("signal", "event", "child"), (None, 1, 2))
        )
    ]
    for status, left, closed in product(("running", "completed"), ((), (1,), (1, 2)), ((), ("called",))):
        run = BEGUN._replace(status=status, version=1, bound_signal="1")
        commit = Commit(0, 0, run, left=left, closed=closed)

        def write(tx: Tx, commit: Commit = commit) -> list[SignalRow]:
            tx.insert(tables.signals, inbox)
            void(tx, [commit], {commit.run.id}, 0)
            found = signals.of_run(tx, commit.run.id)
            runs.delete(tx, [commit.run.id])
            return found

        after = {signal.id for signal in await store.writer.call(write) if signal.state == "void"}
        assert after == {signal.id for signal in inbox if is_void(commit, signal)}, (status, left, closed)
