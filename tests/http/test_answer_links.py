"""Links to questions: shown and answered without a login, once, until they expire, and for one question only."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field, ValidationError, create_model

from conformance.support import until
from stepwell import END, App, Ask, Document, Event, Stepwell, Workflow, transition
from stepwell.console.http.answers.fields import fields_of, read_form
from stepwell.errors import (
    AlreadyAnswered,
    ConfigurationError,
    InvalidArgs,
    NonRetryable,
    RunFinished,
    UnknownTransition,
    WorkflowNotFound,
)
from stepwell.people import AskOptions, AskText, Confirm
from stepwell.runner.links import read_link, sign
from stepwell.ui import TextArea

DAY = timedelta(days=1)
KEYS: dict[str, Any] = {"secret_key": "a long random text", "public_url": "http://localhost"}
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"accept": "application/json"}
TEXT = "**Now** <script>x</script> [a](javascript:alert(1)) ![b](https://example.com/b.png)"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Verdict(BaseModel):
    approved: bool
    note: str = Field("", description="What the user is to know <b>")
    amount: int | None = None
    paid_on: date | None = None
    colours: list[Colour] = []


class Deep(BaseModel):
    parts: list[dict[str, int]]


class Offer(Document):
    price: int
    remark: str


class Secret(Document):
    margin: int


class Review(Workflow[None, None, Any]):
    @transition(target="review")
    async def prepare(self) -> None:
        await self.documents.save(Offer(price=100, remark="<script>alert(1)</script>"))
        await self.documents.save(Secret(margin=777))

    @transition(
        "review",
        "detail",
        wait=True,
        ask=Ask(
            "May <i>they</i>?",
            text="**Now** <script>x</script> [a](javascript:alert(1))",
            assignee="ann",
            documents=[Offer],
        ),
    )
    async def decide(self, verdict: Verdict) -> None: ...

    @transition("review", "detail", after=timedelta(days=9))
    async def expire(self) -> None: ...

    @transition("detail", END, wait=True)
    async def detail(self, deep: Deep) -> dict[str, Any]:
        return deep.model_dump()


Opened = Callable[..., Any]


@pytest.fixture
def desk(stepwell_of: Callable[..., Stepwell], client_of: Callable[..., Any]) -> Opened:
    """`async with desk(**settings) as (stepwell, client)`: an application that names no users."""

    @asynccontextmanager
    async def opened(*, dependencies: Any = (), **settings: Any) -> AsyncIterator[tuple[Stepwell, httpx.AsyncClient]]:
        stepwell = stepwell_of(App("shop", workflows=[Review]), **{**KEYS, **settings})
        app = FastAPI(dependencies=list(dependencies))
        stepwell.mount(app)
        async with client_of(stepwell, app) as client:
            yield stepwell, client

    return opened


async def asked(stepwell: Stepwell, workflow: Any = Review, args: Any = None) -> str:
    run = await stepwell.runner.run(workflow, args, app_name="shop", user_id="u1")
    await until(lambda: waits(stepwell, run.workflow_id), "the question")
    return run.workflow_id


async def waits(stepwell: Stepwell, run_id: str, place: str | None = None) -> bool:
    run = await stepwell.runner.get(run_id)
    return run.status == "waiting" and place in (None, run.place)


async def answerer(stepwell: Stepwell, run_id: str) -> str | None:
    """Who is named as the one who answered, once the answer is executed."""
    history = await stepwell.runner.history(run_id)
    return next((one.answered_by for one in history if one.transition == "decide"), None)


async def link_to(
    stepwell: Stepwell, run_id: str, name: str = "decide", by: str = "ann", expires: timedelta = DAY
) -> str:
    return await stepwell.runner.answer_link(run_id, name, by=by, expires=expires)


async def test_looking_shows_the_question_and_what_it_names_and_takes_nothing(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        before = await stepwell.runner.get(run_id)
        link = await link_to(stepwell, run_id)
        assert link.startswith("http://localhost/api/v1/answers/")
        for _ in range(3):
            shown = await client.get(link, headers=PAGE)
            assert shown.status_code == 200
        assert (await client.head(link)).status_code == 200
        assert await stepwell.runner.get(run_id) == before
        assert shown.headers["cache-control"] == "no-store"
        assert shown.headers["referrer-policy"] == "no-referrer"
        assert "script-src" not in (policy := shown.headers["content-security-policy"])
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        text = shown.text
        assert "May &lt;i&gt;they&lt;/i&gt;?" in text
        assert "<strong>Now</strong>" in text
        assert "<script" not in text
        assert 'href="javascript' not in text
        assert "<img" not in text
        assert "100" in text
        assert "777" not in text, "only the documents that the question names"
        assert "a long random text" not in text
        found = (await client.get(link, headers=JSON)).json()
        assert (found["title"], found["by"]) == ("May <i>they</i>?", "ann")
        assert [one["name"] for one in found["documents"]] == ["offer"]
        assert found.keys() == {
            "title", "text", "due_at", "asked_at", "payload_schema", "documents", "by", "expires_at",
        }  # fmt: skip


async def test_the_first_answer_by_json_counts_and_every_later_one_is_told_who_was_first(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        link, other = await link_to(stepwell, run_id), await link_to(stepwell, run_id, by="bob")
        answer = await client.post(link, json={"data": {"approved": True}}, headers=JSON)
        assert (answer.status_code, answer.json()["by"]) == (200, "ann")
        for address in (link, other):
            again = await client.post(address, json={"data": {"approved": False}}, headers=JSON)
            assert (again.status_code, again.json()["by"]) == (409, "ann")
            page = await client.get(address, headers=PAGE)
            assert page.status_code == 409
            assert "ann answered it" in page.text
        assert await until(lambda: answerer(stepwell, run_id)) == "ann"


async def test_two_links_at_once_and_one_answer_wins(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        for _ in range(10):
            run_id = await asked(stepwell)
            links = [await link_to(stepwell, run_id, by=by) for by in ("ann", "bob")]
            found = await asyncio.gather(
                *(client.post(one, json={"data": {"approved": True}}, headers=JSON) for one in links)
            )
            assert sorted(one.status_code for one in found) == [200, 409]


async def test_a_form_is_read_field_by_field_and_shown_again_with_what_is_wrong(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        link = await link_to(stepwell, run_id)
        page = (await client.get(link, headers=PAGE)).text
        for name in ("approved", "note", "amount", "paid_on", "colours"):
            assert f'name="{name}"' in page
        assert "What the user is to know &lt;b&gt;" in page
        wrong = await client.post(link, data={"note": "kept <b>", "amount": "many", "colours": '"green"'}, headers=PAGE)
        assert wrong.status_code == 422
        assert "kept &lt;b&gt;" in wrong.text, "what was written isn't lost"
        assert wrong.text.count('class="wrong"') == 3
        assert (await stepwell.runner.get(run_id)).status == "waiting"
        form = {
            "approved": "true",
            "note": "a\r\nb",
            "amount": "7",
            "paid_on": "2026-01-31",
            "colours": ['"red"', '"blue"'],
        }
        done = await client.post(link, data=form, headers=PAGE)
        assert done.status_code == 200
        assert "Thank you" in done.text
        assert await until(lambda: answerer(stepwell, run_id)) == "ann"


class Note(BaseModel):
    text: str = "none given"
    reason: str | None = "none"
    remark: str = ""
    made: str = Field(default_factory=lambda: "made")
    area: Annotated[str, TextArea()] = "long"


@pytest.mark.parametrize(
    ("model", "form", "read"),
    [
        (
            Note,
            {"text": [""], "reason": [""], "remark": [""], "made": [""], "area": [""]},
            Note(text="", reason=None, area=""),
        ),
        (Note, {"text": ["a"]}, Note(text="a")),
        (Note, {}, Note()),
    ],
)
def test_what_the_person_deleted_is_no_default(model: type[BaseModel], form: Any, read: Any) -> None:
    schema = model.model_json_schema()
    given, wrong = read_form(schema, fields_of(schema), form)
    assert (model.model_validate(given), wrong) == (read, {})


class Figures(BaseModel):
    whole: int = 5
    part: float | None = 0.5
    day: date = date(2026, 1, 31)
    price: Decimal = Decimal(1)


@pytest.mark.parametrize("field", ["whole", "day", "price"])
def test_a_number_or_a_day_that_the_person_deleted_is_asked_again(field: str) -> None:
    schema = Figures.model_json_schema()
    given, _ = read_form(schema, fields_of(schema), {field: [""]})
    with pytest.raises(ValidationError):
        Figures.model_validate(given)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), (" -7 ", -7), ("+1.50", 1.5), (".5", 0.5), ("1e3", 1000.0), ("", None), ("1_0", ...), ("1_0.5", ...),
        ("nan", ...), ("inf", ...), ("-infinity", ...), ("0x10", ...), ("1,5", ...), ("many", ...),
    ],
)  # fmt: skip
def test_a_number_is_written_in_digits(text: str, number: Any) -> None:
    model = create_model("Amount", amount=(Annotated[float | None, Field(allow_inf_nan=False)], 0.5))
    schema = model.model_json_schema()
    given, _ = read_form(schema, fields_of(schema), {"amount": [text]})
    if number is ...:
        with pytest.raises(ValidationError):
            model.model_validate(given)
    else:
        assert model.model_validate(given).model_dump() == {"amount": number}


async def test_what_has_no_fields_is_written_as_json(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        await stepwell.runner.answer(run_id, "decide", {"approved": True}, by="ann")
        await until(lambda: waits(stepwell, run_id, "detail"))
        link = await link_to(stepwell, run_id, "detail", by="u1")
        assert "<textarea" in (await client.get(link, headers=PAGE)).text
        broken = await client.post(link, data={"parts": "[{"}, headers=PAGE)
        assert broken.status_code == 422
        assert "isn&#x27;t valid JSON" in broken.text
        assert (await client.post(link, data={"parts": '[{"a": 1}]'}, headers=PAGE)).status_code == 200
        assert await stepwell.runner.handle(run_id).result(timeout=timedelta(minutes=1)) == {"parts": [{"a": 1}]}


@pytest.mark.parametrize(
    ("workflow", "args", "form", "result"),
    [
        (Confirm, {"yes": "Refund it"}, {"value": "true"}, True),
        (Confirm, {}, {"value": "false"}, False),
        (AskText, {}, {"value": "words"}, "words"),
        (AskText, {"multiline": True}, {"value": "a\r\nb"}, "a\nb"),
        (AskOptions, {"options": ["a", 'b"<']}, {"value": json.dumps('b"<')}, ['b"<']),
        (AskOptions, {"options": ["a", "b", "c"], "many": True}, {"value": ['"a"', '"c"']}, ["a", "c"]),
        (AskOptions, {"options": ["a", "b"], "many": True}, {}, []),
    ],
)
async def test_ready_made_questions_have_forms(desk: Opened, workflow: Any, args: Any, form: Any, result: Any) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell, workflow, {"text": "So?", **args})
        link = await link_to(stepwell, run_id, "answer")
        page = (await client.get(link, headers=PAGE)).text
        for words in (args.get("yes"), *args.get("options", ())):
            assert words is None or words.replace('"', "&quot;").replace("<", "&lt;") in page
        headers = {**PAGE, "content-type": "application/x-www-form-urlencoded"}
        sent = httpx.Request("POST", link, data=form).read()
        assert (await client.post(link, content=sent, headers=headers)).status_code == 200
        assert await stepwell.runner.handle(run_id).result(timeout=timedelta(minutes=1)) == result


async def test_a_link_is_good_for_its_visit_and_its_question_only(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        first, second = await asked(stepwell), await asked(stepwell)
        keys = stepwell.runner.core.shared.links
        link = await link_to(stepwell, first)
        address, _, token = link.rpartition("/")
        whole = read_link(keys, token)
        # Signed by the key, so only what is signed decides: another visit and another count of assignments aren't open.
        for other in (whole._replace(visit=7), whole._replace(assigned=1), whole._replace(transition="detail")):
            assert (await client.post(f"{address}/{sign(keys, other)}", json={"data": {}})).status_code in (
                404,
                409,
                422,
            )
        # Altered by its holder: another run, another person.
        body, signature = token.rsplit(".", 1)
        for changed in (whole._replace(workflow_id=second), whole._replace(by="bob")):
            forged = base64.urlsafe_b64encode(json.dumps(list(changed)).encode()).decode().rstrip("=")
            assert (await client.get(f"{address}/{forged}.{signature}", headers=PAGE)).status_code == 404
        for cut in (token[:-1], body, signature, "", "x" * 20_000, "%00", token + "A"):
            assert (await client.get(f"{address}/{cut}", headers=PAGE)).status_code in (404, 429)
        assert {(await stepwell.runner.get(one)).place for one in (first, second)} == {"review"}
        assert (await client.post(link, json={"data": {"approved": True}})).status_code == 200


async def test_guesses_are_counted_and_a_valid_link_is_taken_all_the_same(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        link = await link_to(stepwell, await asked(stepwell))
        guess = link[:-6] + "guess0"
        statuses = [(await client.get(guess, headers=PAGE)).status_code for _ in range(12)]
        assert statuses == [404] * 10 + [429] * 2
        limited = await client.get(guess, headers=JSON)
        assert limited.headers["retry-after"]
        assert (await client.get(link, headers=PAGE)).status_code == 200


async def test_assigning_anew_ends_links_that_were_made_before(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        link = await link_to(stepwell, run_id)
        await stepwell.runner.assign(run_id, "decide", assignee="bob")
        gone = await client.get(link, headers=PAGE)
        assert gone.status_code == 404
        assert "given to another person" in gone.text
        assert (await client.post(link, json={"data": {"approved": True}}, headers=JSON)).status_code == 404
        assert (await client.get(await link_to(stepwell, run_id, by="bob"))).status_code == 200


async def test_the_end_of_the_question_ends_the_link(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        link = await link_to(stepwell, run_id)
        await stepwell.runner.cancel(run_id)
        page = await client.get(link, headers=PAGE)
        assert page.status_code == 409
        assert "This question has ended" in page.text
        assert (await client.post(link, json={"data": {"approved": True}}, headers=JSON)).status_code == 409


class Plan(Workflow[None, None, None]):
    """Fails while it asks."""

    @transition(target="inner room")
    async def prepare(self) -> None: ...

    @transition("inner room", END, wait=True, ask=Ask("So?", assignee="ann"))
    async def decide(self, verdict: Verdict) -> None: ...

    @transition("inner room", END, wait=True)
    async def give_up(self) -> None: ...

    @transition("inner room", END, on=Event("audit"))
    async def audit(self) -> None:
        raise NonRetryable("SECRET")


@pytest.mark.parametrize("name", ["decide", "give_up"])
async def test_a_failed_run_shows_a_link_neither_its_form_nor_its_error(
    stepwell_of: Any, client_of: Any, name: str
) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Plan]), **KEYS)
    app = FastAPI()
    stepwell.mount(app)
    async with client_of(stepwell, app) as client:
        run_id = await asked(stepwell, Plan)
        link = await link_to(stepwell, run_id, name)
        await stepwell.runner.emit("audit")

        async def failed() -> bool:
            return (await stepwell.runner.get(run_id)).status == "failed"

        await until(failed, "the failure")
        for headers in (PAGE, JSON):
            for answer in (
                await client.get(link, headers=headers),
                await client.post(link, json={"data": {"approved": True}}, headers=headers),
            ):
                assert answer.status_code == 409
                assert "takes no answer until it is retried" in answer.text
                for hidden in ("SECRET", "<form", "has ended", run_id, "inner room"):
                    assert hidden not in answer.text
        with pytest.raises(RunFinished):
            await link_to(stepwell, run_id, name)


async def test_a_link_expires(stepwell_of: Any, client_of: Any) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Review]), **KEYS)
    app = FastAPI()
    stepwell.mount(app)
    async with client_of(stepwell, app) as client:
        run_id = await asked(stepwell)
        link = await link_to(stepwell, run_id, expires=timedelta(hours=1))
        _, _, token = link.rpartition("/")
        keys = stepwell.runner.core.shared.links
        over = sign(keys, read_link(keys, token)._replace(until=stepwell.runner.core.shared.clock.now()))
        for headers in (PAGE, JSON):
            late = await client.get(link.replace(token, over), headers=headers)
            assert late.status_code == 410
            assert "valid until" in late.text
        assert (await client.post(link.replace(token, over), json={"data": {"approved": True}})).status_code == 410
        assert (await client.get(link)).status_code == 200


async def test_links_signed_by_a_former_key_stay_valid_and_those_of_another_key_dont(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        link = await link_to(stepwell, run_id)
    async with desk(secret_key="a new one", former_secret_keys=("older", "a long random text")) as (_, client):
        assert (await client.get(link)).status_code == 200
    async with desk(secret_key="a new one") as (_, client):
        assert (await client.get(link)).status_code == 404


@pytest.mark.parametrize(
    "missing", [{"secret_key": None}, {"public_url": None}, {"secret_key": None, "public_url": None}]
)
async def test_without_key_or_address_there_are_no_links(desk: Opened, missing: dict[str, None]) -> None:
    async with desk(**missing) as (stepwell, client):
        run_id = await asked(stepwell)
        with pytest.raises(ConfigurationError) as refused:
            await link_to(stepwell, run_id)
        assert " and ".join(missing) in str(refused.value)
        assert (await client.get("/api/v1/answers/anything")).status_code == 404


async def test_links_are_made_for_open_questions_only(desk: Opened) -> None:
    async with desk() as (stepwell, _):
        run_id = await asked(stepwell)
        runner = stepwell.runner
        for expires in (timedelta(0), -DAY, timedelta.max, 60, None):
            with pytest.raises(InvalidArgs):
                await runner.answer_link(run_id, "decide", by="ann", expires=expires)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgs):
            await link_to(stepwell, run_id, by="")
        with pytest.raises(UnknownTransition):
            await link_to(stepwell, run_id, "decided")
        with pytest.raises(UnknownTransition):
            await link_to(stepwell, run_id, "detail")
        with pytest.raises(WorkflowNotFound):
            await link_to(stepwell, "0" * 8)
        # A user makes no link for what others are asked: that would be a way to answer it themselves.
        with pytest.raises(WorkflowNotFound):
            await runner.as_user("u1").answer_link(run_id, Review.decide, by="ann", expires=DAY)
        await runner.answer(run_id, "decide", {"approved": True}, by="ann")
        with pytest.raises(AlreadyAnswered):
            await link_to(stepwell, run_id)
        await runner.cancel(run_id)
        with pytest.raises((RunFinished, UnknownTransition)):
            await link_to(stepwell, run_id, "detail")


async def test_a_restricted_runner_makes_links_for_what_its_user_may_answer_and_in_no_other_name(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        runner = stepwell.runner
        asks_ann = await asked(stepwell)
        question = {"text": "So?", "group": "ops"}
        asks_ops = await asked(stepwell, Confirm, question)
        asks_owner = await asked(stepwell, Confirm, {"text": "So?"})
        for run_id, name, user, groups in (
            (asks_ann, "decide", "ann", ()),
            (asks_ops, "answer", "bob", {"ops"}),
            (asks_owner, "answer", "u1", ()),
        ):
            for refused in (
                runner.as_user(user).answer_link(run_id, name, by="boss", groups=groups, expires=DAY),
                runner.as_user("eve").answer_link(run_id, name, by="eve", groups={"sales"}, expires=DAY),
                runner.as_user("eve").answer_link(run_id, name, by=user, groups=groups, expires=DAY),
            ):
                with pytest.raises(WorkflowNotFound):
                    await refused
            link = await runner.as_user(user).answer_link(run_id, name, by=user, groups=groups, expires=DAY)
            data = {"approved": True} if name == "decide" else True
            assert (await client.post(link, json={"data": data}, headers=JSON)).json()["by"] == user
        with pytest.raises(WorkflowNotFound):  # whom the group's questions aren't for, without its name
            await runner.as_user("bob").answer_link(
                await asked(stepwell, Confirm, question), "answer", by="bob", expires=DAY
            )
        with pytest.raises(InvalidArgs):
            await runner.as_user("bob").answer_link(asks_ops, "answer", by="bob", groups="ops", expires=DAY)


async def test_another_site_and_other_headers_neither_help_nor_hinder(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        link = await link_to(stepwell, await asked(stepwell))
        headers = {**PAGE, "origin": "null", "sec-fetch-site": "cross-site", "cookie": "stepwell_session=sw_x"}
        assert (await client.post(link, data={"approved": "true"}, headers=headers)).status_code == 200
        # The rest of the API is guarded as before.
        refused = await client.post("/api/v1/runs", data={"a": "b"}, headers={"origin": "https://evil.example"})
        assert refused.status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 422),
        (b'{"data": {"approved": true}, "visit": 1}', "application/json", 422),
        (b'{"data": {"approved": "perhaps"}}', "application/json", 422),
        (b"", "application/json", 422),
        (b"approved=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=1"] * 3_000), "application/x-www-form-urlencoded", 400),
        (b"approved=true", "multipart/form-data; boundary=x", 415),
        (b'{"data": "' + b"x" * 2_000_000 + b'"}', "application/json", 413),
        (b"[" * 200_000, "application/json", 413),
        (b"[" * 100_000, "application/json", 400),
    ],
)
async def test_bodies_that_are_no_answer_are_refused_and_nothing_is_stored(
    desk: Opened, content: bytes, kind: str, status: int
) -> None:
    async with desk() as (stepwell, client):
        run_id = await asked(stepwell)
        link = await link_to(stepwell, run_id)
        before = await stepwell.runner.get(run_id)
        refused = await client.post(link, content=content, headers={**JSON, "content-type": kind})
        assert refused.status_code == status, refused.text
        if kind == "application/json":
            assert refused.headers["content-type"] == "application/problem+json"
        assert await stepwell.runner.get(run_id) == before


async def test_methods_other_than_get_and_post_are_refused(desk: Opened) -> None:
    async with desk() as (stepwell, client):
        link = await link_to(stepwell, await asked(stepwell))
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await client.request(method, link, json={})).status_code == 405
