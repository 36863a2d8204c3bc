"""Documents: what a run shows. Typed models, written inside the transition's commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from stepwell.definition.codec import codec_for
from stepwell.definition.fitting import schema_faults
from stepwell.definition.names import document_name
from stepwell.definition.ui import Widget, not_a_widget
from stepwell.errors import DefinitionError


class Document(BaseModel):
    """Base of all documents. Class keywords: `name`, `title`, `tags`, `internal`, `ui`.

    A subclass inherits `tags`, `internal` and `ui` unless it gives its own; `name` and `title` say which class it is
    and are never inherited.
    """

    document_name: ClassVar[str] = "document"
    document_title: ClassVar[str] = ""
    document_tags: ClassVar[tuple[str, ...]] = ()
    document_internal: ClassVar[bool] = False
    document_ui: ClassVar[tuple[Any, ...]] = ()

    # Pydantic takes `title` for the model's configuration, so it is read there; the other keywords arrive here.
    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        tags: Sequence[str] | None = None,
        internal: bool | None = None,
        ui: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if "[" in cls.__name__:  # a parametrised generic document is the same document
            return
        cls.document_name = name or document_name(cls.__name__)
        cls.document_title = _own_title(cls) or cls.__name__
        cls.document_tags = cls.document_tags if tags is None else _tags(tags)
        cls.document_internal = cls.document_internal if internal is None else internal
        cls.document_ui = cls.document_ui if ui is None else _widgets(cls, ui)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__pydantic_complete__ and (wrong := [*schema_faults(cls.__name__, "fields", codec_for(cls))]):
            raise DefinitionError(f"Document {cls.__name__}", wrong)


def _own_title(cls: type[Document]) -> str | None:
    """The title of the class itself: Pydantic hands that of a base on to its subclasses."""
    title = cls.model_config.get("title")
    return (
        None if any(title == base.document_title for base in cls.__mro__[1:] if issubclass(base, Document)) else title
    )


def _widgets(cls: type[Document], given: Sequence[Any]) -> tuple[Widget, ...]:
    widgets = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    wrong = [not_a_widget(cls.__name__, one) for one in widgets if not isinstance(one, Widget)]
    if wrong:
        raise DefinitionError(f"Document {cls.__name__}", wrong)
    return widgets


def _tags(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class Message(Document, tags=["ui-message"]):
    """A chat message."""

    role: str
    text: str = ""


class Markdown(Document):
    """Text that is rendered as Markdown."""

    text: str


class Plain(Document):
    """Text that is shown as it is."""

    text: str


class Link(Document):
    """A reference to another run, saved in a parent for each visible child."""

    label: str
    workflow_id: str
    show: Literal["inline", "link"] = "link"


class ErrorDocument(Document, name="error", tags=["error"]):
    """One failed attempt: what went wrong, where, and which try it was."""

    message: str
    transition: str | None
    attempt: int
    type: str
