"""Ready-made questions to people: workflows that every app knows without listing them. A parent starts them as children.

    await self.start(Confirm, {"text": "Refund **A1**?", "group": "finance"}, callback="confirmed")

Their names begin with `stepwell.`, which no workflow of an app may. They may import the definition room only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

from annotated_types import Len
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    model_validator,
)
from pydantic_core import core_schema

from stepwell.definition.authoring.asks import LONGEST, Ask
from stepwell.definition.authoring.marks import END, transition
from stepwell.definition.authoring.workflow import Workflow
from stepwell.definition.forms.widgets import Radio, TextArea
from stepwell.definition.model import Definition
from stepwell.errors import NonRetryable

__all__ = ["AskOptions", "AskText", "ChoiceQuestion", "Confirm", "ConfirmQuestion", "PersonQuestion", "TextQuestion"]

_MOST_OPTIONS: Final = 1_000
_LONGEST_OPTION: Final = 500
_LATE: Final = "not answered in time"


def _without_nul(given: str) -> str:
    """Return the text. Raises ValueError for one that no database stores."""
    if "\0" in given:
        raise ValueError("leave out NUL")
    return given


def _distinct(given: Any) -> Any:
    """Return the list. Raises ValueError where something is in it twice."""
    if len(set(given)) < len(given):
        raise ValueError("give each option once")
    return given


def _listed(given: Any) -> Any:
    """Return one option as a list of it."""
    return [given] if isinstance(given, str) else given


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these texts, in this order. (Python takes Literals with other orders for the same type, and caches them so.)"""

    options: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Return the schema of a Literal."""
        return core_schema.literal_schema(list(self.options))


def _no_number(given: Any) -> Any:
    """Return the moment. Raises ValueError for a number, of which Pydantic would make one in 1970."""
    try:
        float(given)
    except OverflowError:
        pass  # it is a number that is too large
    except (TypeError, ValueError):
        return given
    raise ValueError("give a moment with its date, as in 2026-05-01T12:00:00Z")


DueMoment: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_no_number)]
Duration: TypeAlias = Annotated[timedelta, Field(ge=timedelta(0))]
LongText: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST["text"]), AfterValidator(_without_nul)]
Headline: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST["title"]), AfterValidator(_without_nul)]
PersonName: TypeAlias = Annotated[str, Field(min_length=1, max_length=LONGEST["group"]), AfterValidator(_without_nul)]
Words: TypeAlias = Annotated[str, Field(min_length=1, max_length=_LONGEST_OPTION), AfterValidator(_without_nul)]


class PersonQuestion(BaseModel):
    """The args that all ready-made questions have. Without `assignee` and `group` the run's user is asked."""

    model_config = ConfigDict(extra="forbid")

    text: LongText
    """Markdown."""
    title: Headline | None = None
    assignee: PersonName | None = None
    group: PersonName | None = None
    due: Duration | DueMoment | None = None
    """The time in which the answer is due, or a moment."""
    expires: bool = False
    """True: without an answer by `due` the run fails."""

    @model_validator(mode="after")
    def _expires_when_due(self) -> PersonQuestion:
        if self.expires and self.due is None:
            raise ValueError("expires=True needs due=..., a duration or a moment")
        return self


class TextQuestion(PersonQuestion):
    """The args of `AskText`."""

    multiline: bool = False
    """True: the form has room for several lines."""


class ChoiceQuestion(PersonQuestion):
    """The args of `AskOptions`."""

    options: Annotated[list[Words], Len(1, _MOST_OPTIONS), AfterValidator(_distinct)]
    many: bool = False
    """True: several options may be chosen, or none."""


class ConfirmQuestion(PersonQuestion):
    """The args of `Confirm`."""

    yes: Words = "Confirm"
    """The words for True."""
    no: Words = "Decline"
    """The words for False."""


def _subject(args: PersonQuestion) -> str:
    return args.title or args.text


def _expires(self: Workflow[Any, Any, Any]) -> bool:
    return bool(self.args.expires)


def _title(self: Workflow[Any, Any, Any]) -> str | None:
    return self.args.title or type(self).stepwell_definition.title


def _text(self: Workflow[Any, Any, Any]) -> str | None:
    return str(self.args.text)


def _assignee(self: Workflow[Any, Any, Any]) -> str | None:
    found: str | None = self.args.assignee
    return found


def _group(self: Workflow[Any, Any, Any]) -> str | None:
    found: str | None = self.args.group
    return found


def _due(self: Workflow[Any, Any, Any]) -> Any:
    return self.args.due


_ASK: Final = Ask(title=_title, text=_text, assignee=_assignee, group=_group, due=_due)
_PLACES: Final = ["asked", "asked until due"]


class _Asking:
    """The way of every ready-made question up to its answer."""

    @transition(target="asked until due", when=_expires, priority=1)
    async def ask_until_due(self) -> None:
        """Ask, and wait until it is due."""

    @transition(target="asked")
    async def ask(self) -> None:
        """Ask, and wait for an answer however long it takes."""

    @transition("asked until due", END, after=_due)
    async def expire(self) -> Any:
        """Fail: there is no answer."""
        raise NonRetryable(_LATE)


class AskText(_Asking, Workflow[TextQuestion, None, str], name="stepwell.ask_text", title="Question", subject=_subject):
    """Ask a person for a text."""

    @staticmethod
    def stepwell_answer(args: TextQuestion) -> Any:
        """Return the type of the answer to a question with these args."""
        text = Annotated[str, Field(min_length=1)]
        return Annotated[text, TextArea()] if args.multiline else text

    @transition(_PLACES, END, wait=True, ask=_ASK)
    async def answer(self, text: str) -> str:
        """Answer the question."""
        return text


class AskOptions(
    _Asking, Workflow[ChoiceQuestion, None, list[str]], name="stepwell.ask_options", title="Choice", subject=_subject
):
    """Ask a person to choose among options: exactly one, or with `many=True` any number of them."""

    @staticmethod
    def stepwell_answer(args: ChoiceQuestion) -> Any:
        """Return the type of the answer to a question with these args."""
        one: Any = Annotated[str, OneOf(tuple(args.options))]
        bounds = Len(0, len(args.options)) if args.many else Len(1, 1)
        return Annotated[list[one], bounds, AfterValidator(_distinct), BeforeValidator(_listed)]

    @transition(_PLACES, END, wait=True, ask=_ASK)
    async def answer(self, chosen: list[str]) -> list[str]:
        """Choose."""
        return chosen


class Confirm(
    _Asking, Workflow[ConfirmQuestion, None, bool], name="stepwell.confirm", title="Confirmation", subject=_subject
):
    """Ask a person for a yes or a no."""

    @staticmethod
    def stepwell_answer(args: ConfirmQuestion) -> Any:
        """Return the type of the answer to a question with these args."""
        return Annotated[bool, Radio(labels={True: args.yes, False: args.no})]

    @transition(_PLACES, END, wait=True, ask=_ASK)
    async def answer(self, confirmed: bool) -> bool:
        """Confirm or decline."""
        return confirmed


def ready_made() -> dict[str, Definition]:
    """Return the workflows that every app has, by name."""
    found = [one.stepwell_definition for one in (AskText, AskOptions, Confirm)]
    return {definition.name: definition for definition in found}
