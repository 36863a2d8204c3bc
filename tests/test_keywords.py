"""No keyword of a declaration is accepted and ignored: what is unknown is refused by name, with the nearest known one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stepwell import (
    END,
    App,
    Concurrency,
    Debounce,
    Document,
    Event,
    RateLimit,
    Retry,
    Settings,
    Stepwell,
    Workflow,
    transition,
)
from stepwell.console.cli.commands.workflows import definitions_of
from stepwell.definition.authoring.document import Document as DocumentClass
from stepwell.errors import DefinitionError
from stepwell.nearest import keywords_of, nearest, suggestion
from stepwell.triggers import github_signature
from stepwell.triggers.declare import RULE_OPTIONS, SCHEDULE_OPTIONS

HOUR = timedelta(hours=1)
GITHUB = github_signature("s")


def go() -> Any:
    async def method(self: Any) -> None: ...

    return method


def handler(tick: Any) -> None: ...


def workflow(**keywords: Any) -> object:
    return type("Shop", (Workflow,), {"go": transition(target=END)(go())}, **keywords)


def abstract(**keywords: Any) -> object:
    return type("Base", (Workflow,), {}, **keywords)


def document(**keywords: Any) -> object:
    return type("Receipt", (Document,), {}, **keywords)


def scheduled(**keywords: Any) -> object:
    return App("a", workflows=[Cleanup]).schedule("s", **keywords)


def cron(**keywords: Any) -> object:
    return App("a").cron("0 9 * * *", **keywords)(handler)


def webhook(**keywords: Any) -> object:
    return App("a").webhook("/hook", **keywords)(handler)


class Cleanup(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


DECLARATIONS: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
    "a workflow": (workflow, Workflow.__init_subclass__),
    "an abstract workflow": (abstract, Workflow.__init_subclass__),
    "a document": (document, DocumentClass.__init_subclass__),
    "a transition": (transition, transition),
    "a retry": (Retry, Retry.__init__),
    "an event": (Event, Event.__init__),
    "slots": (Concurrency, Concurrency.__init__),
    "a rate": (RateLimit, RateLimit.__init__),
    "a debounce": (Debounce, Debounce.__init__),
    "an app": (App, App.__init__),
    "a Stepwell": (Stepwell, Stepwell.__init__),
    "a schedule": (scheduled, App.schedule),
    "a cron handler": (cron, App.cron),
    "a webhook": (webhook, App.webhook),
}
OPTIONS = {"a schedule": SCHEDULE_OPTIONS, "a cron handler": RULE_OPTIONS}
"""The keywords that come by `**options`."""
EVERY = [
    pytest.param(declare, keyword, id=f"{what}: {keyword}")
    for what, (declare, function) in DECLARATIONS.items()
    for keyword in (*keywords_of(function), *OPTIONS.get(what, ()))
    if keyword != "expression"  # of a cron handler, where nobody writes its name
]


@pytest.mark.parametrize(("declare", "keyword"), EVERY)
def test_a_keyword_with_a_slip_is_refused_with_the_right_one(declare: Callable[..., object], keyword: str) -> None:
    slip = keyword + "x"
    with pytest.raises(DefinitionError, match=rf"{slip}= is unknown; did you mean {keyword}=\?") as caught:
        declare(**{slip: "x"})
    assert isinstance(caught.value, TypeError)  # as Python itself would refuse it


@pytest.mark.parametrize("declare", [declare for declare, _ in DECLARATIONS.values()])
def test_a_keyword_like_no_other_is_refused_with_all_that_there_are(declare: Callable[..., object]) -> None:
    with pytest.raises(DefinitionError, match=r"zzz= is unknown; choose from \w+=, "):
        declare(zzz=1)


def test_an_unknown_keyword_comes_with_the_other_faults_of_the_class() -> None:
    with pytest.raises(DefinitionError) as caught:
        workflow(titel="A shop", version="one", run_timeout=5)
    assert len(caught.value.faults) == 3


def test_a_keyword_of_another_base_is_that_bases() -> None:
    class Tenant:
        tenant = ""

        def __init_subclass__(cls, *, tenant: str = "", **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            cls.tenant = tenant

    class Before(Tenant, Workflow, tenant="t"):
        @transition(target=END)
        async def go(self) -> None: ...

    class Behind(Workflow, Tenant, tenant="t"):
        @transition(target=END)
        async def go(self) -> None: ...

    class Told(Document, Tenant, tenant="t"):
        text: str

    assert (Before.tenant, Behind.tenant, Told.tenant) == ("t", "t", "t")


@pytest.mark.parametrize(
    ("declare", "keywords", "text"),
    [
        (document, {"name": ""}, "name='' isn't a text"),
        (document, {"title": ""}, "title='' isn't a text"),
        (document, {"tags": [1]}, r"tags=\[1\] isn't a list of texts"),
        (document, {"tags": {"a": 1}}, "isn't a list of texts"),
        (document, {"internal": "yes"}, "internal='yes' is neither True nor False"),
        (App, {"name": 5}, "the name 5 must be a text"),
        (App, {"name": "a:b"}, "the name 'a:b' must be a text"),
        (App, {"name": "a", "title": 5}, "title=5 isn't a text"),
        (App, {"name": "a", "workflows": Cleanup}, "isn't a list of workflow classes"),
        (App, {"name": "a", "workflows": "cleanup"}, "isn't a list of workflow classes"),
        (Stepwell, {"apps": App("a")}, "isn't a list of apps"),
        (Stepwell, {"apps": [Cleanup]}, "which isn't an App"),
        (Stepwell, {"apps": [], "settings": {}}, "settings is of type dict"),
        (Stepwell, {"apps": [], "embedded_worker": "no"}, "embedded_worker='no' is neither"),
        (scheduled, {"workflow": Cleanup, "every": timedelta(0)}, "from 1 second to 366 days"),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "timezone": "UTC"}, "timezone=... does nothing with every="),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "timezone": "Mars/Phobos"}, "timezone=... does nothing"),
        (scheduled, {"workflow": Cleanup, "cron": "@daily", "timezone": "Mars/Phobos"}, "'Mars/Phobos' is unknown"),
        (scheduled, {"workflow": Cleanup, "cron": "@daily", "timezone": "Europe/Berln"}, "did you mean Europe/Berlin"),
        (scheduled, {"workflow": Cleanup, "cron": "@daily", "anchor": datetime.now(UTC)}, "anchor=... does nothing"),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "cron": "@daily"}, "either every="),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "cron": ""}, "either every="),
        (scheduled, {"workflow": Cleanup, "cron": ""}, "has 0 fields"),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "user_id": "a\0"}, "user_id="),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "catch_up": -HOUR}, "catch_up="),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "jitter": -HOUR}, "jitter="),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "overlap": "skipp"}, "Did you mean 'skip'"),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "misfire": "lastest"}, "Did you mean 'latest'"),
        (scheduled, {"workflow": Cleanup, "every": HOUR, "overlap": []}, "must be one of"),
        (cron, {"user_id": "u1"}, "user_id=... belongs to workflow="),
        (cron, {"args": {}}, "args=... belongs to workflow="),
        (webhook, {"verify": "secret"}, "must be a verifier"),
    ],
)
def test_what_does_nothing_is_refused(declare: Callable[..., object], keywords: dict[str, Any], text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        declare(**keywords)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"wait": "yes"}, "its wait='yes' is neither True nor False"),
        ({"keep": 1, "wait": True}, "its keep=1 is neither True nor False"),
        ({"keep": True}, "it has keep=True but takes no signal or event"),
        ({"keep": True, "after": HOUR}, "it has keep=True but takes no signal or event"),
        ({"retry_target": "start"}, "it has retry_target='start' but retries nothing"),
    ],
)
def test_an_option_of_a_transition_that_does_nothing_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        type("Shop", (Workflow,), {"go": transition(target=END, **options)(go())})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retries": "3"}, "retries='3'"),
        ({"retries": True}, "retries=True"),
        ({"delay": 5}, "delay=5"),
        ({"max_delay": 5}, "max_delay=5"),
        ({"jitter": "some"}, "jitter='some'"),
        ({"jitter": float("nan")}, "jitter=nan"),
        ({"backoff": "exponental"}, "did you mean 'exponential'"),
        ({"on": ("ValueError",)}, "give exception classes, as in on="),
        ({"on": (ValueError("x"),)}, "give exception classes"),
        ({"give_up_on": (int,)}, "give exception classes, as in give_up_on="),
    ],
)
def test_a_retry_says_what_is_wrong_with_it(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Retry(**{"retries": 1, **options})


def test_exceptions_of_a_retry_may_come_in_a_list() -> None:
    assert Retry(retries=1, on=[KeyError], give_up_on=[]).allows(KeyError())  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "match"), [(5, {}), ("e", "args.id"), ("e", {"id": 5})])
def test_an_event_says_what_is_wrong_with_it(name: Any, match: Any) -> None:
    with pytest.raises(ValueError, match="Event"):
        Event(name, match=match)


@pytest.mark.parametrize("bare", ["cron", "webhook", "schedule"])
def test_a_decorator_without_a_call_says_how_it_is_written(bare: str) -> None:
    app = App("a")
    with pytest.raises(DefinitionError, match="The decorator on 'handler' can't be used:\n  - it needs its arguments"):
        getattr(app, bare)(handler)
    assert (app.schedules, app.webhooks) == ([], [])


def unapplied(app: App) -> list[str]:
    """Decorators without a function, and what names each of them."""
    app.cron("0 9 * * *", timezone="Europe/Berlin")
    app.webhook("/hooks/in", verify=github_signature(secret="s" * 32))
    return ["@app.cron('0 9 * * *') of app 'a'", "@app.webhook('/hooks/in', ...) of app 'a'"]


async def test_a_decorator_that_is_put_on_no_function_is_told_when_it_opens(tmp_path: Path) -> None:
    app = App("a")
    later = app.cron("0 10 * * *")
    named = unapplied(app)
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/none.db")
    stepwell = Stepwell(apps=[App("b"), app], settings=settings)
    later(handler)
    with pytest.raises(DefinitionError) as caught:
        await stepwell.__aenter__()
    assert [fault.split(" decorates no function")[0] for fault in caught.value.faults] == named
    assert not (tmp_path / "none.db").exists(), "nothing was opened"


async def test_a_decorator_that_is_put_on_a_function_is_applied_whenever_that_was(tmp_path: Path) -> None:
    app = App("a")
    daily = app.cron("0 9 * * *", name="daily")
    with pytest.raises(DefinitionError):
        app.cron("nonsense")(handler)
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/some.db")
    stepwell = Stepwell(apps=[app], settings=settings, embedded_worker=False)
    daily(handler)
    async with stepwell:
        assert [one.name for one in app.schedules] == ["daily"]


@pytest.mark.parametrize("whole", [True, False], ids=["Stepwell", "App"])
def test_check_tells_decorators_without_a_function(whole: bool) -> None:
    app = App("a")
    named = unapplied(app)
    with pytest.raises(DefinitionError) as caught:
        definitions_of("a:app", Stepwell(apps=[app]) if whole else app)
    assert [fault.split(" decorates no function")[0] for fault in caught.value.faults] == named


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("TITEL", ["name", "title"]) == "title"
    assert nearest("zzz", ["name", "title"]) is None
    assert suggestion("x", []) == "there is none."
