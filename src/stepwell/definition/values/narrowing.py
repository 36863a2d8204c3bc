"""Answers whose type depends on the run: those to ready-made questions, whose args list the options.

The class says it: `stepwell_answer(args)` returns the type of the payload. What is stored also fits the method's annotation.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from stepwell.definition.model import Definition, Payload
from stepwell.definition.values.codec import Codec, order_of


def narrows(definition: Definition | None) -> bool:
    """Return whether the type of an answer depends on the args of the run."""
    return definition is not None and hasattr(definition.workflow, "stepwell_answer")


def narrowed(definition: Definition, payload: Payload, args: str | None) -> Codec[Any]:
    """Return the codec of a payload for a run with these args (JSON)."""
    if args is None or definition.args is None or not narrows(definition):
        return payload.codec
    try:
        type_ = definition.workflow.stepwell_answer(definition.args.load(args))
        return _codec(type_, order_of(type_))
    except ValidationError:  # the row doesn't fit this code, which leaves the run alone
        return payload.codec


@lru_cache(maxsize=256)
def _codec(type_: Any, order: Hashable) -> Codec[Any]:
    return Codec(type_)
