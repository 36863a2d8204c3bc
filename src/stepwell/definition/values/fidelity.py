"""Decide whether values of a type come back equal from JSON, once, from Pydantic's core schema of the type.

There are three answers: its values provably do (nothing is checked later), they may not (each is loaded and compared), or
they can't (a fault of the definition).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from enum import Enum, Flag
from functools import partial
from types import CodeType, MappingProxyType
from typing import Any, Final

from pydantic import Secret, SecretBytes, SecretStr
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

from stepwell.definition.values.exactness import Check, exactness_of
from stepwell.definition.values.misfit import difference

CoreSchemaDict = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The answer for all values of a type."""

    faults: tuple[tuple[str, str], ...] = ()
    """Paths of what no value of the type brings back, each with the reason and the cure."""
    defaults: tuple[tuple[str, str], ...] = ()
    """Paths of defaults that break the type of their own field, each with the reason and the cure."""
    proven: bool = False
    """Every value that was validated again from plain data comes back equal, infinities and NaN apart."""
    floats: bool = True
    """True if it may hold a float, which JSON writes as null where it is infinite or not a number."""
    exact: Check | None = None
    """Of a proven type: whether everything in a value is of its field's own class; None: there is nothing to look at."""
    validators: Mapping[CodeType, str] = field(default_factory=lambda: MappingProxyType({}))
    """The user's functions in it, each with the path of the field that it is for."""


UNKNOWN: Final = Fidelity()
"""Of a type that isn't fully defined yet."""


_FACTORIES: Final = frozenset({list, dict, set, frozenset, tuple, str, int, float, bool, bytes})
"""Factories that make the same default each time."""


def varies(factory: Any) -> bool:
    """Return whether a field's default factory may make another default each time: a clock, a new id."""
    return factory is not None and factory is not MISSING and factory not in _FACTORIES


def fidelity_of(schema: core_schema.CoreSchema, name: str) -> Fidelity:
    """Return the Fidelity of a type by its core schema; paths begin with `name`."""
    found = _Walk()
    found.visit(schema, name, {})
    proven = not (found.doubts or found.faults or found.defaults)
    return Fidelity(
        faults=tuple(dict.fromkeys(found.faults)),
        defaults=tuple(dict.fromkeys(found.defaults)),
        proven=proven,
        floats=found.floats,
        exact=exactness_of(schema) if proven else None,
        validators=MappingProxyType(found.validators),
    )


_LEAVES: Final = frozenset(
    {"str", "int", "bool", "none", "date", "time", "datetime", "timedelta", "uuid", "decimal", "bytes", "float"}
)
_FIELDS: Final = frozenset({"model-fields", "model-field", "dataclass-args", "dataclass-field", "typed-dict-field"})
_GROUPS: Final = _FIELDS | {"nullable", "list", "set", "frozenset", "tuple", "dict", "model", "dataclass", "typed-dict"}
_FRAMES: Final = frozenset({"tagged-union", "default", "definitions", "definition-ref"})
_PLAIN: Final = _LEAVES | _GROUPS | _FRAMES
_FUNCTIONS: Final = frozenset({"function-before", "function-after", "function-wrap", "function-plain"})
_KEYS: Final = frozenset({"str", "int", "uuid", "date", "decimal"})
_NO_SCHEMAS: Final = frozenset(
    {"type", "metadata", "config", "serialization", "computed_fields", "default", "default_factory", "cls", "ref"}
) | {"expected", "members", "function", "definitions"}
_SECRETS: Final = (SecretStr, SecretBytes, Secret)


