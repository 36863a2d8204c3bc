"""JSON in and out of one type, by Pydantic: the only (de)serializer of args, state, results, payloads and documents."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from functools import lru_cache
from math import isfinite
from traceback import walk_tb
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import core_schema

from stepwell.definition.text import type_name
from stepwell.definition.values.fidelity import UNKNOWN, Fidelity, fidelity_of
from stepwell.definition.values.misfit import ValueMisfit, difference, raised, undumpable, unequal, unloadable

T = TypeVar("T")


class _Schemas(GenerateJsonSchema):
    """Pydantic's JSON schemas, with a `format` that marks the texts of a Decimal, so that forms ask for digits."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        told = super().decimal_schema(schema)
        for one in (told, *told.get("anyOf", ())):
            if one.get("type") == "string":
                one["format"] = "decimal"
        return told


class _Quiet(_Schemas):
    ignored_warning_kinds: ClassVar[set[JsonSchemaWarningKind]] = {"skipped-choice", "non-serializable-default"}  # type: ignore[misc]


class Codec(Generic[T]):
    """A validator and serializer of one type. Dumping is `round_trip` and by alias (rule 5); loading validates again."""

    __slots__ = ("_adapter", "_fidelity", "_open", "type")

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self._adapter: TypeAdapter[T] = TypeAdapter(type_)
        self._open = type_ is Any or type_ == dict[str, Any]
        self._fidelity: Fidelity | None = None

    @property
    def fidelity(self) -> Fidelity:
        """The facts about the type's values, worked out once the type is fully defined."""
        if self._fidelity is None:
            if not self.complete():
                return UNKNOWN
            self._fidelity = fidelity_of(self._adapter.core_schema, type_name(self.type))
        return self._fidelity

    def load(self, text: str | bytes) -> T:
        """Validate a JSON text and return its value. Raises Pydantic's ValidationError."""
        value: T = self._adapter.validator.validate_json(text)
        return value

    def validate(self, value: object) -> T:
        """Validate Python data. Raises Pydantic's ValidationError, or ValueMisfit for any other error."""
        try:
            valid: T = self._adapter.validator.validate_python(value)
        except ValidationError:
            raise
        except Exception as error:
            raise raised(self._where(error), error) from error
        return valid

    def dump(self, value: T) -> str:
        """Return the value as JSON text, unchecked. Raises ValueMisfit for a value that isn't JSON."""
        try:
            return self._adapter.serializer.to_json(value, by_alias=True, round_trip=True, warnings="none").decode()
        except Exception as error:
            raise undumpable(value, error) from error

    def checked(self, value: object) -> str:
        """Validate `value` and return its JSON text, which loads as the validated value.

        Raises Pydantic's ValidationError for what doesn't fit the type, ValueMisfit for what wouldn't come back equal.
        """
        valid = self.validate(value)
        text, sure = self._dumped(valid)
        if sure and self._is_new(value, text):
            return text
        self._loaded(valid, text, sure=sure, new=valid is not value)
        return text

    def kept(self, value: object) -> tuple[str, T]:
        """Like `checked`, but also return the value that the text loads as."""
        valid = self.validate(value)
        text, sure = self._dumped(valid)
        return text, self._loaded(valid, text, sure=sure, new=valid is not value)

    def changed(self, value: T, before: str) -> str | None:
        """Like `checked`, for a value loaded from `before` and maybe changed since; return None if it is unchanged."""
        text, sure = self._dumped(value)
        if self._open and is_json(value):
            return None if text == before else text
        if sure and text == before and self._is_exact(value, text):
            return None
        valid = self.validate(value)  # an instance of another model could pass as JSON, because of its defaults
        if valid is not value:
            text, sure = self._dumped(valid)
        loaded = self._loaded(valid, text, sure=sure, new=valid is not value)
        if text == before:
            return None
        again = self.dump(loaded)
        if again != text:  # equal values of two types: of the text of the other one a union may make a third
            self._loaded(loaded, again, sure=False, new=True)
        return None if again == before else again

    def _dumped(self, value: T) -> tuple[str, bool]:
        """Return the value as JSON text, and whether Pydantic found only the declared types in it. Raises ValueMisfit."""
        try:
            return self._adapter.serializer.to_json(
                value, by_alias=True, round_trip=True, warnings="error"
            ).decode(), True
        except Exception:  # noqa: BLE001 - where it has no JSON at all, the second try says so
            return self.dump(value), False

    def _is_new(self, value: object, text: str) -> bool:
        """Return whether the value validated from `value` was built from plain data, by rules that keep it."""
        known = self.fidelity
        if not (known.proven or self._open) or (known.floats and not self._open and "null" in text):
            return False
        return is_json(value)  # instances aren't validated again: only the text shows whether one still fits

    def _is_exact(self, value: T, text: str) -> bool:
        """Return whether nothing in a value of this type can be lost in its text, apart from its constraints."""
        known = self.fidelity
        if not known.proven or (known.floats and "null" in text):
            return False
        return known.exact is None or known.exact(value)

    def _loaded(self, valid: T, text: str, *, sure: bool, new: bool) -> T:
        """Load the text and compare it with the dumped value. `new`: validation has just made the value.

        Raises ValidationError for an instance that breaks its type, else ValueMisfit.
        """
        try:
            loaded = self.load(text)
        except ValidationError as error:
            misfit = unloadable(valid, error)
            if new or misfit.kind != "breaks_type":
                raise misfit from error
            raise
        except Exception as error:
            raise raised(self._where(error), error, "loading it again") from error
        if sure and self._is_exact(valid, text):
            return loaded
        if (found := difference(valid, loaded)) is not None:
            raise unequal(found)
        if self.fidelity.floats and _CONSTANT.search(text):
            _refuse_constants(text)
        return loaded

    def _where(self, error: Exception) -> tuple[str, ...]:
        """Return the path of the field whose validator raised, taken from the traceback."""
        codes = self.fidelity.validators
        for frame, _ in walk_tb(error.__traceback__):
            if frame.f_code in codes:
                return tuple(codes[frame.f_code].split(".")[1:])
        return ()

    def complete(self) -> bool:
        """Return whether all names that the type refers to are defined; resolve those that weren't before.

        Raises what Pydantic raises for a type that it can't validate.
        """
        return bool(self._adapter.pydantic_complete or self._adapter.rebuild(raise_errors=False))

    def schema(self, *, quiet: bool = False) -> dict[str, Any]:
        """Return the JSON schema of accepted values. `quiet` suppresses Pydantic's warnings about parts it can't show."""
        return self._adapter.json_schema(by_alias=True, schema_generator=_Quiet if quiet else _Schemas)


