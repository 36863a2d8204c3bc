"""Lives of runs under limits, drawn step by step, on SQLite in memory: never over a limit, and nothing is left held (rule 54)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from stepwell import END, Workflow, transition
from stepwell.definition.authoring.workflow import definition_of
from stepwell.definition.model import Rule
from stepwell.engine.commit import Commit
from stepwell.engine.control import Request, begin, cancel, retry
from stepwell.engine.gates import Gate, RuleLimits, gate_of, gates_json, gates_of
from stepwell.engine.pauses import PauseRow
from stepwell.engine.run import RunRow
from stepwell.engine.settle import released
from stepwell.store import openings, pauses, runs, workers
from stepwell.store.gates import Gates
from stepwell.store.sqlite.dialect import Sqlite
from stepwell.store.tables import metadata
from stepwell.store.tx import Tx
from stepwell.store.writing.apply import Applier

T = TypeVar("T")
EXECUTING, SHARED, RATE = 1, 2, 3
PER = 1_000_000
ENDED = ("completed", "failed", "canceled")
LANES = [("shop", "job"), ("shop", "task")]


class Job(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Task(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


STARTS = st.lists(
    st.tuples(st.sampled_from([Job, Task]), st.sampled_from("ab"), st.integers(-1, 1)), min_size=1, max_size=5
)


def _gates(workflow: str, key: str) -> list[Gate]:
    rules = [
        Rule("executing", 0, EXECUTING),
        Rule("run", 1, SHARED, name="shared"),
        Rule("rate", 0, RATE, per=PER),
        Rule("fair", 0, 1),
    ]
    keys = [key, None, None, key]
    return [gate_of(one, "shop", workflow, k, "u1") for one, k in zip(rules, keys, strict=True)]


class Lives(RuleBasedStateMachine):
    """Two workflows with turns, slots for executions by key, a shared limit for whole runs, and a rate each."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10_000_000
        self.made = 0
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        metadata.create_all(self.engine)
        gates = Gates(RuleLimits(lambda: ()), lambda: self.now)
        self.applier = Applier(100, lambda *_: None, gates, lambda run: None)

    def teardown(self) -> None:
        self._bring_to_an_end()
        self.engine.dispose()

    def write(self, act: Callable[[Tx], T]) -> T:
        self.now += 1
        with self.engine.begin() as connection:
            tx = Tx(connection, Sqlite())
            answer = act(tx)
            self.applier.settle(tx)
            return answer

    def rows(self) -> list[RunRow]:
        return list(self.write(lambda tx: runs.load(tx, [f"r{n:04}" for n in range(self.made)])).values())

    def _some(self, chance: int, fits: Callable[[RunRow], bool]) -> RunRow | None:
        found = [run for run in self.rows() if fits(run)]
        return found[chance % len(found)] if found else None

    def _change(self, run: RunRow | None, change: Callable[[RunRow], RunRow | None]) -> None:
        if run is not None and (after := change(run)) is not None:
            self.write(lambda tx: self.applier.advance(tx, [Commit(run.version, run.claim, after)]))

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(starts=STARTS)
    def start(self, starts: list[tuple[type[Workflow], str, int]]) -> None:
        commits = []
        for workflow, key, priority in starts:
            definition = definition_of(workflow)
            text = gates_json(_gates(definition.name, key))
            request = Request(f"r{self.made:04}", "shop", "u1", "w", "null", "{}", priority=priority, gates=text)
            commits.append(begin(definition, request, self.now))
            self.made += 1
        self.write(lambda tx: self.applier.create(tx, commits))

    @rule(starts=STARTS)
    def start_and_claim(self, starts: list[tuple[type[Workflow], str, int]]) -> None:
        self.start(starts)
        self.claim(6, "me")

    @rule(limit=st.integers(1, 6), worker=st.sampled_from(["me", "other"]))
    def claim(self, limit: int, worker: str) -> None:
        def act(tx: Tx) -> None:
            answer = self.applier.gates.admit(tx, runs.claim(tx, LANES, worker, limit, self.now))
            if answer.turns:
                left = limit - len(answer.admitted)
                self.applier.gates.open(tx, answer.turns, turns=max(-(-left // len(answer.turns)), 1))

        self.write(act)

    @rule(n=st.integers(0, 99), status=st.sampled_from(["waiting", "waiting", "failed", "completed"]))
    def settle(self, n: int, status: str) -> None:
        finished = {"finished_at": self.now} if status == "completed" else {}

        def after(run: RunRow) -> RunRow:
            return released(run, status, self.now, version=run.version + 1, **finished)  # type: ignore[arg-type]

        self._change(self._some(n, lambda run: run.owner is not None), after)

    @rule(n=st.integers(0, 99))
    def wake(self, n: int) -> None:
        run = self._some(n, lambda run: run.status == "waiting")
        if run is not None:
            self.write(lambda tx: runs.wake(tx, [run.id], self.now))

    @rule(n=st.integers(0, 99))
    def retry(self, n: int) -> None:
        self._change(
            self._some(n, lambda run: run.status == "failed"),
            lambda run: retry(definition_of(Job if run.workflow_name == "job" else Task), run, self.now).run,
        )

    @rule(n=st.integers(0, 99))
    def cancel(self, n: int) -> None:
        def canceled(run: RunRow) -> RunRow | None:
            commit = cancel(run, None, None, self.now)
            return None if commit is None else commit.run

        self._change(self._some(n, lambda run: run.status not in ("completed", "canceled")), canceled)

    @rule(worker=st.sampled_from(["me", "other"]))
    def bury(self, worker: str) -> None:
        self.write(lambda tx: workers.take_over(tx, worker, self.now, counts=False))

    @rule(n=st.integers(0, 99))
    def delete(self, n: int) -> None:
        run = self._some(n, lambda run: run.status in ENDED)
        if run is not None:
            self.write(lambda tx: runs.delete(tx, [run.id]))

    @rule(n=st.integers(0, 99))
    def delete_by_hand(self, n: int) -> None:
        """The row only, in whatever state the run is: what it held counts no longer."""
        run = self._some(n, lambda run: True)
        if run is not None:
            self.write(lambda tx: tx.run("DELETE FROM stepwell_runs WHERE id=?", run.id))

    @rule(workflow=st.sampled_from(["job", "task"]))
    def pause_or_resume(self, workflow: str) -> None:
        def act(tx: Tx) -> None:
            if pauses.lift(tx, "shop", workflow) is not None:
                openings.look_again(tx, self.now, 100)
            else:
                pauses.put(tx, PauseRow("shop", workflow, None, None, self.now))

        self.write(act)

    def _resume_all(self) -> None:
        def act(tx: Tx) -> None:
            for one in pauses.all_of(tx):
                pauses.lift(tx, one.app_name, one.workflow_name)
            openings.look_again(tx, self.now, 100)

        self.write(act)

    @rule(by=st.integers(-3 * PER, 12 * PER))
    def clock_jumps(self, by: int) -> None:
        self.now += by

    @rule()
    def tend(self) -> None:
        """What the duty does."""

        def act(tx: Tx) -> None:
            due = openings.due(tx, self.now, 100)
            openings.forget_due(tx, due, self.now)
            self.applier.gates.open(tx, [*due, *openings.held(tx, "", 100)])

        self.write(act)

    # -- what must hold ------------------------------------------------------------------------------------------------

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        found = self.rows()
        executing: Counter[str] = Counter()
        alive = {run.id for run in found if run.status not in ENDED}
        for run in found:
            if run.owner is not None:
                executing.update(gate.id for gate in gates_of(run.gates) if gate.kind == "executing")
        assert all(count <= EXECUTING for count in executing.values()), executing
        rows = self.write(lambda tx: tx.rows("SELECT run_id FROM stepwell_slots WHERE kind='run' AND taken=1"))
        holders = {row[0] for row in rows} & alive
        assert len(holders) <= SHARED
        assert {run.id for run in found if run.owner is not None} <= holders

    @invariant()
    def no_more_begin_in_a_window_than_the_rate_allows(self) -> None:
        rows = self.write(lambda tx: tx.rows("SELECT gate, at FROM stepwell_slots WHERE kind='rate' AND taken=1"))
        for gate in {row[0] for row in rows}:
            moments = sorted(row[1] for row in rows if row[0] == gate)
            for first, beyond in zip(moments, moments[RATE:], strict=False):
                assert beyond - first >= PER

    @invariant()
    def who_is_held_is_neither_ready_nor_owned(self) -> None:
        for run in self.rows():
            if run.held_by is not None:
                assert (run.ready_at, run.due_at, run.owner) == (None, None, None)
                assert run.status not in ENDED
                assert run.held_by in {gate.id for gate in gates_of(run.gates)}

    @precondition(lambda self: self.made > 0)
    @invariant()
    def nothing_that_could_go_on_is_neither_ready_nor_held(self) -> None:
        for run in self.rows():
            if run.status in ("pending", "retrying"):
                assert (run.ready_at is not None) + (run.held_by is not None) == 1, run

    def _bring_to_an_end(self) -> None:
        self._resume_all()
        for _ in range(400):
            left = [run for run in self.rows() if run.status not in ("completed", "canceled")]
            if not left:
                break
            for run in left:
                if run.owner is not None:
                    self._change(
                        run,
                        lambda run: released(run, "completed", self.now, version=run.version + 1, finished_at=self.now),
                    )
                elif run.status == "failed":
                    self._change(run, lambda run: retry(definition_of(Job), run, self.now).run)
                elif run.status == "waiting" and run.ready_at is None and run.held_by is None:
                    self.write(lambda tx: runs.wake(tx, [run.id], self.now))  # noqa: B023
            self.now += PER // 2
            self.tend()
            self.claim(2, "me")
            self.no_limit_is_exceeded()
        assert not left, f"these never came to their end: {[(run.id, run.status, run.held_by) for run in left]}"
        sql = (
            "SELECT count(*) FROM stepwell_slots s WHERE kind<>'rate'"
            " AND EXISTS (SELECT 1 FROM stepwell_runs r WHERE r.id=s.run_id)"
        )
        assert self.write(lambda tx: tx.scalar(sql)) == 0


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