class _Walk:
    """The findings of one walk through all parts of a schema."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []
        self.defaults: list[tuple[str, str]] = []
        self.validators: dict[CodeType, str] = {}
        self.doubts = 0
        self.floats = False
        self._definitions: dict[str, CoreSchemaDict] = {}
        self._entered: set[str] = set()

    def visit(self, schema: Any, path: str, config: CoreSchemaDict) -> None:
        kind = schema["type"]
        if kind == "definitions":
            self._definitions |= {one["ref"]: one for one in schema["definitions"]}
        elif kind == "definition-ref":
            ref = schema["schema_ref"]
            if ref not in self._entered:
                self._entered.add(ref)
                self.visit(self._definitions[ref], path, config)
            return
        config = schema.get("config") or config
        self._judge(kind, schema, path, config)
        for key, value in schema.items():
            for below, part in _schemas(key, value, path) if key not in _NO_SCHEMAS else ():
                self.visit(part, below, config)

    def _judge(self, kind: str, schema: CoreSchemaDict, path: str, config: CoreSchemaDict) -> None:
        self.floats = self.floats or kind in ("float", "complex", "any")
        if "serialization" in schema or not (kind in _PLAIN or _is_plain_choice(kind, schema)):
            self.doubts += 1
        if _is_custom(kind, schema) or any(key.startswith(("ser_json", "val_json", "val_temp")) for key in config):
            self.doubts += 1
        if kind in _FUNCTIONS:
            self._remember(schema["function"]["function"], path)
        elif kind == "default":
            self._default(schema, path, config)
        self.faults += [(path, fault) for fault in _losses(kind, schema, config)]
        self.faults += [(f"{path}.{name}", fault) for name, fault in alias_faults(kind, schema, config)]

    def _remember(self, function: Any, path: str) -> None:
        plain = function.func if isinstance(function, partial) else function
        code = getattr(plain, "__code__", None) or getattr(getattr(plain, "__func__", None), "__code__", None)
        if code is not None:
            self.validators.setdefault(code, path)

    def _default(self, schema: CoreSchemaDict, path: str, config: CoreSchemaDict) -> None:
        """Yield a fault for a default that its own field wouldn't load as it is: defaults aren't validated."""
        if schema.get("on_error", "raise") != "raise":
            self.doubts += 1
        if "default_factory" in schema:
            self.doubts += varies(schema["default_factory"])
        elif not schema.get("validate_default") and not _is_obvious(schema["default"], schema["schema"]):
            self._try_default(schema["default"], schema["schema"], path, config)

    def _try_default(self, default: Any, schema: CoreSchemaDict, path: str, config: CoreSchemaDict) -> None:
        inner = _Walk()
        inner._definitions, inner._entered = self._definitions, set(self._entered)
        inner.visit(schema, path, config)
        if inner.validators or inner.faults:
            self.doubts += 1  # the user's own functions aren't called for it
            return
        complete: Any = core_schema.definitions_schema(dict(schema), list(self._definitions.values()))
        given: Any = config or None
        if reason := _lost_default(default, SchemaSerializer(complete, given), SchemaValidator(complete, given)):
            self.defaults.append((path, reason))


def _lost_default(default: Any, serializer: SchemaSerializer, validator: SchemaValidator) -> str | None:
    try:
        text = serializer.to_json(default, by_alias=True, round_trip=True, warnings="none").decode()
    except Exception:  # noqa: BLE001 - whatever it is, it has no JSON
        return f"has the default {default!r:.80}, which isn't JSON; give one that fits its type"
    try:
        loaded = validator.validate_json(text)
        json.loads(text, parse_constant=_refuse)
    except Exception:  # noqa: BLE001 - ValidationError, and what types of the user's raise
        return f"has the default {default!r:.80}, which breaks its own type as {text:.80}; give one that fits its type"
    if difference(default, loaded) is None:
        return None
    return f"has the default {default!r:.80}, which comes back as {loaded!r:.80}; give one that fits its type"


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _schemas(key: str, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the schemas inside a value of a schema, each with its path."""
    if isinstance(value, Mapping):
        if isinstance(value.get("type"), str) and not (key == "fields" and isinstance(value["type"], Mapping)):
            yield path, value
        else:
            for name, one in value.items():
                yield from _schemas(name, one, f"{path}.{name}" if key == "fields" else path)
    elif isinstance(value, list | tuple):
        for one in value:
            named = isinstance(one, Mapping) and isinstance(one.get("name"), str)
            yield from _schemas(key, one, f"{path}.{one['name']}" if named else path)


def _losses(kind: str, schema: CoreSchemaDict, config: CoreSchemaDict) -> Iterator[str]:
    if kind == "is-instance" and isinstance(schema["cls"], type) and issubclass(schema["cls"], _SECRETS):
        secret = next(one for one in _SECRETS if issubclass(schema["cls"], one))
        yield f"is a {secret.__name__}, which is stored as asterisks"
    if schema.get("serialization_exclude") is True or schema.get("serialization_exclude_if"):
        yield "has exclude=True"
    if schema.get("init_only"):
        yield "is an InitVar, which no instance keeps"
    if kind == "generator":
        yield "is an Iterable, which can be read only once; declare a list"
    if kind == "bytes" and config.get("ser_json_bytes", "utf8") != config.get("val_json_bytes", "utf8"):
        yield "is bytes, dumped by ser_json_bytes and loaded by another val_json_bytes; set both to the same"


