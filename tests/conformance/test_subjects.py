"""Subjects of runs, for people; and all filters of a list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, StepwellOn, reaches
from conformance.test_forks import refused
from stepwell import END, Debounce, Start, Workflow, transition
from stepwell.errors import DefinitionError, InvalidArgs


class Bought(BaseModel):
    order_id: str
    lines: list[str] = ["none"]


class Ship(Workflow[Bought], name="ship", subject="Order {args.order_id}, {args.lines[0]}"):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


def shout(args: Bought) -> str | None:
    if args.order_id == "strange":
        raise SystemExit(3)
    return {"none": None, "empty": "", "number": 7, "nul": "\0"}.get(args.order_id, args.order_id.upper() * 300)  # type: ignore[return-value]


class Call(Workflow[Bought], name="call", subject=shout):
    @transition(target=END)
    async def go(self) -> None: ...


class Parent(Workflow, name="parent"):
    @transition(target=END)
    async def go(self) -> None:
        await self.start(Ship, {"order_id": "C1"})


class Late(Workflow[Bought], name="late", subject="{args.order_id}", debounce=Debounce(delay=timedelta(days=1))):
    @transition(target=END)
    async def go(self) -> None: ...


async def test_every_start_has_a_subject_and_is_found_by_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ship, Call, Parent, Late]) as stepwell:
        runner = stepwell.runner
        plain = (await runner.run(Ship, {"order_id": "A-1", "lines": ["Stühle"]}, **ME)).workflow_id
        assert (await runner.get(plain)).subject == "Order A-1, Stühle"
        [many] = await runner.run_many([Start(Ship, {"order_id": "B1"})], **ME)
        assert (await many.get()).subject == "Order B1, none"
        await (await runner.run(Parent, **ME)).result(60)
        await reaches(runner, plain, "waiting", "open")
        assert [one.workflow_id for one in (await runner.list(text="order a-1, st")).items] == [plain]
        assert [one.subject for one in (await runner.list(text="order c1")).items] == ["Order C1, none"]
        fork = await runner.fork(plain, checkpoint=1, args={"order_id": "D1"})
        assert (await fork.get()).subject == "Order D1, none"
        cut = await runner.run(Call, {"order_id": "ab"}, **ME)
        assert (await cut.get()).subject == ("AB" * 300)[:200]
        for nothing in ("none", "empty"):
            assert (await (await runner.run(Call, {"order_id": nothing}, **ME)).get()).subject is None
        late = await runner.run(Late, {"order_id": "first"}, **ME)
        assert (await runner.run(Late, {"order_id": "second"}, **ME)).workflow_id == late.workflow_id
        assert (await late.get()).subject == "second"


async def test_a_subject_that_can_not_be_worked_out_refuses_the_start(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ship, Call]) as stepwell:
        run = stepwell.runner.run
        await refused(stepwell, InvalidArgs, "IndexError", run(Ship, {"order_id": "A1", "lines": []}, **ME))
        await refused(stepwell, InvalidArgs, "SystemExit", run(Call, {"order_id": "strange"}, **ME))
        await refused(stepwell, InvalidArgs, "type int", run(Call, {"order_id": "number"}, **ME))
        await refused(stepwell, InvalidArgs, "NUL", run(Call, {"order_id": "nul"}, **ME))


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        (7, "neither a text nor a function"),
        ("Order {order_id}", "knows args only"),
        ("Order {}", "knows args only"),
        ("Order {args.order_id", "isn't a format string"),
        (lambda one, two: "", "one parameter"),
    ],
)
def test_a_subject_that_is_none_is_a_fault_of_the_class(subject: Any, fault: str) -> None:
    with pytest.raises(DefinitionError, match=fault):

        class Wrong(Workflow[Bought], subject=subject):
            @transition(target=END)
            async def go(self) -> None: ...


async def test_a_list_takes_every_filter(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ship, Call]) as stepwell:
        runner = stepwell.runner
        before = datetime.now(UTC) - timedelta(days=1)
        run = await runner.run(Ship, {"order_id": "A1"}, **ME)
        await reaches(runner, run.workflow_id, "waiting", "open")
        await (await runner.run(Call, {"order_id": "A1"}, **ME)).result(60)
        assert [one.workflow_id for one in (await runner.list(place="open")).items] == [run.workflow_id]
        assert len((await runner.list(text="A1", created_after=before)).items) == 2
        assert (await runner.list(created_before=before)).items == ()
        for name in ("created_after", "created_before"):
            for wrong in ("today", 7, datetime(2026, 1, 1)):
                await refused(stepwell, InvalidArgs, name, runner.list(**{name: wrong}))  # type: ignore[arg-type]
        await refused(stepwell, InvalidArgs, "place", runner.list(place="\0"))


async def test_a_handle_knows_the_workspace_of_its_run(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ship]) as stepwell:
        runner = stepwell.runner
        first = await runner.run(Ship, {"order_id": "A1"}, idempotency_key="k", **ME)
        again = await runner.run(Ship, {"order_id": "A1"}, idempotency_key="k", **ME)
        [many] = await runner.run_many([Start(Ship, {"order_id": "B1"})], **ME)
        await reaches(runner, first.workflow_id, "waiting", "open")
        fork = await runner.fork(first.workflow_id, checkpoint=1)
        workspace = (await first.get()).workspace_id
        assert {one.workspace_id for one in (first, again, many, fork)} == {workspace}
        assert runner.handle(first.workflow_id).workspace_id is None, "nothing is asked"
