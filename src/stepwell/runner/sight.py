"""What somebody may see of all runs: everything beyond single runs is looked at through this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stepwell.definition.model import Definition
from stepwell.engine.run import Run as RunRow
from stepwell.runner.core import Core
from stepwell.runner.models import Run, run_of
from stepwell.runner.query import Reader


@dataclass(frozen=True, slots=True)
class Sight:
    """What a reader may see; `apps`: of these apps only."""

    reader: Reader
    apps: frozenset[str] | None = None

    @property
    def _core(self) -> Core:
        return self.reader.core

    @property
    def _user(self) -> str | None:
        return self.reader.only

    def _sees(self, app_name: str) -> bool:
        return self.apps is None or app_name in self.apps

    def definitions(self) -> Iterable[tuple[str, Definition]]:
        """(app, definition) of each workflow that there is; none of the handlers of ticks and deliveries."""
        registry = self._core.shared.registry
        for app, name in registry.lanes:
            found = registry.find(app, name)
            if found is not None and ":" not in name and self._sees(app):
                yield app, found

    def _model(self, row: RunRow) -> Run:
        return run_of(row, self._core.shared.registry.find(row.app_name, row.workflow_name))
