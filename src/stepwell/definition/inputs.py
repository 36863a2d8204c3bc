"""What comes from outside becomes validated JSON text, or a typed error that names the value: nothing is stored before."""

from __future__ import annotations

from typing import Any, TypeGuard

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from stepwell.definition.codec import Codec, codec_for
from stepwell.definition.model import Definition, Transition
from stepwell.errors import InvalidArgs, InvalidPayload, PayloadTooLarge

_ANY = codec_for(Any)


def args_json(definition: Definition, args: object, limit: int) -> str:
    """The args of a start as JSON. `None` means no args, or all defaults (semantics 21). Raises InvalidArgs, PayloadTooLarge."""
    name = definition.workflow.__name__
    codec = definition.args
    if codec is None:
        if args is not None and args != {}:
            raise InvalidArgs(f"{name} takes no args, and got {_shown(args)}. Leave them out.")
        return "null"
    try:
        text = codec.checked({} if args is None else args)
    except (ValidationError, PydanticSerializationError) as error:
        raise InvalidArgs(
            f"The args of {name} don't fit {_type_name(codec)}: {summary(error)}", details(error)
        ) from error
    return bounded(text, limit, f"The args of {name}")


def payload_json(definition: Definition, transition: Transition, data: object, limit: int) -> str:
    """The data of a signal or event as JSON (semantics 14). Raises InvalidPayload, PayloadTooLarge."""
    where = f"{definition.workflow.__name__}.{transition.method}"
    try:
        text = _payload(transition, data)
    except (ValidationError, PydanticSerializationError) as error:
        raise InvalidPayload(f"The payload of {where} doesn't fit: {summary(error)}", details(error)) from error
    return bounded(text, limit, f"The payload of {where}")


def _payload(transition: Transition, data: object) -> str:
    if transition.payload is None:
        return _ANY.dump(data)
    if data is None and not transition.payload.optional:
        data = {}
    return transition.payload.codec.checked(data)


def bounded(text: str, limit: int, what: str) -> str:
    """`text`, if it has at most `limit` bytes. Raises PayloadTooLarge."""
    # A character has up to four bytes: most texts need no encoding to know that they fit.
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise PayloadTooLarge(
            f"{what} would take {size:,} bytes as JSON; the limit is {limit:,}. Store a reference instead."
        )
    return text


def is_text(value: object, limit: int) -> TypeGuard[str]:
    """Whether `value` is a text of 1 to `limit` characters that a database can hold: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or not 0 < len(value) <= limit or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def details(error: Exception) -> list[dict[str, Any]]:
    """Pydantic's list of errors, without what isn't JSON."""
    if isinstance(error, ValidationError):
        return [dict(item) for item in error.errors(include_url=False, include_context=False)]
    return [{"type": "not_json", "loc": (), "msg": str(error)}]


def summary(error: Exception) -> str:
    """The first few errors in one line: field, reason, value."""
    if not isinstance(error, ValidationError):
        return str(error)
    items = error.errors(include_url=False, include_context=False)
    shown = "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'the value'}: {item['msg']} (got {_shown(item.get('input'))})"
        for item in items[:5]
    )
    return shown + (f"; and {len(items) - 5} more" if len(items) > 5 else "")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _type_name(codec: Codec[Any]) -> str:
    return getattr(codec.type, "__name__", str(codec.type))
