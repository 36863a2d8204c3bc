"""Type parameters and annotations, resolved at runtime."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import NoDefault, get_original_bases


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where the names of a class's annotations are looked up."""

    globals: Mapping[str, Any]
    locals: Mapping[str, Any]

    def evaluate(self, annotation: Any, globalns: Mapping[str, Any] | None = None) -> Any:
        """The annotation with all its names resolved. Raises NameError (or what evaluating it raises)."""
        holder = SimpleNamespace(__annotations__={"it": annotation})
        return get_type_hints(holder, dict(globalns or self.globals), dict(self.locals), include_extras=True)["it"]


def namespace_of(cls: type, localns: Mapping[str, Any] | None = None) -> Namespace:
    """The module of the class, around it `localns` (of the function that makes it), itself and its nested classes."""
    module = sys.modules.get(cls.__module__)
    nested = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    return Namespace(vars(module) if module else {}, {**(localns or {}), cls.__name__: cls, **nested})


def type_parameters(cls: type, root: type) -> tuple[Any, ...]:
    """What the type variables of `root` stand for in `cls`, also through generic classes in between.

    A variable that nobody binds counts as its default, or as its bound, or stays what it is.
    """
    return tuple(_closed(parameter) for parameter in _parameters(cls, root, {}))


def _parameters(cls: type, root: type, bound: Mapping[Any, Any]) -> tuple[Any, ...]:
    for base in get_original_bases(cls):
        origin = get_origin(base) or base
        given = tuple(_substituted(argument, bound) for argument in get_args(base))
        if origin is root:
            return given or _variables(root)
        if isinstance(origin, type) and issubclass(origin, root):
            return _parameters(origin, root, dict(zip(_variables(origin), given, strict=False)))
    raise TypeError(f"{cls!r} isn't a subclass of {root!r}")


def _variables(cls: type) -> tuple[Any, ...]:
    variables: tuple[Any, ...] = getattr(cls, "__parameters__", ())
    return variables


def _substituted(argument: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(argument, TypeVar):
        return bound.get(argument, argument)
    inner = tuple(bound.get(variable, variable) for variable in _variables(argument))
    return argument[inner] if inner and get_origin(argument) is not None else argument


def _closed(parameter: Any) -> Any:
    if not isinstance(parameter, TypeVar):
        return parameter
    default = getattr(parameter, "__default__", NoDefault)
    if default is not NoDefault:
        return default
    return parameter.__bound__ or parameter
