"""Documents: written with the checkpoint, replaced in place by key, read in order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import Field

from conformance.support import ME, StepwellOn, counts, reaches
from stepwell import END, Document, Markdown, Message, Plain, Retry, Workflow, transition


class Note(Document, tags=["note", "shown"]):
    text: str = Field(default="", max_length=5000)
    stars: int = Field(default=1, ge=1)


class Secret(Document, internal=True, tags=["note"]):
    text: str


seen: list[Any] = []


class Writes(Workflow):
    @transition(target="second")
    async def first(self) -> None:
        seen.clear()
        await self.documents.save(Note(text="a"), key="k")
        await self.documents.save(Plain(text="b"))
        await self.documents.save(Note(text="a2"), key="k", meta={"n": 1})
        await self.documents.save(Secret(text="s"))
        seen.append([type(one).__name__ for one in await self.documents.all()])

    @transition("second", END)
    async def second(self) -> None:
        await self.documents.save(Message(role="app", text="c"))
        await self.documents.save(Note(text="a3"), key="k")
        seen.append([one.text for one in await self.documents.find(Note)])
        seen.append([one.text for one in await self.documents.find_by_tag("note")])  # type: ignore[attr-defined]
        seen.append([one.text for one in await self.documents.all()])  # type: ignore[attr-defined]


@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
async def test_a_key_replaces_in_place_and_reads_include_the_running_transition(
    stepwell_on: StepwellOn, stateless: bool
) -> None:
    async with stepwell_on([Writes]) as stepwell:
        done = await stepwell.runner.run_sync(Writes, **ME, stateless=stateless)
        assert seen == [["Note", "Plain", "Secret"], ["a3"], ["a3", "s"], ["a3", "b", "s", "c"]]
        assert [one.content["text"] for one in done.documents] == ["a3", "b", "c"], "internal ones are hidden"


async def test_older_versions_of_a_key_remain_as_history(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Writes]) as stepwell:
        done = await stepwell.runner.run_sync(Writes, **ME)
        run_id = done.workflow_id or ""
        current = await stepwell.runner.documents(run_id)
        assert [(one.name, one.key, one.content["text"]) for one in current] == [
            ("note", "k", "a3"),
            ("plain", None, "b"),
            ("secret", None, "s"),
            ("message", None, "c"),
        ]
        note = current[0]
        assert (note.tags, note.transition, note.version, note.replaced_at) == (("note", "shown"), "second", 2, None)
        with_old = await stepwell.runner.documents(run_id, replaced=True)
        for at, one in enumerate(with_old):
            in_front = await stepwell.runner.documents(run_id, replaced=True, before=one.id, newest=True, limit=2)
            assert [each.id for each in in_front] == [each.id for each in with_old[max(0, at - 2) : at]]
        notes = [one for one in with_old if one.key == "k"]
        assert [(one.content["text"], one.meta, one.replaced_at is None) for one in notes] == [
            ("a", None, False),
            ("a2", {"n": 1}, False),
            ("a3", None, True),
        ]


def sells(title: str | None) -> type[Workflow]:
    """A workflow as a deployment has it that calls its document so."""

    class Receipt(Document, title=title):
        cents: int

    class Sells(Workflow[None, None, None]):
        @transition(target="sold")
        async def sell(self) -> None:
            await self.documents.save(Receipt(cents=9), key="receipt")
            await self.documents.save(Plain(text="Sold."))

        @transition("sold", END, wait=True)
        async def correct(self) -> None:
            (receipt,) = await self.documents.find(Receipt)
            await self.documents.save(Receipt(cents=receipt.cents - 1), key="receipt")

    return Sells


@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
async def test_a_document_has_the_title_of_its_class(stepwell_on: StepwellOn, stateless: bool) -> None:
    class Receipt(Document, title="Your receipt"): ...

    class Sells(Workflow):
        @transition(target="half")
        async def sell(self) -> None:
            await self.documents.save(Receipt(), key="k")
            await self.documents.save(Plain(text="Sold."))

        @transition("half", END)
        async def correct(self) -> None:
            await self.documents.save(Receipt(), key="k")

    async with stepwell_on([Sells]) as stepwell:
        done = await stepwell.runner.run_sync(Sells, **ME, stateless=stateless)
        assert [(one.name, one.title) for one in done.documents] == [("receipt", "Your receipt"), ("plain", None)]


@pytest.mark.parametrize("later", ["Your bill", None])
async def test_a_title_is_that_of_the_code_that_saved(stepwell_on: StepwellOn, later: str | None) -> None:
    first, second = sells("Your receipt"), sells(later)
    async with stepwell_on([first]) as stepwell:
        run = await stepwell.runner.run(first, **ME)
        await reaches(stepwell.runner, run.workflow_id, "waiting")
    async with stepwell_on([second]) as stepwell:
        await stepwell.runner.signal(run.workflow_id, "correct")
        await reaches(stepwell.runner, run.workflow_id, "completed")
        found = await stepwell.runner.documents(run.workflow_id, replaced=True)
        assert [(one.name, one.title) for one in found] == [
            ("receipt", "Your receipt"),
            ("receipt", later),
            ("plain", None),
        ]


async def test_internal_documents_are_hidden_from_users(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Writes]) as stepwell:
        done = await stepwell.runner.run_sync(Writes, **ME)
        run_id = done.workflow_id or ""
        for documents in (
            await stepwell.runner.documents(run_id, user_id="u1"),
            await stepwell.runner.as_user("u1").documents(run_id),
            await stepwell.runner.as_user("u1").documents(run_id, replaced=True),
        ):
            assert "secret" not in [one.name for one in documents]
            assert len(documents) >= 3


class Judged(Workflow[str]):
    @transition(target=END)
    async def go(self) -> None:
        note = Note(text="t")
        note.stars = 0
        await self.documents.save(note, validate=self.args)  # type: ignore[arg-type]
        [read] = await self.documents.find(Note)
        seen[:] = [read.stars]


async def test_strict_refuses_safe_keeps_with_the_errors_and_skip_doesnt_look(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Judged]) as stepwell:
        strict = await stepwell.runner.run_sync(Judged, "strict", **ME)
        assert strict.status == "failed"
        assert "InvalidPayload: The document 'note' doesn't fit Note: stars" in (strict.error or "")
        safe = await stepwell.runner.run_sync(Judged, "safe", **ME)
        [document] = safe.documents
        assert (document.content, [error["loc"] for error in document.errors]) == (
            {"text": "t", "stars": 0},
            [["stars"]],
        )
        assert seen == [0], "what was given is what is read"
        skip = await stepwell.runner.run_sync(Judged, "skip", **ME)
        assert (skip.documents[0].content["stars"], skip.documents[0].errors) == (0, ())
        wrong = await stepwell.runner.run_sync(Judged, "maybe", **ME)
        assert "validate='maybe'" in (wrong.error or "")


class Large(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.documents.save(Note(text="x" * 1100))


async def test_a_document_over_the_limit_fails_the_attempt(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Large], max_document_bytes=1000) as stepwell:
        done = await stepwell.runner.run_sync(Large, **ME)
        assert done.status == "failed"
        assert "PayloadTooLarge: " in (done.error or "")
        assert "'note'" in (done.error or "")
        assert [one.name for one in done.documents] == ["error"]


class Fails(Workflow):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0)))
    async def go(self) -> None:
        await self.documents.save(Markdown(text=f"try {self.info.attempt}"), key="k")
        if self.info.attempt == 1:
            raise ValueError


async def test_fault_04_a_document_exists_with_its_checkpoint_only(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Fails]) as stepwell:
        done = await stepwell.runner.run_sync(Fails, **ME)
        assert [one.content.get("text") or one.name for one in done.documents] == [
            "error",
            "try 1" if False else "try 2",
        ]
        assert (await counts(stepwell))["stepwell_documents"] == 2


class NotOne(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.documents.save({"text": "a"})  # type: ignore[arg-type]


async def test_what_isnt_a_document_cant_be_saved(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([NotOne]) as stepwell:
        done = await stepwell.runner.run_sync(NotOne, **ME)
        assert done.status == "failed"
        assert "Document" in (done.error or "")
