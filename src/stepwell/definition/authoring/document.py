"""Documents, the typed models that a run shows, written in the transition's commit.

The name of a stored document refers to a class of the workflow that saved it: several apps may have one of that name.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from inspect import get_annotations
from itertools import takewhile
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any, ClassVar, Final, Literal
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from stepwell.definition.forms.fitting import schema_faults
from stepwell.definition.forms.ui import Widget, not_a_widget
from stepwell.definition.text import document_name, is_text
from stepwell.definition.values.codec import codec_for, lossy_faults
from stepwell.errors import DefinitionError
from stepwell.nearest import UnknownKeyword, keywords_of, unknown_class_keywords, unknown_keywords

_MAX_TEXT: Final = 512
"""Characters of a name or title: both are stored with each document."""

_CLASSES: Final[WeakKeyDictionary[type[Document], None]] = WeakKeyDictionary()
"""Every class of documents that there is, in the order in which they were made."""


class Document(BaseModel):
    """Base of all documents. Class keywords: `name`, `title`, `tags`, `internal`, `ui`.

    A subclass inherits `tags`, `internal` and `ui` unless it gives its own; `name` and `title` say which class it is
    and are never inherited.
    """

    document_name: ClassVar[str] = "document"
    document_title: ClassVar[str] = ""
    document_shown_title: ClassVar[str | None] = None
    """The title that readers show instead of the name; None where the class has no `title` of its own."""
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
        if kwargs:
            known = [*keywords_of(Document.__init_subclass__), *get_annotations(ConfigDict)]
            if unknown := unknown_class_keywords(cls, Document, kwargs, known):
                raise UnknownKeyword(f"Document {cls.__name__}", unknown)
        super().__init_subclass__(**kwargs)
        _CLASSES[cls] = None
        if "[" in cls.__name__:  # a parametrised generic document is the same document
            return
        if wrong := [*_keyword_faults(cls, name, tags, internal)]:
            raise DefinitionError(f"Document {cls.__name__}", wrong)
        cls.document_name = document_name(cls.__name__) if name is None else name
        # Pydantic hands the title of a base on to its subclasses.
        handed_on = [base.model_config.get("title") for base in cls.__mro__[1:] if issubclass(base, Document)]
        title = cls.model_config.get("title")
        cls.document_shown_title = None if title in handed_on else title
        cls.document_title = cls.document_shown_title or cls.__name__
        if tags is not None:
            cls.document_tags = (tags,) if isinstance(tags, str) else tuple(tags)
        cls.document_internal = cls.document_internal if internal is None else internal
        if ui is not None:
            cls.document_ui = widgets = tuple(ui) if isinstance(ui, (list, tuple)) else (ui,)
            if wrong := [not_a_widget(cls.__name__, one) for one in widgets if not isinstance(one, Widget)]:
                raise DefinitionError(f"Document {cls.__name__}", wrong)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.__pydantic_complete__:
            return
        codec = codec_for(cls)
        if wrong := [*schema_faults(cls.__name__, "fields", codec), *lossy_faults(cls.__name__, "fields", codec)]:
            raise DefinitionError(f"Document {cls.__name__}", wrong)


def _keyword_faults(cls: type[Document], name: object, tags: object, internal: object) -> Iterator[str]:
    for option, text in (("name", name), ("title", cls.model_config.get("title"))):
        if text is not None and not is_text(text, _MAX_TEXT):
            yield (
                f"{option}={text!r} isn't a text of 1 to {_MAX_TEXT} characters that a database can hold; "
                "give such a string, or leave it out."
            )
    listed = tags if isinstance(tags, (list, tuple, set, frozenset)) else [tags]
    if tags is not None and not all(isinstance(one, str) for one in listed):
        yield f"tags={tags!r} isn't a list of texts; write tags=['receipt']."
    if internal is not None and not isinstance(internal, bool):
        yield f"internal={internal!r} is neither True nor False."


def _refuse_unknown(cls: type[Document], data: Any, info: ValidationInfo) -> Any:
    """Refuse unknown keywords of a built-in document; stored data is loaded as it is."""
    if info.mode != "python" or not isinstance(data, dict) or cls.model_config.get("extra") is not None:
        return data
    known = [*cls.model_fields, *(one.alias for one in cls.model_fields.values() if one.alias)]
    if unknown := [str(name) for name in data if name not in known]:
        raise ValueError(f"{cls.__name__}: {' '.join(unknown_keywords(unknown, known, 'field'))}")
    return data


class Message(Document, tags=["ui-message"]):
    """A chat message."""

    _refuse_unknown = model_validator(mode="before")(_refuse_unknown)

    role: str
    text: str = ""


class Markdown(Document):
    """Text that is rendered as Markdown."""

    _refuse_unknown = model_validator(mode="before")(_refuse_unknown)

    text: str


class Plain(Document):
    """Text that is shown as it is."""

    _refuse_unknown = model_validator(mode="before")(_refuse_unknown)

    text: str


class Link(Document):
    """A reference to another run, saved in a parent for each visible child."""

    _refuse_unknown = model_validator(mode="before")(_refuse_unknown)

    label: str
    workflow_id: str
    show: Literal["inline", "link"] = "link"


class ErrorDocument(Document, name="error", tags=["error"]):
    """One failed attempt: its error, its transition, and its number."""

    _refuse_unknown = model_validator(mode="before")(_refuse_unknown)

    message: str
    transition: str | None
    attempt: int
    type: str


def document_class(workflow: type, name: str) -> type[Document]:
    """Return the class of that name to which the workflow's code refers, else its module's, else the nearest one.

    Of equally near ones it is the last one made. `Document` itself where the process has none.
    """
    if own := _referred(workflow).get(name):
        return _most_derived(own)
    modules = [sys.modules.get(base.__module__) for base in workflow.__mro__]
    values = [value for module in dict.fromkeys(modules) if module for value in vars(module).values()]
    if own := tuple(one for one in values if _is_document(one) and one.document_name == name):
        return _most_derived(own)
    # References to all of them, copied at once: classes may be made and collected meanwhile.
    known = [one for reference in reversed(_CLASSES.keyrefs()) if (one := reference()) is not None]
    named = [one for one in known if one.document_name == name]
    return max(named, key=lambda one: _nearness(workflow, one), default=Document)


def document_faults(workflow: type) -> Iterator[str]:
    """Yield a fault for each name that several classes share in one workflow: it would read one as the other."""
    for name, classes in _referred(workflow).items():
        if not all(issubclass(_most_derived(classes), one) for one in classes):
            told = " and ".join(f"{one.__module__}.{one.__qualname__}" for one in classes)
            yield (
                f"{workflow.__name__}: {told} are both documents named {name!r}, so stored ones couldn't be told apart; "
                "give one of them another name=..."
            )


def _most_derived(classes: tuple[type[Document], ...]) -> type[Document]:
    return max(classes, key=lambda one: len(one.__mro__))


def _nearness(workflow: type, document: type[Document]) -> tuple[int, bool]:
    """Return how much of its path the class's module shares with the workflow's; built-in classes rank before unrelated ones."""
    pairs = zip(workflow.__module__.split("."), document.__module__.split("."), strict=False)
    shared = len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
    return shared, document.__module__ == Document.__module__


def _is_document(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Document) and value is not Document


@lru_cache(maxsize=1024)
def _referred(workflow: type) -> MappingProxyType[str, tuple[type[Document], ...]]:
    """Return the Document classes that the workflow's methods, and the functions they call in its package, refer to."""
    found: dict[str, dict[type[Document], None]] = {}
    for value in _values(workflow):
        if _is_document(value):
            found.setdefault(value.document_name, {})[value] = None
    return MappingProxyType({name: tuple(classes) for name, classes in found.items()})


def _values(workflow: type) -> Iterator[Any]:
    """Yield the objects to which the code of a workflow refers by name, once each."""
    package = workflow.__module__.partition(".")[0]
    waiting: list[Any] = [_plain(value) for base in workflow.__mro__[:-1] for value in vars(base).values()]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, FunctionType) and value.__module__.partition(".")[0] == package:
            waiting += [_plain(one) for one in _named_in(value)]


def _plain(value: Any) -> Any:
    inner = getattr(value, "__func__", value)
    return inspect.unwrap(inner) if isinstance(inner, FunctionType) else inner


def _named_in(function: FunctionType) -> Iterator[Any]:
    names = {*_names(function.__code__)}
    for name in names & function.__globals__.keys():
        value = function.__globals__[name]
        yield value
        if isinstance(value, ModuleType):
            yield from (vars(value)[one] for one in names & vars(value).keys())
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # defined later


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
