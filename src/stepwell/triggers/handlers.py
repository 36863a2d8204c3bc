"""Handlers of ticks and deliveries as internal runs: durable like any other, hidden from lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stepwell.definition.model import Definition

if TYPE_CHECKING:
    from stepwell.runner.runner import WorkflowRunner


def handler_definitions(app: Any, runner: Callable[[], WorkflowRunner]) -> dict[str, Definition]:
    return {}
