"""The limits of a workflow class: the keywords judged, paths looked for in the type of its args, and the rules that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import timedelta
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from stepwell.definition.authoring.limits import (
    RUN_PATHS,
    Concurrency,
    Debounce,
    KeyOf,
    RateLimit,
    is_path,
    key_faults,
    positive_faults,
)
from stepwell.definition.authoring.marks import Keywords
from stepwell.definition.model import Debounced, Definition, Rule
from stepwell.definition.text import type_name
from stepwell.definition.values.codec import Codec
from stepwell.nearest import nearest

_MICROSECOND: Final = timedelta(microseconds=1)


def rules_of(given: Keywords) -> tuple[Rule, ...]:
    """Return the rules that these keywords make, which have no faults."""
    slots = [
        Rule(one.holds, index, one.limit, None, one.name, one.key, one.on_conflict)
        for index, one in enumerate(given.concurrency)
    ]
    rates = [
        Rule("rate", index, one.limit, one.per // _MICROSECOND, one.name, one.key)
        for index, one in enumerate(given.rate_limit)
    ]
    turns = [] if given.fair_by is None else [Rule("fair", 0, 1, key=given.fair_by)]
    return (*slots, *rates, *turns)


def debounced_by(given: Keywords) -> Debounced | None:
    """Return the rule of `debounce=`, which has no faults."""
    one = given.debounce
    if one is None:
        return None
    longest = None if one.max_wait is None else one.max_wait // _MICROSECOND
    return Debounced(one.delay // _MICROSECOND, longest, one.key)


def limit_faults(owner: str, given: Keywords) -> Iterator[str]:
    """Yield everything that is wrong with the limits of the class named `owner`, whatever its args are."""
    for keyword, kind, example in (
        ("concurrency", Concurrency, "Concurrency(2)"),
        ("rate_limit", RateLimit, "RateLimit(100, per=timedelta(minutes=1))"),
    ):
        for one in getattr(given, keyword):
            if not isinstance(one, kind):
                yield f"{owner}: {keyword}={one!r} isn't a {kind.__name__}; write {keyword}={example}, or a list of them."
    if given.debounce is not None and not isinstance(given.debounce, Debounce):
        yield f"{owner}: debounce={given.debounce!r} isn't a Debounce; write debounce=Debounce(timedelta(seconds=10))."
    for fault in key_faults("fair_by", given.fair_by):
        yield f"{owner}: {fault}"
    if given.expires is not None:
        yield from (f"{owner}: {fault}" for fault in positive_faults("expires", given.expires))


def _keys(given: Keywords) -> Iterator[tuple[str, KeyOf]]:
    for one in (*given.concurrency, *given.rate_limit, given.debounce):
        if isinstance(one, Concurrency | RateLimit | Debounce) and one.key is not None:
            yield f"{type(one).__name__}(key={one.key!r})", one.key
    if given.fair_by is not None:
        yield f"fair_by={given.fair_by!r}", given.fair_by


def path_faults(owner: str, given: Keywords, args: Codec[Any] | None) -> Iterator[str]:
    """Yield the keys that are paths which no args of this type have; `args` is None where the workflow takes none."""
    for rule, key in _keys(given):
        if not isinstance(key, str) or not is_path(key) or key in RUN_PATHS:
            continue
        if args is None:
            yield f"{owner}: {rule} leads into the args, but the workflow takes no args."
        elif (fault := _fault(args.type, key.split(".")[1:])) is not None:
            yield f"{owner}: {rule}: {fault}"


def _fault(type_: Any, names: Sequence[str]) -> str | None:
    """Return why no value of this type has a key there; None also where the type doesn't say what its values have."""
    if not names:
        return None
    found: list[str] = []
    members = [*_members(type_)]
    for member in members:
        known = _fields_of(member)
        if known is None:
            return None
        if names[0] in known:
            return _fault(known[names[0]], names[1:])
        found += known
    near = nearest(names[0], found)
    cure = f"did you mean {near!r}?" if near else "name a field as it is in JSON."
    known_as = type_name(members[0] if len(members) == 1 else type_)
    return f"{known_as} has no field {names[0]!r}; {cure}"


def _members(type_: Any) -> Iterator[Any]:
    """Yield the types of a union, apart from None; any other type itself."""
    type_ = _without_frames(type_)
    if get_origin(type_) in (Union, UnionType):
        for one in get_args(type_):
            yield from _members(one)
    elif type_ is not NoneType and type_ is not None:
        yield type_


def _without_frames(type_: Any) -> Any:
    while get_origin(type_) is Annotated or hasattr(type_, "__value__"):
        type_ = type_.__value__ if hasattr(type_, "__value__") else get_args(type_)[0]
    if isinstance(type_, type) and issubclass(type_, RootModel):
        return _without_frames(type_.model_fields["root"].annotation)
    return type_


def _fields_of(type_: Any) -> Mapping[str, Any] | None:
    """Return the types of all fields that its JSON may have, by name; None where it doesn't say, or may have others."""
    if isinstance(type_, type) and issubclass(type_, BaseModel):
        type_.model_rebuild(raise_errors=False)  # it does nothing for one that is complete
        return None if type_.model_config.get("extra") == "allow" else _annotations(type_.model_fields)
    if isinstance(type_, type) and is_dataclass(type_) and hasattr(type_, "__pydantic_fields__"):
        return _annotations(type_.__pydantic_fields__)
    if is_typeddict(type_) or (isinstance(type_, type) and is_dataclass(type_)):
        try:
            return get_type_hints(type_)
        except (NameError, TypeError):
            return None
    return {} if type_ in (str, int, bool, float) else None


def _annotations(fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    return {one.serialization_alias or name: one.annotation for name, one in fields.items()}


def shared_name_faults(definitions: Iterable[Definition]) -> Iterator[str]:
    """Yield the names under which two rules of these workflows have another limit. Those of slots and rates are apart."""
    known: dict[tuple[str, str], tuple[str, Rule]] = {}
    for definition in definitions:
        owner = definition.workflow.__name__
        for rule in definition.limits:
            if rule.name is None:
                continue
            family = "RateLimit" if rule.kind == "rate" else "Concurrency"
            first, other = known.setdefault((family, rule.name), (owner, rule))
            if (rule.limit, rule.per) != (other.limit, other.per):
                yield (
                    f"{family}(name={rule.name!r}) is shared, and has two limits: {_limit(other)} in {first} and "
                    f"{_limit(rule)} in {owner}. Give both the same limit, or two names."
                )


def _limit(rule: Rule) -> str:
    return f"{rule.limit}" if rule.per is None else f"{rule.limit} in {rule.per * _MICROSECOND}"
