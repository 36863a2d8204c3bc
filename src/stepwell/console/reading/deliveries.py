"""Deliveries to webhooks: a view of them, and actions on them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stepwell.engine.run import Status
from stepwell.errors import DeliveryNotFound, InvalidArgs
from stepwell.execution.clock import to_datetime
from stepwell.runner.core import Core
from stepwell.runner.models import Page
from stepwell.runner.query import Reader
from stepwell.store import deliveries
from stepwell.store.deliveries import DeliveryPosition, Handled
from stepwell.store.tx import Tx
from stepwell.triggers.handler_runner import TOLD
from stepwell.triggers.handlers import Triggers

_NEXT: Final = 10
_TICKS: Final = 50
_Text = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")]
_MARK: Final = TypeAdapter[DeliveryPosition](tuple[Annotated[int, Field(ge=-(2**63), lt=2**63)], _Text, _Text, _Text])

_Started = Mapping[str, Sequence[str]]
"""The runs that the run of a handler started, by its id."""


class _TriggerView(BaseModel):
    model_config = ConfigDict(frozen=True)


class DeliveryView(_TriggerView):
    """A delivery to a webhook, and its outcome."""

    app_name: str
    route: str
    path: str | None
    """The path at which it is served; null: not by this process."""
    delivery_id: str
    received_at: datetime
    status: Status | None
    """The status of its handler; null: the handler ended long ago."""
    attempt: int | None
    error: str | None
    started: tuple[str, ...]
    """The runs that its handler started, in any attempt, or found by a key: the first 100, as long as they are kept."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The deliveries to the webhooks of some apps (None: of all)."""

    reader: Reader
    declared: Mapping[str, Triggers]
    apps: frozenset[str] | None = None

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError unless the Stepwell is open."""
        return self.reader.core

    async def list(
        self,
        *,
        app_name: str | None = None,
        route: str | None = None,
        status: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[DeliveryView]:
        """Return a page of deliveries, the newest first. Raises InvalidArgs for an invalid cursor."""
        before = None if cursor is None else _mark(cursor)
        apps = self.apps if app_name is None else {app_name} & ({app_name} if self.apps is None else self.apps)

        def query(tx: Tx) -> tuple[Sequence[Handled], DeliveryPosition | None, _Started]:
            listed = None if apps is None else sorted(apps)
            found, mark = deliveries.newest(tx, limit, before, apps=listed, route=route, status=status)
            return found, mark, self._started(tx, [one.run_id for one in found])

        found, mark, started = await self.reader.read(query)
        cursor = None if mark is None else urlsafe_b64encode(json.dumps(mark).encode()).decode()
        items = []
        for one in found:
            with self.core.shared.faults.apart(f"delivery {one.delivery_id!r} of webhook {one.route!r}"):
                items.append(self._view(one, started))
        return Page(items=tuple(items), next_cursor=cursor)

    async def redrive(self, app_name: str, route: str, delivery_id: str) -> DeliveryView:
        """Run the handler of a failed delivery again. Raises DeliveryNotFound, RunFinished."""
        known = await self.reader.read(lambda tx: deliveries.find(tx, app_name, route, delivery_id))
        if known is None or (self.apps is not None and app_name not in self.apps):
            raise DeliveryNotFound(f"No delivery {delivery_id!r} of webhook {route!r} in app {app_name!r}.")
        run = await self.core.write(self.core.operations.retry(known.run_id, None), None)
        started = await self.reader.read(lambda tx: self._started(tx, [run.id]))
        return self._view(Handled(*known, run.status, run.attempt, run.error), started)

    def _started(self, tx: Tx, handlers: Sequence[str]) -> _Started:
        return deliveries.started(tx, handlers, None if self.apps is None else sorted(self.apps), TOLD)

    def _view(self, one: Handled, started: _Started) -> DeliveryView:
        app = self.declared.get(one.app_name)
        paths = [route.path for route in app.webhooks if route.name == one.route] if app is not None else []
        return DeliveryView(
            app_name=one.app_name,
            route=one.route,
            path=paths[0] if paths else None,
            delivery_id=one.delivery_id,
            received_at=to_datetime(one.received_at),
            status=one.status,
            attempt=one.attempt,
            error=one.error,
            started=tuple(started.get(one.run_id, ())),
        )


def _mark(cursor: str) -> DeliveryPosition:
    try:
        return _MARK.validate_json(urlsafe_b64decode(cursor))
    except ValueError as error:
        raise InvalidArgs(
            f"cursor={cursor[:80]!r} isn't a valid cursor: give the next_cursor of the previous page, or leave it out."
        ) from error
