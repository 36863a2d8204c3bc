"""Ready-made questions, and links to questions."""

from datetime import timedelta
from typing import assert_type

from stepwell import END, Workflow, WorkflowRunner, transition
from stepwell.people import AskOptions, AskText, ChoiceQuestion, Confirm, ConfirmQuestion, TextQuestion


class Refund(Workflow[str, None, bool]):
    @transition(target="asking")
    async def ask(self) -> None:
        await self.start(Confirm, {"text": f"Refund {self.args}?", "group": "finance"}, callback="confirmed")
        await self.start(
            Confirm, ConfirmQuestion(text="Refund?", due=timedelta(days=1), expires=True), callback="confirmed"
        )

    @transition("asking", END, wait=True)
    async def confirmed(self, yes: bool) -> bool:
        return yes


async def ask(runner: WorkflowRunner) -> None:
    assert_type(await (await runner.run(Confirm, {"text": "?"}, app_name="a", user_id="u")).result(), bool)
    assert_type(await (await runner.run(AskText, TextQuestion(text="?"), app_name="a", user_id="u")).result(), str)
    options = ChoiceQuestion(text="?", options=["a", "b"], many=True)
    assert_type(await (await runner.run(AskOptions, options, app_name="a", user_id="u")).result(), list[str])
    assert_type(await runner.answer_link("1", Refund.confirmed, by="ann", expires=timedelta(days=1)), str)


async def ask_wrongly(runner: WorkflowRunner) -> None:
    await runner.answer_link("1", Refund.confirmed, by="ann")  # error: it has to expire
    await runner.answer_link("1", Refund.confirmed, by="ann", expires=60)  # error: a timedelta
    await runner.run(Confirm, ChoiceQuestion(text="?", options=["a"]), app_name="a", user_id="u")  # error: other args
    TextQuestion()  # error: no text
