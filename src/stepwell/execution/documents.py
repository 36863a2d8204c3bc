"""The documents of a run as the running transition sees them: the stored ones, and what it has saved so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from stepwell.definition.context import Validate
from stepwell.definition.document import Document
from stepwell.definition.inputs import bounded, details, is_text, summary
from stepwell.definition.shown import shown
from stepwell.engine.commit import DocumentWrite
from stepwell.errors import InvalidPayload, StepwellError
from stepwell.store.base import DocumentRow

D = TypeVar("D", bound=Document)

Stored = Callable[[], Awaitable[list[DocumentRow]]]
_MAX_KEY = 512
_DICT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class RunDocuments:
    """Saves into a buffer that commits with the transition; closed when the attempt is over."""

    __slots__ = ("_closed", "_limit", "_stored", "_transition", "written")

    def __init__(self, transition: str, stored: Stored, limit: int) -> None:
        self._transition = transition
        self._stored = stored
        self._limit = limit
        self._closed = False
        self.written: list[DocumentWrite] = []

    async def save(
        self,
        document: Document,
        key: str | None = None,
        validate: Validate = "strict",
        meta: dict[str, Any] | None = None,
    ) -> None:
        """`document` will be stored with the transition's checkpoint. Raises InvalidPayload (strict), PayloadTooLarge."""
        if self._closed:
            raise StepwellError(f"The attempt of {self._transition!r} is over: it can save no document any more.")
        write = _write(document, key, validate, meta, self._transition)
        bounded(write.content, self._limit, f"The content of document {write.name!r}")
        bounded(write.meta or "", self._limit, f"The meta of document {write.name!r}")
        self.written.append(write)

    async def find(self, type_: type[D]) -> list[D]:
        """The current documents of this type, in order."""
        return [cast("D", _typed(type_, one)) for one in await self._current() if one.name == type_.document_name]

    async def find_by_tag(self, tag: str) -> list[Document]:
        """The current documents with this tag, in order."""
        return [_guess(one) for one in await self._current() if tag in tags_of(one)]

    async def all(self) -> list[Document]:
        """The current documents, in order."""
        return [_guess(one) for one in await self._current()]

    def close(self) -> None:
        """Nothing can be saved any more."""
        self._closed = True

    async def _current(self) -> list[DocumentRow | DocumentWrite]:
        return list(merged([*await self._stored(), *self.written]))


def merged(given: list[DocumentRow | DocumentWrite]) -> list[DocumentRow | DocumentWrite]:
    """The documents that are current: a later one of the same key stands in the place of the earlier."""
    places: dict[str, int] = {}
    result: list[DocumentRow | DocumentWrite] = []
    for one in given:
        if one.key is not None and one.key in places:
            result[places[one.key]] = one
            continue
        if one.key is not None:
            places[one.key] = len(result)
        result.append(one)
    return result


def tags_of(one: DocumentRow | DocumentWrite) -> list[str]:
    """The tags of a stored or written document."""
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
    content = to_json(document.model_dump(mode="json", by_alias=True, round_trip=True, warnings="none")).decode()
    errors: list[dict[str, Any]] = []
    if validate != "skip":
        try:
            type_.model_validate_json(content)
        except ValidationError as error:
            if validate == "strict":
                raise InvalidPayload(
                    f"The document {type_.document_name!r} doesn't fit {type_.__name__}: {summary(error)}",
                    details(error),
                ) from error
            errors = details(error)
    return DocumentWrite(
        name=type_.document_name,
        key=key,
        content=content,
        tags=to_json(list(type_.document_tags)).decode(),
        meta=None if meta is None else to_json(meta).decode(),
        errors=to_json(errors).decode() if errors else None,
        internal=int(type_.document_internal),
        transition=transition,
        ui=shown(type_),
    )


def _check_key(key: str, document: Document) -> None:
    if not is_text(key, _MAX_KEY):
        raise InvalidPayload(
            f"The key of document {document.document_name!r} is {key!r}: give a text of 1 to {_MAX_KEY} characters, without NUL."
        )


def _typed(type_: type[Document], one: DocumentRow | DocumentWrite) -> Document:
    try:
        return type_.model_validate_json(one.content)
    except ValidationError:
        # Saved with `safe` or `skip`, or by an older version of the class: what is there is given as it is.
        return type_.model_construct(**_DICT.validate_json(one.content))


def _guess(one: DocumentRow | DocumentWrite) -> Document:
    type_ = next((t for t in _descendants(Document) if t.document_name == one.name), Document)
    return _typed(type_, one)


def _descendants(type_: type[Document]) -> Iterator[type[Document]]:
    for child in type_.__subclasses__():
        yield child
        yield from _descendants(child)
