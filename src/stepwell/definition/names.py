"""Names derived from class names."""

from __future__ import annotations

import re

_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """`ProcessOrder` becomes `process_order`, `HTTPCall` becomes `http_call`."""
    return _WORD_STARTS.sub("_", name).lower()


def workflow_name(class_name: str) -> str:
    """The snake_case name without a trailing `_workflow`."""
    return _without(snake_case(class_name), "_workflow")


def document_name(class_name: str) -> str:
    """The snake_case name without a trailing `_document`."""
    return _without(snake_case(class_name), "_document")


def _without(name: str, suffix: str) -> str:
    return name.removesuffix(suffix) or name
