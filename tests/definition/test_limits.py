"""The limits of workflow classes: every fault, paths that are checked against the args, and the rules that they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Union

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from stepwell import END, App, Concurrency, Debounce, RateLimit, Stepwell, Workflow, transition
from stepwell.definition.compile.export import limit_lines, to_json
from stepwell.definition.model import Debounced, Rule
from stepwell.errors import DefinitionError

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Region(BaseModel):
    code: str
    number: int = Field(1, alias="regionNumber")


class Site(BaseModel):
    host: str
    region: Region | None = None


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


@dataclasses.dataclass
class Plain:
    host: str


@pydantic_dataclass
class Checked:
    host: str = Field("x", alias="hostName")


class Typed(TypedDict, total=False):
    host: str


class Root(RootModel[Site]):
    pass


class Page(BaseModel):
    url: str
    site: Site
    maybe: Annotated[Site | Plain | None, Field(description="Where it is.")] = None
    anything: Any = None
    loose: Loose | None = None
    plain: Plain | None = None
    checked: Checked | None = None
    typed: Typed | None = None
    root: Root | None = None
    pairs: dict[str, int] = {}
    several: Union[Site, dict[str, Any]] = {}  # noqa: UP007


def crawl(args: Any = Page, **keywords: Any) -> type[Workflow[Any, Any, Any]]:
    class Crawl(Workflow[args], **keywords):
        @transition(target=END)
        async def go(self) -> None: ...

    return Crawl


@pytest.mark.parametrize(
    ("make", "text"),
    [
        *[(lambda one=one: Concurrency(one), f"limit={one!r}: give a whole number") for one in (0, -1, True, 1.5, "2", None)],
        (lambda: Concurrency(2**31), "from 1 to 2,147,483,647"),
        (lambda: Concurrency(1, name=""), "name='': give a text"),
        (lambda: Concurrency(1, name=5), "name=5: give a text"),  # type: ignore[arg-type]
        (lambda: Concurrency(1, name="a\0"), "without NUL"),
        (lambda: Concurrency(1, name="x" * 257), "1 to 256 characters"),
        (lambda: Concurrency(1, holds="runs"), "holds='runs': did you mean 'run'"),  # type: ignore[arg-type]
        (lambda: Concurrency(1, on_conflict="drop"), "on_conflict='drop': choose from"),  # type: ignore[arg-type]
        (lambda: Concurrency(1, on_conflict=[]), r"on_conflict=\[\]"),  # type: ignore[arg-type]
        (lambda: Concurrency(1, on_conflict="skip"), "on_conflict='skip' looks for runs that haven't ended.*holds='run'"),
        (lambda: Concurrency(1, on_conflict="replace", holds="executing"), "on_conflict='replace' looks for"),
        (lambda: RateLimit(0, MINUTE), "limit=0"),
        (lambda: RateLimit(1, 60), "per=60 isn't a timedelta"),  # type: ignore[arg-type]
        (lambda: RateLimit(1, per=timedelta(0)), "give more than zero"),
        (lambda: RateLimit(1, per=-MINUTE), r"per=timedelta\(seconds=-60\): give more than zero"),
        (lambda: RateLimit(1, per=None), "per=None isn't a timedelta"),  # type: ignore[arg-type]
        (lambda: RateLimit(1, MINUTE, name=""), "name=''"),
        (lambda: RateLimit(1, per=timedelta.max), r"per=timedelta\(days=999999999\): give at most 366000 days"),
        (lambda: Debounce(timedelta.max), r"delay=timedelta\(days=999999999\): give at most"),
        (lambda: Debounce(MINUTE, max_wait=timedelta.max), r"max_wait=timedelta\(days=999999999\): give at most"),
        (lambda: crawl(expires=timedelta.max), r"expires=timedelta\(days=999999999\): give at most"),
        (lambda: Concurrency(1, name="x" * 10_000), r"^(?s:.{0,300})$"),
        (lambda: Debounce(5), "delay=5 isn't a timedelta"),  # type: ignore[arg-type]
        (lambda: Debounce(timedelta(0)), "give more than zero"),
        (lambda: Debounce(MINUTE, max_wait=SECOND), "max_wait=0:00:01 is shorter than delay=0:01:00"),
        (lambda: Debounce(MINUTE, max_wait=5), "max_wait=5 isn't a timedelta"),  # type: ignore[arg-type]
        (lambda: Debounce(MINUTE, max_wait=timedelta(0)), "give more than zero"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        make()


def test_all_faults_come_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        Concurrency(0, key=5, name="", on_conflict="skip")  # type: ignore[arg-type]

    assert len(caught.value.faults) == 4


async def slowly(args: Page) -> str:
    return args.url


KEYS: list[tuple[Any, str]] = [
    ("", "='' isn't a path that a start knows"),
    ("user", "did you mean 'user_id'"),
    ("user_id.x", "isn't a path that a start knows; did you mean 'user_id'"),
    ("args.", "isn't a path"),
    ("args..url", "isn't a path"),
    ("state.url", "write a path, as 'args.host', 'user_id' or 'workspace_id'"),
    (5, "=5 is neither a path, as 'args.host', nor a function"),
    (["args.url"], "is neither a path"),
    (lambda: 1, "can't be called with the args alone"),
    (lambda a, b: 1, "can't be called with the args alone"),
    (slowly, "slowly is an async function"),
]


@pytest.mark.parametrize(("key", "text"), KEYS)
@pytest.mark.parametrize(
    "make",
    [
        lambda key: Concurrency(1, key=key),
        lambda key: RateLimit(1, MINUTE, key=key),
        lambda key: Debounce(MINUTE, key=key),
        lambda key: crawl(fair_by=key),
    ],
)
def test_what_is_no_key_is_refused(make: Callable[[Any], object], key: Any, text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        make(key)


@pytest.mark.parametrize(
    "path",
    [
        "user_id",
        "workspace_id",
        "args",
        "args.url",
        "args.site.host",
        "args.site.region.code",
        "args.site.region.regionNumber",
        "args.maybe.host",
        "args.maybe.region.code",
        "args.anything.host.of.it",
        "args.loose.host",
        "args.plain.host",
        "args.checked.hostName",
        "args.typed.host",
        "args.root.host",
        "args.pairs.some",
        "args.several.anything",
    ],
)
def test_a_path_that_args_may_have_is_taken(path: str) -> None:
    rule = crawl(concurrency=Concurrency(1, key=path), fair_by=path).stepwell_definition.limits[0]
    assert rule.key == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("args.ulr", "Page has no field 'ulr'; did you mean 'url'"),
        ("args.zzz", "Page has no field 'zzz'; name a field as it is in JSON"),
        ("args.url.host", "str has no field 'host'"),
        ("args.site.hosts", "Site has no field 'hosts'; did you mean 'host'"),
        ("args.site.region.number", "Region has no field 'number'; did you mean 'regionNumber'"),
        ("args.maybe.nowhere", "has no field 'nowhere'"),
        ("args.plain.hots", "Plain has no field 'hots'; did you mean 'host'"),
        ("args.checked.host", "Checked has no field 'host'; did you mean 'hostName'"),
        ("args.typed.hots", "Typed has no field 'hots'"),
        ("args.root.hots", "Site has no field 'hots'"),
    ],
)
@pytest.mark.parametrize(
    ("keyword", "make", "written"),
    [
        ("concurrency", lambda key: [Concurrency(1, key=key)], "Concurrency"),
        ("rate_limit", lambda key: RateLimit(1, MINUTE, key=key), "RateLimit"),
        ("debounce", lambda key: Debounce(MINUTE, key=key), "Debounce"),
        ("fair_by", str, "fair_by="),
    ],
)
def test_a_path_that_no_args_have_is_a_fault_of_the_class(
    keyword: str, make: Callable[[str], object], written: str, path: str, text: str
) -> None:
    with pytest.raises(DefinitionError, match=f"Crawl: {written}.*{text}"):
        crawl(**{keyword: make(path)})


def test_a_path_into_args_that_there_are_none_of_is_a_fault() -> None:
    with pytest.raises(DefinitionError, match="leads into the args, but the workflow takes no args"):
        crawl(None, concurrency=Concurrency(1, key="args.url"))


def test_args_that_say_nothing_have_every_path() -> None:
    assert crawl(dict[str, Any], fair_by="args.host").stepwell_definition.limits[0].key == "args.host"
    assert crawl(str, fair_by="args").stepwell_definition.limits[0].key == "args"


class Holder(BaseModel):
    site: Later


class Forward(Workflow[Holder], fair_by="args.site.hots"):
    @transition(target=END)
    async def go(self) -> None: ...


class Later(BaseModel):
    host: str


def test_args_that_were_incomplete_are_looked_through_when_the_app_is_made() -> None:
    with pytest.raises(DefinitionError, match="Later has no field 'hots'; did you mean 'host'"):
        App("crawler", workflows=[Forward])


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        (
            {"concurrency": 3},
            r"Crawl: concurrency=3 isn't a Concurrency; write concurrency=Concurrency\(2\), or a list",
        ),
        ({"concurrency": [Concurrency(1), RateLimit(1, MINUTE)]}, "isn't a Concurrency"),
        ({"concurrency": Concurrency}, "isn't a Concurrency"),
        ({"rate_limit": Concurrency(1)}, "isn't a RateLimit; write"),
        ({"debounce": MINUTE}, "isn't a Debounce; write"),
        ({"debounce": [Debounce(MINUTE)]}, "isn't a Debounce; write"),
        ({"expires": 5}, "Crawl: expires=5 isn't a timedelta"),
        ({"expires": timedelta(0)}, "Crawl: expires=.*give more than zero"),
    ],
)
def test_a_keyword_of_another_kind_is_a_fault_of_the_class(keywords: dict[str, Any], text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        crawl(**keywords)


def by_url(page: Page) -> str:
    return page.url


class Base(
    Workflow[Page],
    concurrency=[Concurrency(2, key="args.url"), Concurrency(50, name="crawler", holds="run", on_conflict="skip")],
    rate_limit=RateLimit(100, per=MINUTE, key=by_url),
    debounce=Debounce(SECOND, key="user_id", max_wait=MINUTE),
    fair_by="user_id",
    expires=HOUR,
    priority=3,
):
    @transition(target=END)
    async def go(self) -> None: ...


def test_the_rules_of_a_class() -> None:
    definition = Base.stepwell_definition

    assert definition.limits == (
        Rule("executing", 0, 2, key="args.url"),
        Rule("run", 1, 50, name="crawler", on_conflict="skip"),
        Rule("rate", 0, 100, per=60_000_000, key=by_url),
        Rule("fair", 0, 1, key="user_id"),
    )
    assert definition.debounce == Debounced(1_000_000, 60_000_000, "user_id")
    assert definition.expires == HOUR


def test_limits_are_inherited_and_can_be_replaced() -> None:
    class Same(Base): ...

    class Other(Base, concurrency=[], rate_limit=(), expires=MINUTE): ...

    same, other = Same.stepwell_definition, Other.stepwell_definition
    before = Base.stepwell_definition
    assert (same.limits, same.debounce, same.expires) == (before.limits, before.debounce, before.expires)
    assert other.limits == (Rule("fair", 0, 1, key="user_id"),)
    assert (other.debounce, other.expires) == (before.debounce, MINUTE)


def test_a_workflow_without_limits_has_none() -> None:
    definition = crawl().stepwell_definition
    assert (definition.limits, definition.debounce, definition.expires) == ((), None, None)


def test_limits_are_values() -> None:
    assert Concurrency(1, key="user_id") == Concurrency(1, key="user_id")
    assert {RateLimit(1, MINUTE), RateLimit(1, MINUTE)} == {RateLimit(1, MINUTE)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        Debounce(MINUTE).delay = HOUR  # type: ignore[misc]


# -- names ------------------------------------------------------------------------------------------------------------


def named(name: str, **keywords: Any) -> type[Workflow[Any, Any, Any]]:
    return type(name, (Workflow,), {"go": transition(target=END)(lambda self: None)}, **keywords)


def made(*workflows: type[Workflow[Any, Any, Any]], apart: bool = False) -> Stepwell:
    if apart:
        return Stepwell([App(f"app{n}", workflows=[one]) for n, one in enumerate(workflows)])
    return Stepwell([App("app", workflows=workflows)])


@pytest.mark.parametrize("apart", [False, True])
def test_one_name_with_two_limits_is_refused(apart: bool) -> None:
    one = named("One", concurrency=Concurrency(2, name="crawler"))
    two = named("Two", concurrency=Concurrency(3, name="crawler"))

    with pytest.raises(DefinitionError, match=r"'crawler'.*2 in One and 3 in Two"):
        made(one, two, apart=apart)


def test_one_name_with_two_limits_in_one_class_is_refused() -> None:
    one = named("One", concurrency=[Concurrency(2, name="crawler"), Concurrency(3, name="crawler")])

    with pytest.raises(DefinitionError, match="'crawler'"):
        made(one)


@pytest.mark.parametrize("other", [RateLimit(6, MINUTE, name="mail"), RateLimit(5, HOUR, name="mail")])
def test_one_name_with_two_rates_is_refused(other: RateLimit) -> None:
    with pytest.raises(DefinitionError, match="'mail'"):
        made(named("One", rate_limit=RateLimit(5, MINUTE, name="mail")), named("Two", rate_limit=other))


def test_a_name_may_be_shared_and_those_of_slots_and_rates_are_apart() -> None:
    one = named("One", concurrency=Concurrency(2, name="mail"), rate_limit=RateLimit(5, MINUTE, name="mail"))
    two = named("Two", concurrency=Concurrency(2, name="mail", key="user_id", holds="run", on_conflict="skip"))

    assert set(made(one, two).apps["app"].definitions) == {"one", "two"}


# -- as tools see them -------------------------------------------------------------------------------------------------


def test_tools_see_the_limits() -> None:
    assert to_json(Base.stepwell_definition)["limits"] == {
        "concurrency": [
            {"limit": 2, "key": "args.url", "name": None, "holds": "executing", "on_conflict": "queue"},
            {"limit": 50, "key": None, "name": "crawler", "holds": "run", "on_conflict": "skip"},
        ],
        "rate_limit": [{"limit": 100, "key": "by_url", "name": None, "per": 60}],
        "debounce": {"delay": 1, "max_wait": 60, "key": "user_id"},
        "fair_by": "user_id",
        "expires": 3600,
    }
    assert to_json(crawl().stepwell_definition)["limits"] == {
        "concurrency": [], "rate_limit": [], "debounce": None, "fair_by": None, "expires": None,
    }  # fmt: skip


def test_the_limits_in_words() -> None:
    assert [*limit_lines(Base.stepwell_definition)] == [
        "at most 2 executing at once for each args.url",
        "at most 50 begun and not ended, shared as 'crawler', others are skipped to the oldest",
        "at most 100 begin in 1m for each by_url",
        "turns for each user_id",
        "put off by 1s for each user_id, at most 1m after the first start",
        "canceled unless begun within 1h",
    ]
    assert [*limit_lines(crawl().stepwell_definition)] == []
