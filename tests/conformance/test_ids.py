"""Ids are found however they are written; what isn't one, and values of a wrong type, are refused by name."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import uuid_utils

from conformance.support import ME, StepwellOn, reaches
from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.console.reading.parts import Parts, Questions
from stepwell.errors import InvalidArgs, RunFinished, UnknownApp, WorkflowNotFound, WorkspaceNotFound


class Ask(Workflow[None, dict[str, Any], str]):
    @transition(target="asked")
    async def begin(self) -> None:
        self.state["marker"] = await self.step("look", lambda: 1)

    @transition("asked", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


FORMS: dict[str, Any] = {
    "UUID": UUID,
    "another library's UUID": uuid_utils.UUID,
    "capitals": str.upper,
    "braces": "{{{}}}".format,
    "a URN": "urn:uuid:{}".format,
    "no hyphens": lambda text: text.replace("-", ""),
}
NONE: list[Any] = ["nope", "", "x" * 100, "a\0b", 5, None, b"bytes", ["id"], object()]


@pytest.mark.parametrize("form", FORMS)
async def test_every_verb_finds_a_run_by_any_form_of_its_id(stepwell_on: StepwellOn, form: str) -> None:
    async with stepwell_on([Ask]) as stepwell:
        runner = stepwell.runner
        run = await reaches(runner, (await runner.run(Ask, **ME)).workflow_id, "waiting")
        given: Any = FORMS[form](run.workflow_id)
        assert (await runner.get(given)).workflow_id == run.workflow_id
        assert (await runner.as_user("u1").get(given)).workflow_id == run.workflow_id
        assert len(await runner.history(given)) == len(await runner.history(given, newest=True)) == 2
        assert await runner.documents(given) == []
        assert (await runner.explain(given)).workflow_id == run.workflow_id
        assert [one.name for one in await Parts(runner).steps(given)] == ["look"]
        assert (await Parts(runner).children(given)).items == ()
        assert [one.transition for one in await Questions(runner).asks(given)] == ["answer"]
        assert (await runner.list(parent_id=given)).items == ()
        assert len((await runner.list(workspace_id=FORMS[form](run.workspace_id))).items) == 1
        again = await runner.run(Ask, **ME, workspace_id=FORMS[form](run.workspace_id))
        assert (await again.get()).workspace_id == run.workspace_id
        assert (await runner.cancel(FORMS[form](again.workflow_id))).status == "canceled"
        with pytest.raises(RunFinished):
            await runner.retry(FORMS[form](again.workflow_id))
        handle = runner.handle(given)
        assert handle.workflow_id == run.workflow_id
        assert (await runner.signal(given, "answer", "yes")).workflow_id == run.workflow_id
        assert await handle.result(60) == "yes"


async def test_what_is_no_id_is_refused_by_every_verb(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ask]) as stepwell:
        runner = stepwell.runner
        for given in [*NONE, uuid4()]:
            for call in (
                runner.get(given),
                runner.history(given),
                runner.documents(given),
                runner.explain(given),
                runner.signal(given, "answer", "yes"),
                runner.cancel(given),
                runner.retry(given),
                runner.handle(given).get(),
            ):
                with pytest.raises(WorkflowNotFound, match="No run"):
                    await call
            with pytest.raises(WorkspaceNotFound, match="No workspace"):
                await runner.run(Ask, app_name="shop", user_id="u1", workspace_id=given or "none")
        with pytest.raises(WorkflowNotFound, match=r"It is of type int: give the id, as run\.workflow_id"):
            await runner.get(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"app_name": App("shop")}, r"app_name=App\('shop'\) is of type App"),
        ({"label": 5}, "label=5 is of type int"),
        ({"user_id": 5}, "user_id=5 is of type int"),
        ({"parent_id": 5}, "parent_id=5 is of type int"),
        ({"workspace_id": 5}, "workspace_id=5 is of type int"),
        ({"workflow": 5}, "workflow=5: give a workflow class"),
        ({"workflow": Ask()}, "give a workflow class"),
        ({"status": "runing"}, "Did you mean 'running'"),
        ({"limit": "5"}, "limit='5'"),
        ({"limit": True}, "limit=True"),
        ({"limit": 0}, "limit=0"),
        ({"cursor": 5}, "cursor=5"),
    ],
)
async def test_a_filter_of_a_wrong_type_is_refused(stepwell_on: StepwellOn, wanted: dict[str, Any], text: str) -> None:
    async with stepwell_on([Ask]) as stepwell:
        with pytest.raises(InvalidArgs, match=text):
            await stepwell.runner.list(**wanted)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"user_id": 5}, InvalidArgs, "user_id=5"),
        ({"app_name": App("shop")}, UnknownApp, "give the name of the app, app_name='shop'"),
        ({"app_name": ["shop"]}, UnknownApp, r"No app \['shop'\]"),
        ({"app_name": "shopp"}, UnknownApp, "Registered: shop"),
        ({"labels": 5}, InvalidArgs, "labels=5"),
        ({"labels": [5]}, InvalidArgs, r"labels=\[5\]"),
        ({"priority": True}, InvalidArgs, "priority=True"),
        ({"priority": "high"}, InvalidArgs, "priority='high'"),
        ({"delay": 5}, InvalidArgs, "delay=5"),
        ({"at": datetime(2030, 1, 1)}, InvalidArgs, "at="),
        ({"at": "2030-01-01"}, InvalidArgs, "at='2030-01-01'"),
        ({"delay": timedelta(1), "at": datetime(2030, 1, 1)}, InvalidArgs, "exclude each other"),
        ({"idempotency_key": 5}, InvalidArgs, "idempotency_key=5"),
    ],
)
async def test_a_start_of_a_wrong_type_is_refused(
    stepwell_on: StepwellOn, given: dict[str, Any], error: type[Exception], text: str
) -> None:
    async with stepwell_on([Ask]) as stepwell:
        with pytest.raises(error, match=text):
            await stepwell.runner.run(Ask, **{**ME, **given})
        assert (await stepwell.runner.list()).items == ()


async def test_the_user_of_every_verb_is_a_text(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ask]) as stepwell:
        runner, run = stepwell.runner, (await stepwell.runner.run(Ask, **ME)).workflow_id
        nobody: Any = 5
        for call in (
            runner.get(run, user_id=nobody),
            runner.history(run, user_id=nobody),
            runner.documents(run, user_id=nobody),
            runner.explain(run, user_id=nobody),
            runner.signal(run, "answer", "x", user_id=nobody),
            runner.cancel(run, user_id=nobody),
            runner.retry(run, user_id=nobody),
            runner.emit("e", user_id=nobody),
        ):
            with pytest.raises(InvalidArgs, match="user_id=5"):
                await call


async def test_a_stateless_run_has_its_users_workspace_only(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ask]) as stepwell:
        with pytest.raises(WorkspaceNotFound, match="has no database"):
            await stepwell.runner.run_sync(Ask, **ME, stateless=True, workspace_id=str(uuid4()))


def test_a_stepwell_says_which_apps_it_has() -> None:
    with pytest.raises(Exception, match="two apps are named 'a'"):
        Stepwell([App("a"), App("a")])
