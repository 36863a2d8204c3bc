"""The documents of a run as the running transition sees them: the stored ones, and what it has saved so far."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Iterable
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from stepwell.definition.authoring.context import Validate
from stepwell.definition.authoring.document import Document, document_class
from stepwell.definition.compile.export import shown
from stepwell.definition.text import is_text
from stepwell.definition.values.codec import codec_for, plain
from stepwell.definition.values.inputs import bounded, details, model_json, summary
from stepwell.definition.values.misfit import ValueMisfit, difference, unequal
from stepwell.engine.commit import DocumentWrite
from stepwell.errors import InvalidPayload, StepwellError
from stepwell.execution.document_pages import Found, check_page, page_of
from stepwell.store.documents import DocumentRow, WantedDocuments

D = TypeVar("D", bound=Document)

M = TypeVar("M", bound=DocumentRow | DocumentWrite)
T = TypeVar("T")


class Stored(Protocol):
    """The stored documents of the run: all current ones, or only the wanted ones."""

    def __call__(self, wanted: WantedDocuments | None = None, /) -> Awaitable[list[DocumentRow]]: ...


class Called(Protocol):
    """A function that is called with each call of a verb, and returns its coroutine."""

    def __call__(
        self, verb: str, what: object, coroutine: Coroutine[Any, Any, T], depth: int
    ) -> Coroutine[Any, Any, T]: ...


_MAX_KEY = 512
_ANY = codec_for(Any)


class RunDocuments:
    """Saves into a buffer that commits with the transition; closed when the attempt is over."""

    __slots__ = (
        "_called",
        "_closed",
        "_found",
        "_limit",
        "_read_only",
        "_stored",
        "_transition",
        "_workflow",
        "written",
    )

    def __init__(
        self, workflow: type, transition: str, stored: Stored, limit: int, called: Called, *, read_only: bool
    ) -> None:
        self._called = called
        self._workflow = workflow
        self._transition = transition
        self._stored = stored
        self._limit = limit
        self._read_only = read_only
        self._closed = False
        self._found: Found | None = None
        self.written: list[DocumentWrite] = []

    def save(
        self,
        document: Document,
        key: str | None = None,
        validate: Validate = "strict",
        meta: dict[str, Any] | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Save `document` with the transition's checkpoint. Raises InvalidPayload (strict), PayloadTooLarge."""
        return self._called("documents.save", document, self._save(document, key, validate, meta), 2)

    async def _save(self, document: Document, key: str | None, validate: Validate, meta: dict[str, Any] | None) -> None:
        self.write(document, key, validate, meta)

    def write(
        self,
        document: Document,
        key: str | None = None,
        validate: Validate = "strict",
        meta: dict[str, Any] | None = None,
    ) -> None:
        """As `save`, at once."""
        if self._closed:
            raise StepwellError(f"The attempt of {self._transition!r} is over: it can save no document any more.")
        if self._read_only:
            raise guard_only_asks("documents.save", self._transition)
        write = _write(document, key, validate, meta, self._transition)
        bounded(write.content, self._limit, f"The content of document {write.name!r}")
        bounded(write.meta or "", self._limit, f"The meta of document {write.name!r}")
        self.written.append(write)

    def find(
        self, type_: type[D], *, limit: int | None = None, after: Document | str | None = None
    ) -> Coroutine[Any, Any, list[D]]:
        """Return the current documents of this type, in order, or a page of them. Raises InvalidArgs."""
        return self._called("documents.find", type_, self._find(type_, limit, after), 2)

    async def _find(self, type_: type[D], limit: int | None, after: Document | str | None) -> list[D]:
        check_page(limit, after)
        if self._found is None:
            self._found = Found()
        saved = merged(self.written)
        place = None if after is None else await self._found.place_of(after, self._stored, saved)
        page = await page_of(type_.document_name, limit, place, self._stored, saved)
        documents = [typed(type_, one.content) for _, one in page]
        if limit is not None:
            self._found.note(documents, [place for place, _ in page])
        return documents

    def find_by_tag(self, tag: str) -> Coroutine[Any, Any, list[Document]]:
        """Return the current documents with this tag, in order."""
        return self._called("documents.find_by_tag", tag, self._find_by_tag(tag), 2)

    async def _find_by_tag(self, tag: str) -> list[Document]:
        return [self._typed(one) for one in await self._current() if tag in tags_of(one)]

    def all(self) -> Coroutine[Any, Any, list[Document]]:
        """Return the current documents, in order."""
        return self._called("documents.all", None, self._all(), 2)

    async def _all(self) -> list[Document]:
        return [self._typed(one) for one in await self._current()]

    def _typed(self, one: DocumentRow | DocumentWrite) -> Document:
        return typed(document_class(self._workflow, one.name), one.content)

    def close(self) -> None:
        """Refuse further documents."""
        self._closed = True

    async def _current(self) -> list[DocumentRow | DocumentWrite]:
        return merged([*await self._stored(), *self.written])


