"""What people, dead workers and code that doesn't fit make of a run: cancel, retry, take-overs. Rules 7, 26, 29, 32, 34."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from engine.life import Life, Lost
from stepwell import END, Retry, Workflow, transition
from stepwell.engine.commit import Returned
from stepwell.engine.control import cancel, retry, set_aside, take, worn_out
from stepwell.engine.visits import visits
from stepwell.errors import RunFinished

SECOND = timedelta(seconds=1)


class Job(Workflow, run_timeout=timedelta(hours=1)):
    @transition(target="wait", retry=Retry(retries=1, delay=SECOND))
    async def work(self) -> None: ...

    @transition("wait", END, wait=True, retry=Retry(retries=1, delay=SECOND), retry_target="start")
    async def end(self) -> None: ...


def pending() -> Life:
    return Life(Job, request={"owner": None})


def running() -> Life:
    return Life(Job)


def retrying() -> Life:
    life = running()
    life.raises("work")
    return life


def failed() -> Life:
    life = retrying()
    life.passes(1)
    life.raises("work")
    return life


def waiting() -> Life:
    life = running()
    life.returns("work")
    return life


def on_a_detour() -> Life:
    life = waiting()
    life.signal("end")
    life.raises("end")
    life.passes(1)
    life.ready()
    return life


def completed() -> Life:
    life = waiting()
    life.signal("end")
    life.returns("end")
    return life


def canceled() -> Life:
    life = waiting()
    life.cancel()
    return life


OPEN = [pending, running, retrying, failed, waiting, on_a_detour]


# -- cancel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("life_of", OPEN)
def test_cancel_commits_at_once_whatever_the_run_is_doing(life_of: Callable[[], Life]) -> None:
    life = life_of()
    before = life.run
    commit = life.cancel("no longer needed")
    assert commit is not None
    run = life.run
    assert (run.status, run.place, run.error, run.finished_at) == (
        "canceled", before.place, "canceled: no longer needed", life.now,
    )  # fmt: skip
    assert (commit.run.version, run.claim, run.owner) == (before.version + 1, before.claim + 1, None)
    assert (run.ready_at, run.due_at, run.deadline, run.moves_to, run.detours, run.bound) == (None,) * 6
    row = next(row for row in life.history if row.version == commit.run.version)
    assert (row.status, row.source, row.target) == ("canceled", before.place, None)
    assert commit.left == visits(before)


def test_the_history_names_what_was_executing() -> None:
    life = running()
    life.cancel(executing="work")
    assert life.path == ["work#1 start->None canceled"]


def test_where_nothing_was_executing_the_history_names_no_transition() -> None:
    life = waiting()
    life.cancel()
    assert life.path[-1] == "None#0 wait->None canceled"
    assert life.run.error == "canceled"


def test_the_late_outcome_of_a_cancelled_run_loses_by_the_fence() -> None:
    life = running()
    late = life.settle(life.next("work"), Returned(life.now))
    life.cancel()
    with pytest.raises(Lost):
        life.apply(late)
    assert life.run.status == "canceled"


def test_a_cancelled_run_stays_as_it_is() -> None:
    life = canceled()
    assert cancel(life.run, "again", None, life.now) is None


def test_a_completed_run_cannot_be_cancelled() -> None:
    life = completed()
    with pytest.raises(RunFinished, match="is completed: there is nothing left to cancel"):
        life.cancel()


# -- retry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("life_of", [retrying, failed])
def test_retry_makes_the_run_due_now_and_writes_no_history(life_of: Callable[[], Life]) -> None:
    life = life_of()
    before = life.run
    life.passes(0.5)
    commit = life.retry()
    run = life.run
    assert (run.status, run.ready_at, run.due_at, run.claim) == ("retrying", life.now, None, before.claim + 1)
    assert (commit.history, run.version, run.attempt, run.error) == (None, before.version, before.attempt, before.error)
    assert (run.failing, run.failures, run.automatic, run.takeovers) == (None, 0, 0, 0)
    life.returns("work")


@pytest.mark.parametrize("life_of", [pending, running, waiting, completed, canceled])
def test_only_what_failed_can_be_retried(life_of: Callable[[], Life]) -> None:
    life = life_of()
    before = life.run
    with pytest.raises(RunFinished, match=f"is {before.status}: only a failed or retrying run can be retried"):
        retry(life.definition, life.run, life.now)
    assert life.run == before


def test_retrying_a_held_run_takes_it_from_its_worker() -> None:
    life = Life(Job, hold=True)
    life.raises("work")
    held = life.run
    life.retry()
    assert life.run.owner is None
    assert life.run.claim == held.claim + 1


# -- taken at once --------------------------------------------------------------------------------------------------


def test_a_failed_run_that_a_worker_takes_is_retried_by_it() -> None:
    life = failed()
    before = life.run
    life.apply(take(life.definition, before, "me", life.now))
    assert (life.run.status, life.run.owner, life.run.failing, life.run.failures) == ("running", "me", None, 0)
    assert (life.run.claim, life.run.ready_at, life.run.due_at) == (before.claim + 1, None, None)


def test_a_run_that_nobody_executes_is_taken_as_it_is() -> None:
    life = pending()
    before = life.run
    life.apply(take(life.definition, before, "me", life.now))
    assert (life.run.status, life.run.owner, life.run.claim) == ("running", "me", before.claim + 1)
    assert (life.run.place, life.run.state, life.run.ready_at) == (before.place, before.state, None)


# -- take-overs -----------------------------------------------------------------------------------------------------


def test_a_run_whose_workers_keep_dying_here_fails_and_can_be_retried() -> None:
    life = running()
    for _ in range(10):
        life.die()
        life.claim()
    life.apply(worn_out(life.definition, life.run, life.now))
    assert life.where == ("failed", "start")
    assert life.run.error == "Job: at 'start', its worker died 10 times here"
    assert life.path == ["None#1 start->None failed"]
    assert [document.name for document in life.documents] == ["error"]
    life.retry()
    assert life.run.takeovers == 0
    life.returns("work")


def test_a_run_that_is_worn_out_tells_the_true_reason_where_it_is_known() -> None:
    life = running()
    for _ in range(10):
        life.die()
        life.claim()
    life.run = life.run._replace(suspicion="10:group Job.work blocked the event loop for 130 s")
    life.apply(worn_out(life.definition, life.run, life.now))
    assert life.run.error == "Job: at 'start', Job.work blocked the event loop for 130 s"
    assert life.run.suspicion is None


@pytest.mark.parametrize("settled", ["returns", "raises"])
def test_a_commit_clears_of_suspicion(settled: str) -> None:
    life = running()
    life.run = life.run._replace(suspicion="2:group")
    getattr(life, settled)("work")
    assert life.run.suspicion is None


@pytest.mark.parametrize("settled", ["returns", "raises"])
def test_take_overs_are_counted_at_one_version(settled: str) -> None:
    life = running()
    life.die()
    life.claim()
    assert life.run.takeovers == 1
    getattr(life, settled)("work")
    assert life.run.takeovers == 0


# -- code that doesn't fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("life_of", "status"),
    [(pending, "pending"), (waiting, "waiting"), (retrying, "retrying"), (on_a_detour, "waiting")],
)
def test_a_run_that_the_code_doesn_t_fit_is_set_aside_as_it_is(life_of: Callable[[], Life], status: str) -> None:
    life = life_of()
    life.passes(60)
    if life.run.owner is None:
        life.run = life.run._replace(ready_at=life.now)
        life.claim()
    before = life.run
    commit = set_aside(life.run, life.now)
    life.apply(commit)
    assert commit.history is None
    assert life.run == before._replace(
        status=status, owner=None, claim=before.claim + 1, ready_at=life.now, updated_at=life.now
    )
