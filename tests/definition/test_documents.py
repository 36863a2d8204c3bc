"""Class keywords of documents."""

from __future__ import annotations

from typing import Generic, TypeVar

import pytest

from stepwell.definition.authoring.document import Document, ErrorDocument, Link, Markdown, Message, Plain
from stepwell.definition.compile.export import document_to_json
from stepwell.definition.forms.ui import Button
from stepwell.errors import DefinitionError

T = TypeVar("T")


class Receipt(Document, tags=["receipt"]):
    order_id: str


@pytest.mark.parametrize(
    ("document", "name", "tags"),
    [
        (Receipt, "receipt", ("receipt",)),
        (Message, "message", ("ui-message",)),
        (Markdown, "markdown", ()),
        (Plain, "plain", ()),
        (Link, "link", ()),
        (ErrorDocument, "error", ("error",)),
        (Document, "document", ()),
    ],
)
def test_names_and_tags(document: type[Document], name: str, tags: tuple[str, ...]) -> None:
    assert (document.document_name, document.document_tags) == (name, tags)


def test_a_trailing_document_is_not_part_of_the_name() -> None:
    class InvoiceDocument(Document):
        pass

    assert (InvoiceDocument.document_name, InvoiceDocument.document_title) == ("invoice", "InvoiceDocument")


def test_keywords_are_kept() -> None:
    button = Button(transition="approve")

    class Draft(Document, name="d", title="A draft", tags="one", internal=True, ui=[button]):
        pass

    assert (Draft.document_name, Draft.document_title, Draft.document_tags) == ("d", "A draft", ("one",))
    assert (Draft.document_internal, Draft.document_ui) == (True, (button,))


def test_a_subclass_has_a_name_and_title_of_its_own_and_is_of_its_bases_kind() -> None:
    class Draft(Document, name="d", title="A draft", tags=["draft"], internal=True):
        pass

    class Final(Draft):
        pass

    class Public(Draft, tags=[], internal=False):
        pass

    class Third(Final, title="Third"):
        pass

    assert (Final.document_name, Final.document_title) == ("final", "Final")
    assert (Final.document_tags, Final.document_internal) == (("draft",), True)
    assert (Public.document_tags, Public.document_internal) == ((), False)
    assert Third.document_title == "Third"


def test_only_a_title_of_its_own_is_shown() -> None:
    class Untitled(Document): ...

    class Titled(Untitled, title="Untitled"): ...

    class Below(Titled): ...

    class Configured(Below):
        model_config = {"title": "By its configuration"}

    class Box(Document, Generic[T], title="A box"):
        content: T

    documents: list[type[Document]] = [Untitled, Titled, Below, Configured, Box, Box[int], Message]
    assert [one.document_shown_title for one in documents] == [
        *(None, "Untitled", None),
        *("By its configuration", "A box", "A box", None),
    ]


@pytest.mark.parametrize("text", ["", "x" * 513, "a\0b", "\ud800", 5])
@pytest.mark.parametrize("option", ["name", "title"])
def test_names_and_titles_can_be_stored(option: str, text: object) -> None:
    with pytest.raises(DefinitionError, match=f"{option}=.* isn't a text of 1 to 512 characters"):
        type("Wrong", (Document,), {}, **{option: text})


def test_a_parametrised_document_is_the_same_document() -> None:
    class Box(Document, Generic[T], name="box", tags=["b"]):
        content: T

    assert (Box[int].document_name, Box[int].document_tags) == ("box", ("b",))


def test_pydantics_own_keywords_work_too() -> None:
    class Fixed(Document, frozen=True, extra="forbid", tags=["x"]):
        a: int

    assert (Fixed.model_config["frozen"], Fixed.document_tags) == (True, ("x",))


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"the class keyword tag= is unknown; did you mean tags=\?"):

        class Odd(Document, tag="x"):
            pass


def test_a_document_type_as_json() -> None:
    told = document_to_json(Receipt)
    assert told.pop("schema")["required"] == ["order_id"]
    assert told == {"name": "receipt", "title": "Receipt", "tags": ["receipt"], "internal": False, "ui": []}
