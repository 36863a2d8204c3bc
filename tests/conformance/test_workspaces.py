"""Workspaces: the first one of each app and user, and those that users make besides."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from conformance.support import ME, StepwellOn, counts, until
from conformance.test_forks import refused
from stepwell import END, App, Start, Workflow, WorkflowRunner, transition
from stepwell.errors import InvalidArgs, UnknownApp, WorkspaceNotFound


class Stay(Workflow[None, None, str]):
    @transition(target="open")
    async def begin(self) -> None:
        await self.start(Step, on_parent_end="abandon")

    @transition("open", END, wait=True)
    async def leave(self) -> str:
        return self.info.workspace_id


class Step(Workflow[None, None, str], name="step_of"):
    @transition(target=END)
    async def go(self) -> str:
        return self.info.workspace_id


CLASSES = [Stay, Step]


async def test_a_run_begins_in_a_workspace_that_its_user_has_made(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(CLASSES) as stepwell:
        runner = stepwell.runner
        made = await runner.workspaces.create("shop", "u1", "Spring")
        assert (made.app_name, made.user_id, made.title) == ("shop", "u1", "Spring")
        assert await runner.workspaces.get(made.workspace_id) == made
        assert await runner.workspaces.get(made.workspace_id.upper(), user_id="u1") == made
        run = await runner.run(Stay, **ME, workspace_id=made.workspace_id)
        assert run.workspace_id == made.workspace_id
        assert (await run.get()).workspace_id == made.workspace_id
        # Neither a handle by an id nor one for an item of a batch has read anything.
        assert runner.handle(run.workflow_id).workspace_id is None
        assert (await runner.run(Step, **ME)).workspace_id != made.workspace_id
        [child] = await until(lambda: members(runner, parent_id=run.workflow_id))
        await runner.signal(run.workflow_id, "leave")
        assert await run.result() == made.workspace_id
        assert await runner.handle(child).result() == made.workspace_id
        assert set(await members(runner, workspace_id=made.workspace_id)) == {run.workflow_id, child}


async def test_every_start_takes_a_workspace_and_says_which_it_was(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(CLASSES) as stepwell:
        runner = stepwell.runner
        made = (await runner.workspaces.create("shop", "u1", "Spring")).workspace_id
        one, other = await runner.run_many([Start(Step, workspace_id=made), Start(Step)], **ME)
        assert (one.workspace_id, other.workspace_id) == (made, (await other.get()).workspace_id)
        batch = await runner.run_batch([Start(Step, workspace_id=made), Start(Step)], **ME)
        await batch.result()
        found = [(await runner.get(item.workflow_id)).workspace_id async for item in batch.items()]
        assert found == [made, other.workspace_id]
        done = await runner.run_sync(Step, **ME, workspace_id=made)
        assert done.result == made
        await one.result()
        fork = await runner.fork((await parked(runner, made)).workflow_id, checkpoint=1)
        assert fork.workspace_id == (await fork.get()).workspace_id == made


async def test_a_workspace_of_another_app_may_hold_a_run(stepwell_on: StepwellOn) -> None:
    apps = [App("shop", workflows=[Step]), App("office", workflows=[Step])]
    async with stepwell_on(apps) as stepwell:
        runner = stepwell.runner
        made = (await runner.workspaces.create("office", "u1", "Spring")).workspace_id
        assert (await runner.run(Step, **ME, workspace_id=made)).workspace_id == made


async def test_workspaces_of_others_do_not_exist(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(CLASSES) as stepwell:
        runner, bob = stepwell.runner, stepwell.runner.as_user("u2")
        made = (await runner.workspaces.create("shop", "u1", "Spring")).workspace_id
        run = await runner.run(Step, **ME)
        await run.result()
        first = run.workspace_id
        assert first is not None
        for wanted in (made, first):
            for verb in (
                bob.run(Step, app_name="shop", user_id="u2", workspace_id=wanted),
                bob.run_many([Start(Step, workspace_id=wanted)], app_name="shop", user_id="u2"),
                bob.run_batch([Start(Step, workspace_id=wanted)], app_name="shop", user_id="u2"),
                runner.run(Step, app_name="shop", user_id="u2", workspace_id=wanted),
                bob.workspaces.get(wanted),
                runner.workspaces.get(wanted, user_id="u2"),
                bob.workspaces.rename(wanted, "Mine"),
                bob.workspaces.get(wanted, user_id="u1"),
            ):
                await refused(stepwell, WorkspaceNotFound, "u2", verb)
        for verb in (
            bob.workspaces.create("shop", "u1", "Mine"),
            bob.workspaces.list(user_id="u1"),
            runner.workspaces.get(str(uuid4())),
            runner.workspaces.get("none"),
            runner.workspaces.rename(str(uuid4()), "Mine"),
            runner.run(Step, **ME, workspace_id=str(uuid4())),
        ):
            await refused(stepwell, WorkspaceNotFound, "", verb)
        assert (await bob.workspaces.list()).items == ()
        assert {one.workspace_id for one in (await runner.as_user("u1").workspaces.list()).items} == {made, first}


BAD: list[Any] = ["", "x" * 201, "a\0b", None, 5, "\ud800"]


@pytest.mark.parametrize("title", BAD, ids=repr)
async def test_what_is_no_title_is_refused(stepwell_on: StepwellOn, title: Any) -> None:
    async with stepwell_on(CLASSES) as stepwell:
        own = stepwell.runner.workspaces
        made = await own.create("shop", "u1", "x" * 200)
        await refused(stepwell, InvalidArgs, "title=", own.create("shop", "u1", title))
        await refused(stepwell, InvalidArgs, "title=", own.rename(made.workspace_id, title))


async def test_what_can_not_be_made_leaves_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(CLASSES) as stepwell:
        own, nobody, number = stepwell.runner.workspaces, "", 5
        await refused(stepwell, UnknownApp, "shopp", own.create("shopp", "u1", "Spring"))
        await refused(stepwell, InvalidArgs, "user_id=", own.create("shop", nobody, "Spring"))
        await refused(stepwell, InvalidArgs, "user_id=", own.create("shop", number, "Spring"))  # type: ignore[arg-type]
        await refused(stepwell, InvalidArgs, "limit=0", own.list(limit=0))
        await refused(stepwell, InvalidArgs, "cursor=", own.list(cursor="x"))
        await refused(stepwell, InvalidArgs, "app_name=5", own.list(app_name=number))  # type: ignore[arg-type]
        assert "stepwell_made_workspaces" not in await counts(stepwell)
        assert (await own.list(app_name="a\0b")).items == ()


async def test_titles_may_be_the_same_and_are_changed(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(CLASSES) as stepwell:
        own = stepwell.runner.workspaces
        one, two = [await own.create("shop", "u1", "Spring") for _ in range(2)]
        assert one.workspace_id != two.workspace_id
        renamed = await own.rename(one.workspace_id, "Sommer ☀")
        assert renamed == await own.get(one.workspace_id) == one.model_copy(update={"title": "Sommer ☀"})
        assert (await own.get(two.workspace_id)).title == "Spring"
        first = (await stepwell.runner.run(Step, **ME)).workspace_id
        assert first is not None
        assert (await own.get(first)).title is None
        await own.rename(first, "Everything else")
        await stepwell.runner.run(Step, **ME)
        assert (await own.get(first)).title == "Everything else"


async def test_a_page_follows_the_other(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([App("shop", workflows=[Step]), App("office", workflows=[Step])]) as stepwell:
        runner, made = stepwell.runner, {}
        for app in ("shop", "office"):
            for user in ("u1", "u2"):
                await runner.run(Step, app_name=app, user_id=user)
                for title in ("Spring", "Summer"):
                    one = await runner.workspaces.create(app, user, title)
                    made[one.workspace_id] = (app, user)
        for given, number in (({}, 12), ({"user_id": "u1"}, 6), ({"app_name": "shop"}, 6), (ME, 3)):
            found, cursor = [], None
            while True:
                page = await runner.workspaces.list(**given, limit=2, cursor=cursor)
                found += page.items
                assert len(page.items) <= 2
                if (cursor := page.next_cursor) is None:
                    break
            ids = [one.workspace_id for one in found]
            assert (len(ids), ids) == (number, sorted(set(ids)))
            for one in found:
                assert made.get(one.workspace_id, (one.app_name, one.user_id)) == (one.app_name, one.user_id)
                assert given.get("app_name", one.app_name) == one.app_name
                assert given.get("user_id", one.user_id) == one.user_id


async def members(runner: WorkflowRunner, **given: Any) -> list[str]:
    return [run.workflow_id for run in (await runner.list(**given)).items]


async def parked(runner: WorkflowRunner, workspace_id: str) -> Any:
    run = await runner.run(Stay, **ME, workspace_id=workspace_id)

    async def look() -> bool:
        return (await run.get()).status == "waiting"

    await until(look)
    return run
