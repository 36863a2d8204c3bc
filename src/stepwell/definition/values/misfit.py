"""The reasons why a value can't be stored: its path, the value, the loss, and the cure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

_SHORT: Final = 120
Path = tuple[str | int, ...]


class ValueMisfit(ValueError):
    """A value that can't be stored, or wouldn't come back equal."""

    def __init__(self, path: Path, reason: str, value: object = None, kind: str = "not_equal") -> None:
        self.path = path
        self.reason = reason
        self.value = value
        self.kind = kind
        super().__init__(f"{spoken(path)}: {reason}")

    def details(self) -> list[dict[str, Any]]:
        """As Pydantic's errors() are."""
        return [{"type": self.kind, "loc": self.path, "msg": self.reason, "input": shown(self.value)}]


def shown(value: object) -> str:
    """Return the value as text, shortened if it is long; works also if its `__repr__` raises."""
    try:
        text = repr(value)
    except BaseException:  # noqa: BLE001 - a __repr__ of the user's, or an integer with more digits than Python prints
        text = f"<{type(value).__name__} that can't be shown>"
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def spoken(path: Path) -> str:
    """Return a path as texts name it."""
    return ".".join(map(str, path)) or "the value"


def unequal(found: Difference) -> ValueMisfit:
    """Return the misfit of a value that comes back as another one."""
    given, loaded = found.given, found.loaded
    if loaded is MISSING and found.path:
        reason = f"the key {found.path[-1]!s} with {shown(given)} doesn't come back, {_KEY_CURE}"
    elif given is MISSING:
        reason = f"it is missing, and comes back as {shown(loaded)}; {_CURE}"
    else:
        reason = f"{_called(given)} comes back as {_called(loaded)}; {cure(given, loaded)}"
    return ValueMisfit(found.path, reason, given)


def unloadable(valid: object, error: ValidationError) -> ValueMisfit:
    """Return the misfit of a value whose own JSON its type doesn't take; of kind `breaks_type` where JSON isn't the reason."""
    first = error.errors(include_url=False, include_context=False, include_input=True)[0]
    if (huge := next(_huge(valid, (), 0), None)) is not None:
        return ValueMisfit(huge, f"the number has too many digits; {_FEWER}", None, "not_loadable")
    path, value = _found(valid, first["loc"])
    if value is MISSING:
        reason = f"its own JSON doesn't load: {first['msg']} (of {shown(first['input'])}); {_CURE}"
        return ValueMisfit(path, reason, first["input"], "not_loadable")
    reason = f"{_called(value)} doesn't load from its own JSON: {first['msg']}; {cure(value, first['input'])}"
    same = difference(value, first["input"]) is None
    return ValueMisfit(path, reason, value, "breaks_type" if same else "not_loadable")


def _huge(value: Any, path: Path, depth: int) -> Iterator[Path]:
    """Yield the paths of numbers that no reader of JSON takes."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        yield path
    elif depth < 100:
        for name, part in _inside(value):
            yield from _huge(part, (*path, name), depth + 1)


def undumpable(valid: object, error: Exception) -> ValueMisfit:
    """Return the misfit of a value that has no JSON."""
    if isinstance(error, RecursionError) or any(word in str(error) for word in ("depth", "Circular")):
        return ValueMisfit(
            (), "it is nested too deeply for JSON, or contains itself; store it flat", type(valid), "not_json"
        )
    path, culprit = next(_undumpable(valid, (), 0), ((), MISSING))
    if culprit is MISSING:
        return ValueMisfit((), f"it isn't JSON ({error}); {_CURE}", None, "not_json")
    return ValueMisfit(path, f"{_called(culprit)} isn't JSON; {cure(culprit, None)}", culprit, "not_json")


def raised(path: Path, error: Exception, what: str = "its validation") -> ValueMisfit:
    """Return the misfit of a value for which user code raises something else than ValueError."""
    try:
        told = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - its __str__ raises
        told = type(error).__name__
    return ValueMisfit(path, f"{what} raised {told}; let it raise ValueError for what it refuses", None, "raised")


_FEWER: Final = "give fewer than 4,300 digits, or text"
_KEY_CURE: Final = "since keys of JSON are texts; give texts as keys, or declare their type, as in dict[int, str]"
_CURE: Final = "let its type, validators and serializers accept what they dump"
_MOST_BITS: Final = 14_283
"""Of a number with 4,300 digits, the most that Python reads."""
_TYPED: Final = (Decimal, date, time, timedelta, bytes, bytearray, set, frozenset, tuple, Enum)


def cure(given: object, loaded: object) -> str:
    """Return the advice for a value that can't be stored."""
    if isinstance(given, float | Decimal | complex) and not _is_finite(given):
        return "give a finite number or None, or set ser_json_inf_nan='strings' in the model_config"
    if isinstance(given, BaseModel) or is_dataclass(given):
        if isinstance(loaded, BaseModel) or is_dataclass(loaded):
            return f"annotate the field as {type(given).__name__}, or as a union that has it"
        return f"annotate it as {type(given).__name__}, or give plain data, as of model_dump(mode='json')"
    if isinstance(given, str) and not _has_json(given):
        return "give text without halves of surrogate pairs"
    if isinstance(given, datetime | time) and type(loaded) is type(given):
        return "give it in UTC, or with an offset of whole minutes"
    if isinstance(given, _TYPED) and type(loaded) is not type(given):
        return f"declare {type(given).__name__} as its type, or give what JSON has: text, numbers, lists, dicts"
    if isinstance(given, Iterator):
        return "give a list of its items"
    if isinstance(given, list | dict | int | str | float) or given is None:
        return _CURE
    return f"give what JSON has, or let the type {type(given).__name__} load what it dumps, and compare equal by __eq__"


