"""Data from outside: it becomes JSON text, or a typed error that names the value, before anything is stored.

Whether an idempotency key is used for the same data is decided by what the two JSON texts mean. Equal is what Python calls
equal after validation: sets have no order, `1` is `1.0`, a moment is the same in every time zone. A field that the later
caller left out, and whose default a function makes (`default_factory=uuid4`), isn't compared: the caller didn't give it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from stepwell.definition.model import Definition, Transition
from stepwell.definition.text import message_of, type_name
from stepwell.definition.values.codec import Codec, codec_for
from stepwell.definition.values.fidelity import varies
from stepwell.definition.values.misfit import ValueMisfit, shown
from stepwell.definition.values.narrowing import narrowed
from stepwell.errors import InvalidArgs, InvalidPayload, PayloadTooLarge

_ANY = codec_for(Any)


def args_json(definition: Definition, args: object, limit: int) -> str:
    """Return a start's args as JSON. `None` means no args, or all defaults (rule 21). Raises InvalidArgs, PayloadTooLarge."""
    name = definition.workflow.__name__
    codec = definition.args
    if codec is None:
        if args is not None and args != {}:
            raise InvalidArgs(f"{name} takes no args, and got {shown(args)}. Leave them out.")
        return "null"
    try:
        text = codec.checked({} if args is None else args)
    except (ValidationError, ValueMisfit) as error:
        raise InvalidArgs(
            f"The args of {name} don't fit {type_name(codec.type)}: {summary(error)}", details(error)
        ) from error
    return bounded(text, limit, f"The args of {name}")


def payload_json(
    definition: Definition, transition: Transition, data: object, limit: int, args: str | None = None
) -> str:
    """Return the data of a signal or event as JSON (rule 14); ready-made questions depend on the run's args.

    Raises InvalidPayload, PayloadTooLarge.
    """
    where = f"{definition.workflow.__name__}.{transition.method}"
    try:
        if transition.payload is None:
            text = plain_json(data)
        else:
            bare = data is None and not transition.payload.optional
            text = narrowed(definition, transition.payload, args).checked({} if bare else data)
    except (ValidationError, ValueMisfit) as error:
        raise InvalidPayload(f"The payload of {where} doesn't fit: {summary(error)}", details(error)) from error
    return bounded(text, limit, f"The payload of {where}")


def plain_json(data: object) -> str:
    """Return plain data as JSON that comes back equal; a model stands for its own JSON. Raises ValidationError, ValueMisfit."""
    if isinstance(data, BaseModel) or (is_dataclass(data) and not isinstance(data, type)):
        return model_json(data)
    return _ANY.checked(data)


def model_json(model: object) -> str:
    """Return an instance of a model or dataclass as JSON that its class loads back equal. Raises ValidationError, ValueMisfit."""
    codec = codec_for(type(model))
    for path, why in codec.fidelity.faults:
        raise ValueMisfit(tuple(path.split(".")[1:]), f"it {why}", None, "lossy")
    return codec.checked(model)


def bounded(text: str, limit: int, what: str) -> str:
    """Return `text` if it has at most `limit` bytes. Raises PayloadTooLarge."""
    # A character has up to four bytes: most texts need no encoding to know that they fit.
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise PayloadTooLarge(
            f"{what} would take {size:,} bytes as JSON; the limit is {limit:,}. Store a reference instead."
        )
    return text


def details(error: BaseException) -> list[dict[str, Any]]:
    """Return Pydantic's list of errors, without values that aren't JSON."""
    if isinstance(error, ValueMisfit):
        return error.details()
    if isinstance(error, ValidationError):
        return [dict(item) for item in error.errors(include_url=False, include_context=False)]
    return [{"type": "not_json", "loc": (), "msg": message_of(error)}]


def summary(error: BaseException) -> str:
    """Return the first few errors in one line: field, reason, value."""
    if not isinstance(error, ValidationError):
        return message_of(error)
    items = error.errors(include_url=False, include_context=False)
    told = "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'the value'}: {item['msg']} (got {shown(item.get('input'))})"
        for item in items[:5]
    )
    return told + (f"; and {len(items) - 5} more" if len(items) > 5 else "")


def same_meaning(codec: Codec[Any], earlier: str, given: object) -> bool:
    """Return whether the JSON text `earlier` means what `given` (as a caller gives it) means to the type of `codec`.

    Runs validators of the user's. False where one of the two can't be validated.
    """
    try:
        return _same(codec.load(earlier), codec.validate(given), given)
    except Exception:  # noqa: BLE001 - validators and comparisons are user code: where they fail, nothing is known to be equal
        return False


def _same(old: Any, new: Any, given: Any) -> bool:
    """Return whether both are the same; `given` is the data from which `new` was validated, without its defaults."""
    if _is_number(old) and _is_number(new):
        return bool(old == new) or (old != old and new != new)
    if type(old) is not type(new):
        return False
    compare = next((rule for kind, rule in _RULES if isinstance(new, kind)), None)
    if compare is None and is_dataclass(new):
        compare = _same_dataclass
    return bool(old == new) if compare is None else compare(old, new, given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _same_model(old: BaseModel, new: BaseModel, given: Any) -> bool:
    compared = [
        name
        for name, field in type(new).model_fields.items()
        if name in new.model_fields_set or not varies(field.default_factory)
    ]
    return all(_same(getattr(old, name), getattr(new, name), _part(given, name)) for name in compared) and _same(
        old.model_extra, new.model_extra, None
    )


def _same_dataclass(old: Any, new: Any, given: Any) -> bool:
    compared = [
        one.name
        for one in fields(new)
        if not isinstance(given, Mapping) or one.name in given or not varies(one.default_factory)
    ]
    return all(_same(getattr(old, name), getattr(new, name), _part(given, name)) for name in compared)


def _same_mapping(old: Mapping[Any, Any], new: Mapping[Any, Any], given: Any) -> bool:
    return old.keys() == new.keys() and all(_same(old[key], new[key], _part(given, key)) for key in new)


def _same_sequence(old: Sequence[Any], new: Sequence[Any], given: Any) -> bool:
    parts = given if isinstance(given, Sequence) and len(given) == len(new) else [None] * len(new)
    return len(old) == len(new) and all(map(_same, old, new, parts))


def _plainly(old: Any, new: Any, given: Any) -> bool:
    return bool(old == new)


_RULES: Final[Sequence[tuple[type[Any], Callable[[Any, Any, Any], bool]]]] = (
    (str, _plainly),
    (bytes, _plainly),
    (BaseModel, _same_model),
    (Mapping, _same_mapping),
    (Set, _plainly),
    (Sequence, _same_sequence),
)


def _part(given: Any, name: Any) -> Any:
    if isinstance(given, Mapping):
        return given.get(name)
    return getattr(given, name, None) if isinstance(name, str) and isinstance(given, BaseModel) else None