def guard_only_asks(verb: str, transition: str) -> StepwellError:
    """Return the error of a guard that would write: nothing of a guard is stored, so its write would be lost."""
    return StepwellError(
        f"self.{verb}: the guard of {transition!r} only decides, and nothing that it writes is stored. Write it in the "
        "method of the transition."
    )


def merged(given: Iterable[M]) -> list[M]:
    """Return the documents that are current: a later one of the same key stands in the place of the earlier."""
    places: dict[str, int] = {}
    result: list[M] = []
    for one in given:
        if one.key is not None and one.key in places:
            result[places[one.key]] = one
            continue
        if one.key is not None:
            places[one.key] = len(result)
        result.append(one)
    return result


def tags_of(one: DocumentRow | DocumentWrite) -> list[str]:
    """Return the tags of a stored or written document."""
    return TypeAdapter(list[str]).validate_json(one.tags)


def _write(
    document: Document, key: str | None, validate: Validate, meta: dict[str, Any] | None, transition: str
) -> DocumentWrite:
    if not isinstance(document, Document):
        raise InvalidPayload(f"documents.save({type(document).__name__}): give an instance of a Document class.")
    if validate not in ("strict", "safe", "skip"):
        raise ValueError(f"documents.save(validate={validate!r}): it is 'strict', 'safe' or 'skip'.")
    if key is not None:
        _check_key(key, document)
    type_ = type(document)
    content, errors = _content(document, validate)
    return DocumentWrite(
        name=type_.document_name,
        key=key,
        content=content,
        tags=to_json(list(type_.document_tags)).decode(),
        meta=_meta_json(meta, type_.document_name),
        errors=to_json(errors).decode() if errors else None,
        internal=int(type_.document_internal),
        transition=transition,
        ui=shown(type_),
        title=type_.document_shown_title,
    )


def _content(document: Document, validate: Validate) -> tuple[str, list[dict[str, Any]]]:
    """Return the document as JSON, and what is wrong with it. Raises InvalidPayload."""
    name = document.document_name
    try:
        return model_json(document), []
    except (ValidationError, ValueMisfit) as error:
        if validate == "strict":
            raise InvalidPayload(
                f"The document {name!r} doesn't fit {type(document).__name__}: {summary(error)}", details(error)
            ) from error
        wrong = error
    try:
        return _given(document), details(wrong) if validate == "safe" else []
    except ValueMisfit as error:
        raise InvalidPayload(f"The document {name!r} can't be stored: {summary(error)}", details(error)) from error


def _given(document: Document) -> str:
    """Return what was given as JSON, though it breaks its type. Raises ValueMisfit where even that wouldn't come back equal."""
    type_ = type(document)
    text = codec_for(type_).dump(document)
    if (found := difference(document, as_it_is(type_, text))) is not None:
        raise unequal(found)
    return text


def _meta_json(meta: dict[str, Any] | None, name: str) -> str | None:
    if meta is None:
        return None
    try:
        return _ANY.checked(meta)
    except (ValidationError, ValueMisfit) as error:
        raise InvalidPayload(
            f"The meta of document {name!r} can't be stored: {summary(error)}", details(error)
        ) from error


def _check_key(key: str, document: Document) -> None:
    if not is_text(key, _MAX_KEY):
        raise InvalidPayload(
            f"The key of document {document.document_name!r} is {key!r}: give a text of 1 to {_MAX_KEY} characters, without NUL."
        )


def typed(type_: type[D], content: str) -> D:
    """Return the document; as it is, where it was saved with `safe` or `skip`, or by an older version of the class."""
    try:
        loaded: D = codec_for(type_).load(content)
    except Exception:  # noqa: BLE001 - a validator of the user's may raise anything
        return as_it_is(type_, content)
    return loaded


def as_it_is(type_: type[D], content: str) -> D:
    """Return the document without the checks of its class: fields that fit are of their type, the others as in JSON."""
    given: dict[str, Any] = plain(content)
    values = {}
    for name, field in type_.model_fields.items():
        key = field.serialization_alias or name
        if key in given:
            values[name] = _field(field, given.pop(key))
    made = type_.model_construct(**given)
    made.__dict__.update(values)
    made.__pydantic_fields_set__.update(values)
    return made


def _field(field: FieldInfo, value: Any) -> Any:
    annotation: Any = field.annotation
    for one in field.metadata:
        annotation = Annotated[annotation, one]
    try:
        codec = codec_for(annotation)
        return codec.load(codec_for(Any).dump(value))
    except Exception:  # noqa: BLE001 - it doesn't fit, whatever its validators raise
        return value