def _called(value: object) -> str:
    if value is None or isinstance(value, bool | str | int | float):
        return shown(value)
    return f"the {type(value).__name__} {shown(value)}"


def _is_finite(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return math.isfinite(value.real) and math.isfinite(value.imag)


def _found(value: Any, loc: Sequence[str | int]) -> tuple[Path, object]:
    """As much of an error's path as leads to something in the value, and what is there."""
    path: list[str | int] = []
    for part in loc:
        below = _at(value, part)
        if below is MISSING:
            continue  # the tag of a union, say
        path.append(part)
        value = below
    return tuple(path) or tuple(loc), value if path or not loc else MISSING


def _at(value: Any, part: str | int) -> object:
    if isinstance(value, Mapping):
        return value.get(part, MISSING)
    if isinstance(part, int):
        return value[part] if isinstance(value, list | tuple) and part < len(value) else MISSING
    if isinstance(value, BaseModel):
        for name, one in type(value).model_fields.items():
            if part in (one.alias, one.serialization_alias, one.validation_alias, name):
                return getattr(value, name, MISSING)
        return MISSING
    return getattr(value, part, MISSING) if is_dataclass(value) else MISSING


def _undumpable(value: Any, path: Path, depth: int) -> Iterator[tuple[Path, object]]:
    """Yield the innermost things that have no JSON, with their paths."""
    if depth > 100 or _has_json(value):
        return
    inside = False
    for name, part in _inside(value):
        for found in _undumpable(part, (*path, name), depth + 1):
            inside = True
            yield found
    if not inside:
        yield path, value


def _has_json(value: object) -> bool:
    try:
        to_json(value)
    except Exception:  # noqa: BLE001 - whatever it raises, it has none
        return False
    return True


def _inside(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield (key if isinstance(key, str) and _has_json(key) else repr(key)), one
    elif isinstance(value, BaseModel):
        yield from ((name, getattr(value, name, None)) for name in type(value).model_fields)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((one.name, getattr(value, one.name, None)) for one in fields(value))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from enumerate(value)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two values differ."""

    path: tuple[str | int, ...]
    given: object
    loaded: object
    """The loaded value there; `MISSING` if there is none."""


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Absent()


def difference(given: object, loaded: object) -> Difference | None:
    """Return the first difference, None for equal values. NaN equals NaN, a moment the same moment in another zone.

    Objects without an equality of their own are compared by their type and attributes.
    """
    return None if _equal(given, loaded) else _first(given, loaded, ())


def _equal(given: object, loaded: object) -> bool:
    try:
        return bool(given == loaded)
    except Exception:  # noqa: BLE001 - an equality of the user's may raise anything, RecursionError too
        return False


def _first(given: object, loaded: object, path: tuple[str | int, ...]) -> Difference | None:
    if given is loaded or _same_leaf(given, loaded):
        return None
    parts = _parts(given, loaded)
    if parts is None:
        return None if _equal(given, loaded) else Difference(path, given, loaded)
    for name, one, other in parts:
        if (found := _first(one, other, (*path, name) if name != "" else path)) is not None:
            return found
    return None


def _same_leaf(given: Any, loaded: Any) -> bool:
    if type(given) is type(loaded) and given != given and loaded != loaded:
        return not isinstance(given, complex) or repr(given) == repr(loaded)
    if isinstance(given, datetime) and isinstance(loaded, datetime) and given.tzinfo and loaded.tzinfo:
        # Python calls moments of a repeated hour unequal to any in another zone (PEP 495): the instant is what counts.
        return given.astimezone(UTC) == loaded.astimezone(UTC)
    return False


def _parts(given: Any, loaded: Any) -> Iterator[tuple[str | int, Any, Any]] | None:
    """Return the parts of two values of one kind, by name; None where they can only be compared as a whole."""
    if isinstance(given, dict) and isinstance(loaded, dict):
        return _of_mappings(given, loaded)
    if type(given) is not type(loaded):
        return None
    if isinstance(given, list | tuple):
        pairs = zip(given, loaded, strict=True)
        return ((n, *pair) for n, pair in enumerate(pairs)) if len(given) == len(loaded) else None
    if isinstance(given, set | frozenset):
        pairs = zip(sorted(given, key=repr), sorted(loaded, key=repr), strict=True)
        return (("", *pair) for pair in pairs) if len(given) == len(loaded) else None
    if isinstance(given, BaseModel):
        return _of_models(given, loaded)
    if is_dataclass(given):
        return ((one.name, *_both(given, loaded, one.name)) for one in fields(given) if one.compare)
    kind: Any = type(given)
    if kind.__eq__ is object.__eq__ and getattr(given, "__dict__", None):
        return _of_mappings(vars(given), vars(loaded))
    return None


def _both(given: Any, loaded: Any, name: str) -> tuple[Any, Any]:
    return getattr(given, name, MISSING), getattr(loaded, name, MISSING)


def _of_mappings(given: Mapping[Any, Any], loaded: Mapping[Any, Any]) -> Iterator[tuple[str | int, Any, Any]]:
    for key in given:
        yield _name(key), given[key], loaded.get(key, MISSING)
    for key in loaded:
        if key not in given:
            yield _name(key), MISSING, loaded[key]


def _name(key: Any) -> str | int:
    return key if isinstance(key, str) and key else repr(key)


def _of_models(given: BaseModel, loaded: BaseModel) -> Iterator[tuple[str | int, Any, Any]]:
    for name in type(given).model_fields:
        yield name, *_both(given, loaded, name)
    for held in ("__pydantic_extra__", "__pydantic_private__"):
        one, other = getattr(given, held, None) or {}, getattr(loaded, held, None) or {}
        yield from _of_mappings(one, other)
