"""What is wrong with a migration or an old name is told when the class is made, all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stepwell import END, Migration, Workflow, migrate, transition
from stepwell.errors import DefinitionError
from stepwell.nearest import UnknownKeyword


def nothing(old: Migration) -> None: ...


def marked(function: Any, version: Any = 1) -> Any:
    """A copy of the function, marked: marks stay on what they were put on."""
    if isinstance(function, type(nothing)):
        copy = type(nothing)(function.__code__, globals(), function.__name__, function.__defaults__)
        return migrate(from_version=version)(copy)
    return migrate(from_version=version)(function)


def shop(version: int = 2, **members: Any) -> type:
    @transition(target=END)
    async def go(self: Any) -> None: ...

    return type("Shop", (Workflow,), {"go": go, "__module__": __name__, **members}, version=version)


def _two(old: Migration, more: int) -> None: ...


def _none() -> None: ...


async def _later(old: Migration) -> None: ...


def _yields(old: Migration) -> Any:
    yield old


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: shop(first=marked(nothing), second=marked(nothing)), "second: first migrates from version 1 already"),
        (lambda: shop(first=marked(nothing, 2)), "migrates from version 2, and the class has version 2; write version=3"),
        (lambda: shop(first=marked(nothing, 7)), "it migrates from version 7, and the class has version 2"),
        (lambda: shop(first=marked(nothing, "1")), "Shop.first: its from_version='1' isn't a number"),
        (lambda: shop(first=marked(nothing, True)), "its from_version=True isn't a number"),
        (lambda: shop(first=marked(_two)), "Shop.first: it can't be called with the migration alone"),
        (lambda: shop(first=marked(_none)), "Shop.first: it can't be called with the migration alone"),
        (lambda: shop(first=marked(_later)), "can't be async or contain yield"),
        (lambda: shop(first=marked(_yields)), "can't be async or contain yield"),
        (lambda: shop(first=migrate(from_version=1)), "Shop.first is a migrate(...) that decorates no function"),
        (lambda: marked(3), "it decorates 3, which isn't a plain function"),
        (lambda: shop(first=transition("x", END)(marked(nothing))), "Shop.first: it is marked as a transition too"),
    ],
)  # fmt: skip
def test_a_migration_that_is_wrong_is_told(declare: Callable[[], object], told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        declare()
    assert told in str(caught.value)


def test_an_unknown_keyword_has_the_nearest_known_one() -> None:
    with pytest.raises(UnknownKeyword, match="from_version="):
        migrate(from_versoin=1)  # type: ignore[call-arg]


def test_migrations_of_a_class_are_its_own() -> None:
    """Versions aren't inherited: another workflow's migrations mean nothing to a subclass of it."""

    class Base(Workflow, version=2):
        first = marked(nothing)

        @transition(target=END)
        async def go(self) -> None: ...

    class Sub(Base):
        pass

    class Abstract(Workflow):
        first = staticmethod(marked(nothing))

    class Made(Abstract, version=3):
        second = migrate(from_version=2)(staticmethod(nothing))

        @transition(target=END)
        async def go(self) -> None: ...

    assert (list(Base.stepwell_definition.migrations), list(Sub.stepwell_definition.migrations)) == ([1], [])
    assert list(Made.stepwell_definition.migrations) == [1, 2], "those of an abstract base are"


def test_a_missing_link_is_the_first_one() -> None:
    definition = shop(version=5, first=marked(nothing, 1), third=marked(nothing, 3)).stepwell_definition  # type: ignore[attr-defined]
    assert [definition.missing_link(version) for version in range(6)] == [0, 2, 2, 4, 4, None]
    assert shop(version=5).stepwell_definition.missing_link(1) is None, "without any migration none is needed"  # type: ignore[attr-defined]


def renamed(was: Any, other: Any = (), name: str | None = None) -> type:
    class Shop(Workflow):
        @transition(target="open", was=was, name=name)
        async def begin(self) -> None: ...

        @transition("open", END, wait=True, was=other)
        async def close(self) -> None: ...

    return Shop


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: renamed(3), "Shop.begin at 'start': its was=3 isn't an old name"),
        (lambda: renamed(["old", ""]), "its was=['old', ''] isn't an old name"),
        (lambda: renamed("begin"), "Shop.begin: its was='begin' is its own name now"),
        (lambda: renamed("close"), "Shop.begin: its was='close' is the name of another transition now"),
        (lambda: renamed("old", ["older", "old"]), "Shop.close: begin has was='old' too"),
    ],
)
def test_an_old_name_that_leads_nowhere_is_told(declare: Callable[[], object], told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        declare()
    assert told in str(caught.value)


def test_transitions_of_one_name_have_the_same_old_names() -> None:
    with pytest.raises(DefinitionError, match="the transitions named 'go' have was="):

        class Shop(Workflow):
            @transition(target="open", was="a")
            @transition("open", END, was=["a", "b"])
            async def go(self) -> None: ...


def test_old_names_lead_to_the_present_one() -> None:
    definition = renamed(["eldest", "older"], "shut", name="first").stepwell_definition  # type: ignore[attr-defined]
    assert [definition.current(one) for one in ("eldest", "older", "shut", "other")] == [
        "first",
        "first",
        "close",
        "other",
    ]
    assert definition.all_names({"close"}) == ("close", "shut")
    assert definition.transitions[0].first_name == "eldest"
    assert definition.signals == {"close"}, "an old name isn't shown as one that may be signalled"
