"""`runner.blocking`, `connection=django.db.connection`: what a call writes is true exactly if `atomic()` commits."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils.connection import ConnectionProxy

from backends import Database, SqliteFile
from conformance.support import ME, StepwellOn
from conformance.test_callers_transaction import REFUSE_HISTORY, Ask, Order
from conformance.test_synchronous_callers import VERBS, seen
from django_site import django_on
from everywhere import backend  # noqa: F401 - on each of them
from stepwell.errors import ConfigurationError, IdempotencyConflict, StoreUnavailable


@pytest.fixture
def given(database: Database) -> Iterator[Any]:
    """Django's connection in this thread."""
    database.execute("CREATE TABLE mine (n INTEGER)")
    with django_on(database) as made:
        yield made


def insert(given: Any) -> None:
    with given.cursor() as cursor:
        cursor.execute("INSERT INTO mine VALUES (1)")


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_there_after_a_rollback_of_atomic(stepwell_on: StepwellOn, given: Any, verb: str) -> None:
    with stepwell_on([Order, Ask]) as stepwell:
        parked = stepwell.runner.blocking.run_sync(Ask, **ME)
        before = seen(stepwell)
        with transaction.atomic(using="shop"):
            VERBS[verb](stepwell.runner.blocking, parked.workflow_id or "", given)
            transaction.set_rollback(True, using="shop")
        assert seen(stepwell) == before


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_there_after_a_rollback_of_an_inner_atomic(
    stepwell_on: StepwellOn, given: Any, database: Database, verb: str
) -> None:
    with stepwell_on([Order, Ask]) as stepwell:
        parked = stepwell.runner.blocking.run_sync(Ask, **ME)
        before = seen(stepwell)
        with transaction.atomic(using="shop"):
            insert(given)
            with transaction.atomic(using="shop"):
                VERBS[verb](stepwell.runner.blocking, parked.workflow_id or "", given)
                transaction.set_rollback(True, using="shop")
            insert(given)
        assert seen(stepwell) == before
    assert database.read("SELECT n FROM mine") == [(1,), (1,)]


@pytest.mark.parametrize("verb", VERBS)
def test_it_is_there_once_atomic_commits_and_not_before(stepwell_on: StepwellOn, given: Any, verb: str) -> None:
    with stepwell_on([Order, Ask]) as stepwell:
        runner = stepwell.runner.blocking
        run_id = runner.run_sync(Ask, **ME).workflow_id or ""
        before = seen(stepwell)
        with transaction.atomic(using="shop", durable=True):
            insert(given)
            answer = VERBS[verb](runner, run_id, given)
            assert seen(stepwell) == before
        if verb == "cancel":
            assert runner.get(run_id).error == "canceled: it's off"
        elif verb in ("signal", "emit"):
            assert runner.handle(run_id).result(60) == ("yes" if verb == "signal" else "closed")
        else:
            for handle in answer if isinstance(answer, list) else [answer]:
                assert handle.created
                assert handle.result(60) == handle.get().args


def test_it_may_be_the_object_that_stands_for_the_connection_of_each_thread(
    stepwell_on: StepwellOn, given: Any
) -> None:
    standing = ConnectionProxy(connections, given.alias)  # as `django.db.connection`
    with stepwell_on([Order]) as stepwell:
        before = seen(stepwell)
        with transaction.atomic(using="shop"):
            run = stepwell.runner.blocking.run(Order, {"n": 1}, **ME, connection=standing)
            assert seen(stepwell) == before
        assert run.result(60) == {"n": 1}


def test_it_may_be_a_transaction_without_atomic(stepwell_on: StepwellOn, given: Any) -> None:
    with stepwell_on([Order], embedded_worker=False) as stepwell:
        before = seen(stepwell)
        transaction.set_autocommit(False, using="shop")
        stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
        assert seen(stepwell) == before
        transaction.rollback(using="shop")
        assert seen(stepwell) == before
        stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
        transaction.commit(using="shop")
        assert len(seen(stepwell)["stepwell_runs"]) == 1
        transaction.set_autocommit(True, using="shop")


