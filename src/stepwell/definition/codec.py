"""JSON in and out of one type, by Pydantic: the only (de)serialiser of args, state, results, payloads and documents."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import core_schema

T = TypeVar("T")


class _Schemas(GenerateJsonSchema):
    """Pydantic's, but the texts of a Decimal are told from any other text: forms ask for one by its digits."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        told = super().decimal_schema(schema)
        for one in (told, *told.get("anyOf", ())):
            if one.get("type") == "string":
                one["format"] = "decimal"
        return told


class _Quiet(_Schemas):
    ignored_warning_kinds: ClassVar[set[JsonSchemaWarningKind]] = {"skipped-choice", "non-serializable-default"}  # type: ignore[misc]


class Codec(Generic[T]):
    """Validates and dumps one type. Dumping is `round_trip` and by alias (semantics 5); loading validates anew."""

    __slots__ = ("_adapter", "type")

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self._adapter: TypeAdapter[T] = TypeAdapter(type_)

    def load(self, text: str | bytes) -> T:
        """The validated value of a JSON text. Raises Pydantic's ValidationError."""
        return self._adapter.validate_json(text)

    def validate(self, value: object) -> T:
        """The validated value of Python data. Raises Pydantic's ValidationError."""
        return self._adapter.validate_python(value)

    def dump(self, value: T) -> str:
        """The value as JSON text, unchecked: a value that breaks the type shows when it is loaded."""
        return self._adapter.dump_json(value, by_alias=True, round_trip=True, warnings="none").decode()

    def checked(self, value: object) -> str:
        """The JSON text of `value`, which was validated on the way, also where it is an instance of the type already.

        Raises Pydantic's ValidationError, or PydanticSerializationError for what isn't JSON.
        """
        text = self.dump(self.validate(value))
        if not _is_plain(value):
            self.load(text)  # instances aren't validated again: only their text says whether they still fit
        return text

    def complete(self) -> bool:
        """Whether all names that the type refers to are defined; tries again where they weren't.

        Raises what Pydantic raises for a type that it can't validate.
        """
        return bool(self._adapter.pydantic_complete or self._adapter.rebuild(raise_errors=False))

    def schema(self, *, quiet: bool = False) -> dict[str, Any]:
        """The JSON schema of what is accepted. `quiet`: without a warning of Pydantic's for what it can't show."""
        return self._adapter.json_schema(by_alias=True, schema_generator=_Quiet if quiet else _Schemas)


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _is_plain(value: object) -> bool:
    """A mapping of nothing but JSON's own scalars: what was validated from it was made anew."""
    return type(value) is dict and all(type(one) in _PLAIN for one in value.values())


@lru_cache(maxsize=4096)
def _cached(type_: Any) -> Codec[Any]:
    return Codec(type_)


def codec_for(type_: Any) -> Codec[Any]:
    """The codec of a type, made once per type where the type is hashable."""
    try:
        return _cached(type_)
    except TypeError:
        return Codec(type_)


def canonical(text: str) -> str:
    """The JSON text with sorted keys and no spaces: equal texts mean equal values."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
