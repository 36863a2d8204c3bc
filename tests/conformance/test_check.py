"""The check before a deployment: all runs in flight that the code can't carry on, by workflow, version, place and reason."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.support import ME, StepwellOn, everything, reaches
from conformance.test_fitting import change
from conformance.test_versions import NewOrder, NewShop, OldArgs, OldOrder, OldShop, OldState, parked
from stepwell import END, Migration, Misfit, Workflow, migrate, transition
from stepwell.errors import StepwellError
from stepwell.store import tables
from stepwell.store.reading import in_flight
from stepwell.store.tx import Tx
from store.test_large_rates import Explaining


class Gone(Workflow):
    @transition(target="there")
    async def begin(self) -> None: ...

    @transition("there", END, wait=True)
    async def go(self) -> None: ...


def brief(found: list[Misfit]) -> list[tuple[Any, ...]]:
    return [(one.workflow, one.workflow_version, one.place, one.runs) for one in found]


async def test_code_that_fits_has_no_misfits_and_nothing_is_written(stepwell_on: StepwellOn) -> None:
    await parked(stepwell_on)
    async with stepwell_on([NewOrder], embedded_worker=False) as after:
        before = await everything(after)
        assert await after.check() == []
        assert await everything(after) == before


async def test_misfits_are_counted_by_workflow_version_place_and_reason(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.runner.checking._PAGE", 2)

    class Later(Workflow[OldArgs, OldState, Any], name="order", version=2):
        @migrate(from_version=1)
        def to_the_desk(old: Migration) -> None:  # type: ignore[misc]
            if old.state["total"] == 4:
                raise ValueError("four")
            if old.place == "review":
                old.place = "desk" if old.state["total"] < 3 else "cellar"

        @transition(target="desk")
        async def begin(self) -> None: ...

        @transition("desk", END, wait=True)
        async def decide(self, answer: str) -> None: ...

    ids = []
    async with stepwell_on([OldOrder, Gone]) as before:
        for amount in (1, 2, 3, 3, 3, 4):
            run = await before.runner.run(OldOrder, {"amount": amount}, **ME)
            await reaches(before.runner, run.workflow_id, "waiting")
            ids.append(run.workflow_id)
        gone = await before.runner.run(Gone, **ME)
        await reaches(before.runner, gone.workflow_id, "waiting")
        done = await before.runner.run(OldOrder, {"amount": 3}, **ME)
        await reaches(before.runner, done.workflow_id, "waiting")
        await before.runner.signal(done.workflow_id, "decide", "yes")
        await reaches(before.runner, done.workflow_id, "completed")
    async with stepwell_on([Later], embedded_worker=False) as after:
        found = await after.check()
        assert brief(found) == [("gone", 1, "there", 1), ("order", 1, "review", 3), ("order", 1, "review", 1)]
        listed, nowhere, raised = found
        assert listed.example == gone.workflow_id
        assert listed.reason == "no registered app lists this workflow: list it again, or cancel the run"
        assert raised.example == ids[5]
        assert "ValueError: four" in raised.reason
        assert raised.reason.endswith("mend the migration")
        assert nowhere.example in ids[2:5]
        assert "no place 'cellar'" in nowhere.reason
        assert nowhere.reason.removeprefix("it ").split(":")[0] in str(await after.runner.explain(ids[2]))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"workflow_version": 4}, "deploy the code of version 4"),
        ({"place": "cellar"}, "its place 'cellar' isn't in OldOrder any more: bring the place back, or write"),
        ({"bound": "gone", "status": "retrying"}, "give its new name was='gone'"),
        ({"state": '{"total": "many"}'}, "@migrate(from_version=1) and version=2"),
        ({"status": "failed", "place": "cellar"}, "bring the place back"),
        ({"moves_to": "cellar", "status": "retrying"}, "the place 'cellar' that it is to move to"),
        ({"place": "start"}, "it waits at 'start', where OldOrder waits for nothing"),
        ({"workflow_version": -1, "state": "[1"}, "its args or state no longer fit"),
    ],
)
async def test_each_kind_of_misfit_has_its_cure(stepwell_on: StepwellOn, changes: dict[str, Any], why: str) -> None:
    run_id = await parked(stepwell_on)
    async with stepwell_on([OldOrder], embedded_worker=False) as after:
        await change(after, run_id, **changes)
        [found] = await after.check()
        assert why in found.reason
        assert (found.runs, found.example) == (1, run_id)
        if changes.get("status") != "failed":
            assert found.reason.rsplit(": ", 1)[-1] in str(await after.runner.explain(run_id)), (
                "explain has the cure too"
            )


async def test_signals_that_the_code_doesnt_know_are_misfits_unless_they_were_renamed(stepwell_on: StepwellOn) -> None:
    class Without(Workflow[None, dict[str, Any], Any], name="renamed"):
        @transition(target="open")
        async def begin(self) -> None: ...

        @transition("open", END, wait=True)
        async def other(self) -> None: ...

    async with stepwell_on([OldShop]) as before:
        run = await before.runner.run(OldShop, **ME)
        await reaches(before.runner, run.workflow_id, "waiting", "open")
        await before.runner.signal(run.workflow_id, "packed")
    async with stepwell_on([Without], embedded_worker=False) as after:
        [found] = await after.check()
        assert "its inbox holds the signal 'packed'" in found.reason
        assert "was=" in found.reason
    async with stepwell_on([NewShop], embedded_worker=False) as after:
        assert await after.check() == []


async def test_many_reasons_at_one_place_are_bounded(stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell.runner.checking._REASONS", 2)

    class Raising(Workflow[Any, Any, Any], name="order", version=2):
        @migrate(from_version=1)
        def tell_the_amount(old: Migration) -> None:  # type: ignore[misc]
            raise ValueError(old.args["amount"])

        @transition(target=END)
        async def begin(self) -> None: ...

    async with stepwell_on([OldOrder]) as before:
        for amount in range(5):
            run = await before.runner.run(OldOrder, {"amount": amount}, **ME)
            await reaches(before.runner, run.workflow_id, "waiting")
    async with stepwell_on([Raising], embedded_worker=False) as after:
        found = await after.check()
        assert sum(one.runs for one in found) == 5
        assert len(found) == 3
        assert any(one.reason.startswith("various reasons, for example: ") and one.runs == 3 for one in found)


async def test_it_needs_an_open_stepwell(stepwell_on: StepwellOn) -> None:
    with pytest.raises(StepwellError):
        await stepwell_on([OldOrder]).check()


def test_every_status_in_which_a_run_may_go_on_is_looked_at() -> None:
    from typing import get_args

    from stepwell.definition.authoring.groups import RunStatus

    assert set(in_flight.STATUSES) == set(get_args(RunStatus)) - {"completed", "canceled"}


COPIES = 20_000


async def test_no_run_that_has_ended_is_walked_over(stepwell_on: StepwellOn) -> None:
    """The check of a million runs reads those in flight, by the index of what isn't completed."""
    await parked(stepwell_on)
    async with stepwell_on([NewOrder], embedded_worker=False) as after:
        assert after.process is not None
        store, names = after.process.store, list(tables.names(tables.runs))
        given = {"id": "'ended' || i", "status": "'completed'", "idempotency_key": "NULL"}
        ended = (
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{COPIES})"
            f" INSERT INTO stepwell_runs ({', '.join(names)}) SELECT {', '.join(given.get(one, one) for one in names)}"
            " FROM n, stepwell_runs WHERE status='waiting'"
        )
        await store.writer.call(lambda tx: tx.run(ended))
        count = "SELECT count(*) FROM stepwell_runs WHERE status='completed'"
        assert await store.read(lambda tx: tx.scalar(count)) == COPIES
        await store.writer.call(lambda tx: tx.run("ANALYZE stepwell_runs"))
        for status in in_flight.STATUSES:

            def explained(tx: Tx, status: str = status) -> list[str]:
                driver = Explaining(tx.driver, store.dialect.alone)
                in_flight.page(Tx(tx.connection, tx.dialect, driver), ["shop"], status, "", 100)
                return driver.plans

            for plan in await store.writer.call(explained):
                if "signals" not in plan:
                    assert "stepwell_runs_status" in plan or "stepwell_runs_waiting" in plan, plan
                assert "Seq Scan on stepwell_" not in plan, plan
                assert "SCAN stepwell_" not in plan, plan
        assert await after.check() == []
