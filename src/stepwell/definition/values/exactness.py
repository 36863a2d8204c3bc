"""Check that each part of a value is of its field's own class, not of a subclass whose further fields a dump omits.

The check is made once per type, and looks only at models and moments, and at what can hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

_MINUTE = timedelta(minutes=1)
Schema: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Any], bool]


def exactness_of(schema: Any) -> Check | None:
    """Return the check for a type; None where its schema holds only data that can't be of a subclass."""
    return _Maker().make(schema)


class _Maker:
    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._made: dict[str, Check | None] = {}

    def make(self, schema: Any) -> Check | None:
        match schema["type"]:
            case "datetime" | "time":
                return _is_moment
            case "date":
                return lambda value: type(value) is date
            case "definitions":
                self._definitions |= {one["ref"]: one for one in schema["definitions"]}
                return self.make(schema["schema"])
            case "definition-ref":
                return self._referred(schema["schema_ref"])
            case "default":
                return self.make(schema["schema"])
            case "nullable":
                return _or_none(self.make(schema["schema"]))
            case "list" | "set" | "frozenset":
                return _each(self.make(schema["items_schema"]))
            case "tuple":
                return _all_of([(itemgetter(n), self.make(one)) for n, one in enumerate(schema["items_schema"])])
            case "dict":
                return _each_value(self.make(schema["values_schema"]))
            case "tagged-union":
                return _any_of([self.make(one) for one in schema["choices"].values()])
            case "model" | "dataclass":
                below = schema["schema"]
                return self._of_class(schema["cls"], below["schema"] if below["type"] == "definitions" else below)
            case "typed-dict":
                return _all_of(self._parts(schema["fields"], itemgetter))
        return None

    def _referred(self, ref: str) -> Check | None:
        if ref not in self._made:
            self._made[ref] = lambda value: check is None or check(value)  # for itself, meanwhile
            check = self.make(self._definitions[ref])
            self._made[ref] = check
        return self._made[ref]

    def _of_class(self, cls: type, schema: Schema) -> Check:
        if "fields" not in schema:
            inside = [(attrgetter("root"), self.make(schema))]
        else:
            fields = schema["fields"]
            named = fields if isinstance(fields, Mapping) else {one["name"]: one for one in fields}
            inside = self._parts(named, attrgetter)
        rest = _all_of(inside)
        if rest is None:
            return lambda value: type(value) is cls
        return lambda value: type(value) is cls and rest(value)

    def _parts(self, fields: Mapping[str, Schema], getter: Callable[[str], Any]) -> list[tuple[Any, Check | None]]:
        return [(getter(name), self.make(one["schema"])) for name, one in fields.items()]


def _is_moment(value: Any) -> bool:
    """Return whether a moment's offset is in whole minutes, as JSON has it; local mean times have seconds."""
    kind = type(value)
    if (kind is not datetime and kind is not time) or value.tzinfo is None:
        return kind is datetime or kind is time
    offset = value.utcoffset()
    return value.tzinfo is UTC or (offset is not None and not offset % _MINUTE)


def _or_none(check: Check | None) -> Check | None:
    return check and (lambda value: value is None or check(value))


def _each(check: Check | None) -> Check | None:
    return check and (lambda value: all(map(check, value)))


def _each_value(check: Check | None) -> Check | None:
    return check and (lambda value: all(map(check, value.values())))


def _any_of(checks: list[Check | None]) -> Check | None:
    known = [check for check in checks if check is not None]
    return (lambda value: any(check(value) for check in known)) if known else None


def _all_of(parts: list[tuple[Any, Check | None]]) -> Check | None:
    known = [(get, check) for get, check in parts if check is not None]
    if not known:
        return None

    def check_all(value: Any) -> bool:
        try:
            for get, check in known:
                if not check(get(value)):
                    return False
        except (KeyError, IndexError):
            return False  # a key may be left out, a tuple may have any length: a closer check decides
        return True

    return check_all