_CONSTANT = re.compile(r"\b(?:NaN|Infinity)\b")
_LARGE = 2**63


def is_json(value: object) -> bool:
    """Return whether a value consists only of JSON's own types, so that its JSON text holds all of it."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is dict:
        for key, one in value.items():  # type: ignore[attr-defined]  # noqa: SIM110 - a generator costs twice as much
            if type(key) is not str or not is_json(one):
                return False
        return True
    if kind is list:
        return all(map(is_json, value))  # type: ignore[call-overload]
    if kind is int:
        return -_LARGE < value < _LARGE  # type: ignore[operator]
    return kind is float and isfinite(value)  # type: ignore[arg-type]


def _refuse_constants(text: str) -> None:
    def refuse(constant: str) -> None:
        raise ValueMisfit(
            (), f"{constant} isn't JSON; set ser_json_inf_nan='strings' in the model_config, not 'constants'", constant
        )

    json.loads(text, parse_constant=refuse)


@lru_cache(maxsize=4096)
def _cached(type_: Any, order: Hashable) -> Codec[Any]:
    return Codec(type_)


def codec_for(type_: Any) -> Codec[Any]:
    """Return the codec of a type, cached where the type is hashable."""
    try:
        return _cached(type_, order_of(type_))
    except TypeError:
        return Codec(type_)


def order_of(type_: Any) -> Hashable:
    """Return what distinguishes types that Python calls equal: the order of a union, and an argument's kind (1 or True)."""
    arguments = get_args(type_)
    if not arguments:
        return type(type_).__qualname__
    return tuple(tuple(map(order_of, one)) if isinstance(one, list) else (one, order_of(one)) for one in arguments)


def in_json(value: Any) -> Any:
    """Return plain data as JSON has it: lists for tuples, texts for whole numbers as keys; everything else as it is."""
    try:
        return _in_json(value)
    except RecursionError:
        return value  # it has no JSON: the codec reports that


def _in_json(value: Any) -> Any:
    kind = type(value)
    if kind is list or kind is tuple:
        return [_in_json(one) for one in value]
    if kind is not dict:
        return value
    made = {str(key) if type(key) is int else key: _in_json(one) for key, one in value.items()}
    return made if len(made) == len(value) else value


def plain(text: str | bytes) -> Any:
    """Return the value of a stored JSON text, without its type. Raises ValueError, RecursionError for invalid JSON.

    A number with more digits than Python reads is returned as text, so that the rest can still be read.
    """
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def canonical(text: str) -> str:
    """Return the JSON text with sorted keys and no spaces: equal texts mean equal values."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def lossy_faults(owner: str, role: str, codec: Codec[Any] | None) -> Iterator[str]:
    """Yield what no value of the type brings back, and defaults that break the type of their field."""
    if codec is None:
        return
    for path, why in codec.fidelity.faults:
        told = why if ";" in why else f"{why}, so a run would lose it; leave it out of the {role}"
        yield f"{owner}: {path} in its {role} {told}."
    for path, why in codec.fidelity.defaults if role != "fields" else ():
        yield f"{owner}: {path} in its {role} {why}."
