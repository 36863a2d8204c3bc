"""All apps of a process with their definitions, looked up by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepwell.definition.model import Definition, Transition
from stepwell.errors import UnknownApp, UnknownWorkflow


class Registry:
    """Which workflows each app lists, internal ones included. Fixed once its Stepwell is open."""

    def __init__(self, apps: Mapping[str, Mapping[str, Definition]]) -> None:
        self._apps = {name: dict(definitions) for name, definitions in apps.items()}

    def add(self, app_name: str, definitions: Mapping[str, Definition]) -> None:
        """The app lists these too; those that it lists already stay as they are."""
        self._apps[app_name] = {**definitions, **self._apps[app_name]}

    @property
    def apps(self) -> list[str]:
        """The names of all apps."""
        return sorted(self._apps)

    @property
    def lanes(self) -> list[tuple[str, str]]:
        """Every (app, workflow), which is what a worker of this process may take."""
        return [(app, name) for app, definitions in self._apps.items() for name in definitions]

    def find(self, app_name: str, workflow_name: str) -> Definition | None:
        """The definition, or None where the code lacks it."""
        return self._apps.get(app_name, {}).get(workflow_name)

    def get(self, app_name: str, workflow: Any) -> Definition:
        """The definition of a workflow class or name in an app. Raises UnknownApp or UnknownWorkflow with what there is."""
        definitions = self._apps.get(app_name)
        if definitions is None:
            raise UnknownApp(f"No app {app_name!r}. Registered: {_names(self._apps)}.")
        name = workflow if isinstance(workflow, str) else _name_of(workflow)
        definition = definitions.get(name)
        if definition is None or (not isinstance(workflow, str) and definition.workflow is not workflow):
            raise UnknownWorkflow(
                f"The app {app_name!r} doesn't list the workflow {_shown(workflow)}. It lists: {_names(definitions)}."
            )
        return definition

    def starting(self, event: str) -> list[tuple[str, Definition]]:
        """(app, definition) of each workflow that the event starts."""
        return [
            (app, definition)
            for app, definitions in self._apps.items()
            for definition in definitions.values()
            if any(one.name == event for one in definition.on)
        ]

    def resuming(self, event: str) -> list[tuple[str, Definition, Transition]]:
        """(app, definition, transition) of each transition that the event resumes, one per name."""
        found: dict[tuple[str, str, str], tuple[str, Definition, Transition]] = {}
        for app, definitions in self._apps.items():
            for definition in definitions.values():
                for transition in definition.listening:
                    if transition.event is not None and transition.event.name == event:
                        found.setdefault((app, definition.name, transition.name), (app, definition, transition))
        return list(found.values())


def _name_of(workflow: Any) -> str:
    definition = getattr(workflow, "stepwell_definition", None)
    return definition.name if isinstance(definition, Definition) else repr(workflow)


def _shown(workflow: Any) -> str:
    return repr(workflow) if isinstance(workflow, str) else getattr(workflow, "__name__", repr(workflow))


def _names(found: Mapping[str, object]) -> str:
    return ", ".join(sorted(name for name in found if ":" not in name)) or "none"
