"""Documents: what a run shows. Typed models, written inside the transition's commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from stepwell.definition.names import document_name


class Document(BaseModel):
    """Base of all documents. Class keywords: `name`, `title`, `tags`, `internal`, `ui`."""

    document_name: ClassVar[str] = "document"
    document_title: ClassVar[str] = ""
    document_tags: ClassVar[tuple[str, ...]] = ()
    document_internal: ClassVar[bool] = False
    document_ui: ClassVar[tuple[Any, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        name: str | None = None,
        title: str | None = None,
        tags: Sequence[str] = (),
        internal: bool = False,
        ui: Sequence[Any] = (),
        **kwargs: Any,
    ) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.document_name = name or document_name(cls.__name__)
        cls.document_title = title or cls.__name__
        cls.document_tags = (tags,) if isinstance(tags, str) else tuple(tags)
        cls.document_internal = internal
        cls.document_ui = tuple(ui)


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