def _is_custom(kind: str, schema: CoreSchemaDict) -> bool:
    """Return whether code or configuration of the user's decides what values of a group are."""
    if kind == "dict":
        return schema.get("keys_schema", {}).get("type") not in _KEYS or "values_schema" not in schema
    if kind in ("list", "set", "frozenset", "tuple"):
        return "items_schema" not in schema
    if kind in ("model", "dataclass") and (schema.get("custom_init") or schema.get("post_init")):
        return True
    config = schema.get("config") or {}
    extra = config.get("extra_fields_behavior") or schema.get("extra_behavior")
    return extra == "allow" or bool(config.get("strict") or schema.get("strict")) or schema.get("init") is False


def _is_plain_choice(kind: str, schema: CoreSchemaDict) -> bool:
    """Return whether the values of an enum or a Literal are all texts, or all whole numbers: no two of them look the same."""
    if kind == "enum":
        if issubclass(schema["cls"], Flag):
            return False
        values = [one.value for one in schema["members"]]
    elif kind == "literal":
        values = schema["expected"]
    else:
        return False
    return {*map(type, values)} in ({str}, {int}) and not any(isinstance(one, Enum) for one in values)


_EXACT: Final[Mapping[str, type]] = MappingProxyType({"str": str, "int": int, "bool": bool, "none": type(None)})
_EMPTY: Final[Mapping[str, type]] = MappingProxyType({"list": list, "dict": dict, "set": set, "frozenset": frozenset})
_BARE: Final = frozenset({"type", "metadata", "ref", "strict"})


def _is_obvious(default: Any, schema: CoreSchemaDict) -> bool:
    """Return whether a default fits without trying."""
    kind = schema["type"]
    if kind == "nullable":
        return default is None or _is_obvious(default, schema["schema"])
    if kind in _EXACT:
        huge = type(default) is int and not -(2**63) < default < 2**63
        return type(default) is _EXACT[kind] and schema.keys() <= _BARE and not huge
    if kind in _EMPTY:
        return type(default) is _EMPTY[kind] and not default and not schema.keys() & {"min_length"}
    return False


def alias_faults(kind: str, schema: CoreSchemaDict, config: CoreSchemaDict) -> Iterator[tuple[str, str]]:
    """Yield the fields of a model, dataclass or TypedDict that would come back as their defaults, each with the cure."""
    fields: dict[str, CoreSchemaDict] = {}
    if kind in ("model-fields", "typed-dict"):
        fields = dict(schema["fields"])
    elif kind == "dataclass-args":
        fields = {one["name"]: one for one in schema["fields"]}
    dumped = {name: one.get("serialization_alias", name) for name, one in fields.items() if not _is_out(one)}
    for name, key in dumped.items():
        # The first place to look at where a dump has something.
        read = next((path for path in _read(name, fields[name], config) if path[0] in dumped.values()), None)
        if read != [key]:
            yield name, _fault(key, name, fields[name], read)


def _is_out(field: CoreSchemaDict) -> bool:
    """Return whether it isn't dumped or loaded at all: another rule covers such fields."""
    return field.get("serialization_exclude") is True or field.get("init") is False or bool(field.get("init_only"))


def _read(name: str, field: CoreSchemaDict, config: CoreSchemaDict) -> list[list[Any]]:
    """Return where loading looks for a field: paths in the data, in order."""
    alias = field.get("validation_alias")
    by_name = config.get("validate_by_name", config.get("populate_by_name", False))
    found: list[list[Any]] = []
    if alias is not None and config.get("validate_by_alias", True):
        found += _paths(alias)
    return [*found, [name]] if by_name or not found else found


def _fault(key: str, name: str, field: CoreSchemaDict, read: list[Any] | None) -> str:
    wanted = field.get("validation_alias", name)
    if read is None:
        single = next((path[0] for path in _paths(wanted) if len(path) == 1), name)
        return f"is dumped as {key!r} and loaded from {_shown(wanted)}; give both by alias={single!r}"
    return f"is dumped as {key!r} and loaded from {_shown(read)}, where another field is; give it an alias of its own"


def _paths(alias: Any) -> list[list[Any]]:
    """Return the paths of an alias: a name, a path, or several paths."""
    paths = alias if not isinstance(alias, str) and alias and isinstance(alias[0], list | tuple) else [alias]
    return [[path] if isinstance(path, str) else list(path) for path in paths]


def _shown(alias: Any) -> str:
    return " or ".join(repr(".".join(map(str, path))) for path in _paths(alias))