def test_refusals_and_failures_leave_the_transaction_usable(
    stepwell_on: StepwellOn, given: Any, database: Database
) -> None:
    with stepwell_on([Order], embedded_worker=False) as stepwell:
        runner = stepwell.runner.blocking
        runner.run(Order, {"n": 1}, **ME, idempotency_key="k")
        before = seen(stepwell)
        for statement in REFUSE_HISTORY[database.kind]:
            database.execute(statement)
        with transaction.atomic(using="shop"):
            with pytest.raises(IdempotencyConflict):
                runner.run(Order, {"n": 2}, **ME, idempotency_key="k", connection=given)
            with pytest.raises(StoreUnavailable, match="no history today"):
                runner.run(Order, {}, **ME, connection=given)
            insert(given)
        assert seen(stepwell) == before
    assert database.read("SELECT n FROM mine") == [(1,)]


def test_outside_of_atomic_it_is_refused_with_the_cure(stepwell_on: StepwellOn, given: Any) -> None:
    with stepwell_on([Order], embedded_worker=False) as stepwell:
        with pytest.raises(ConfigurationError, match=r"autocommit.*with transaction\.atomic\(\)"):
            stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
        assert not seen(stepwell)["stepwell_runs"]


def test_a_broken_transaction_is_refused(stepwell_on: StepwellOn, given: Any) -> None:
    with stepwell_on([Order], embedded_worker=False) as stepwell:
        with transaction.atomic(using="shop"):
            transaction.set_rollback(True, using="shop")
            with pytest.raises(ConfigurationError, match=r"can't be used: .*the end of the 'atomic' block"):
                stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
        assert not seen(stepwell)["stepwell_runs"]


def test_a_connection_of_another_thread_is_refused(stepwell_on: StepwellOn, database: Database) -> None:
    with stepwell_on([Order], embedded_worker=False) as stepwell, django_on(database) as given:
        with ThreadPoolExecutor(1) as other, transaction.atomic(using="shop"):
            run = other.submit(lambda: stepwell.runner.blocking.run(Order, {}, **ME, connection=given))
            with pytest.raises(ConfigurationError, match="can only be used in that same thread"):
                run.result(60)
        assert not seen(stepwell)["stepwell_runs"]


def test_another_database_is_refused(stepwell_on: StepwellOn, tmp_path: Path) -> None:
    with (
        stepwell_on([Order], embedded_worker=False) as stepwell,
        django_on(SqliteFile(f"sqlite:///{tmp_path}/other.db")) as given,
        transaction.atomic(using="shop"),
    ):
        with pytest.raises(ConfigurationError, match=r"other\.db.*not on Stepwell's database"):
            stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
        assert not seen(stepwell)["stepwell_runs"]


async def test_the_runner_on_the_loop_refuses_it_with_the_cure(stepwell_on: StepwellOn, given: Any) -> None:
    async with stepwell_on([Order]) as stepwell:
        with pytest.raises(ConfigurationError, match=r"would block the event loop: call runner\.blocking"):
            await stepwell.runner.run(Order, {}, **ME, connection=given)


def test_djangos_hooks_hear_the_statements(stepwell_on: StepwellOn, given: Any) -> None:
    heard: list[str] = []

    def hear(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        heard.append(sql)
        return execute(sql, parameters, many, context)

    with (
        stepwell_on([Order], embedded_worker=False) as stepwell,
        given.execute_wrapper(hear),
        transaction.atomic(using="shop"),
    ):
        stepwell.runner.blocking.run(Order, {}, **ME, connection=given)
    assert any("stepwell_runs" in sql for sql in heard)


def test_on_commit_starts_a_run_without_a_connection(stepwell_on: StepwellOn, given: Any) -> None:
    with stepwell_on([Order]) as stepwell:
        started: list[Any] = []
        with transaction.atomic(using="shop"):
            insert(given)
            transaction.on_commit(
                lambda: started.append(stepwell.runner.blocking.run(Order, {"n": 1}, **ME)), using="shop"
            )
            assert not started
        assert started[0].result(60) == {"n": 1}
