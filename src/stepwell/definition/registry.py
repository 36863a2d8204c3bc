"""All apps of a process with their definitions, looked up by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from stepwell.definition.compile.limits import shared_name_faults
from stepwell.definition.model import Definition, Rule, Transition
from stepwell.definition.text import is_own
from stepwell.definition.values.misfit import shown
from stepwell.errors import DefinitionError, UnknownApp, UnknownWorkflow


class Registry:
    """The workflows of each app, internal ones included, and those that every app has. Fixed once its Stepwell is open.

    Raises DefinitionError where workflows share the name of a limit and don't agree on it.
    """

    def __init__(
        self, apps: Mapping[str, Mapping[str, Definition]], everywhere: Mapping[str, Definition] = MappingProxyType({})
    ) -> None:
        if wrong := [*shared_name_faults(one for app in apps.values() for one in app.values())]:
            raise DefinitionError("Stepwell", wrong)
        self._apps = {name: {**definitions, **everywhere} for name, definitions in apps.items()}

    def add(self, app_name: str, definitions: Mapping[str, Definition]) -> None:
        """Add workflows to an app; those that it lists already stay unchanged."""
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
        """Return the definition, or None where the code lacks it."""
        return self._apps.get(app_name, {}).get(workflow_name)

    def get(self, app_name: str, workflow: Any) -> Definition:
        """Return the definition of a workflow class or name in an app. Raises UnknownApp or UnknownWorkflow."""
        given: Any = app_name
        definitions = self._apps.get(app_name) if isinstance(given, str) else None
        if definitions is None:
            raise _no_app(given, self._apps)
        known = getattr(workflow, "stepwell_definition", None)
        name = workflow if isinstance(workflow, str) else known.name if isinstance(known, Definition) else ""
        definition = definitions.get(name)
        if definition is None or (not isinstance(workflow, str) and definition.workflow is not workflow):
            listed = shown(workflow) if isinstance(workflow, str) else getattr(workflow, "__name__", repr(workflow))
            raise UnknownWorkflow(
                f"The app {app_name!r} doesn't list the workflow {listed}. It lists: {_names(definitions)}."
            )
        return definition

    def check_app(self, app_name: str) -> None:
        """Raise UnknownApp unless it is registered."""
        if app_name not in self._apps:
            raise _no_app(app_name, self._apps)

    def listing(self, workflows: Iterable[Any]) -> list[str]:
        """Return the names of the apps that list all these workflows, given as classes or names."""
        return [
            app
            for app, definitions in sorted(self._apps.items())
            if all(
                one in definitions
                if isinstance(one, str)
                else any(definition.workflow is one for definition in definitions.values())
                for one in workflows
            )
        ]

    @property
    def limits(self) -> list[tuple[str, str, Rule]]:
        """Every rule of a limit, with the app and the workflow that have it."""
        return [
            (app, definition.name, rule)
            for app, definitions in self._apps.items()
            for definition in definitions.values()
            for rule in definition.limits
        ]

    def starting(self, event: str) -> list[tuple[str, Definition]]:
        """Return (app, definition) of each workflow that the event starts."""
        return [
            (app, definition)
            for app, definitions in self._apps.items()
            for definition in definitions.values()
            if any(one.name == event for one in definition.on)
        ]

    def resuming(self, event: str) -> list[tuple[str, Definition, Transition]]:
        """Return (app, definition, transition) of each transition that the event resumes, one per name."""
        found: dict[tuple[str, str, str], tuple[str, Definition, Transition]] = {}
        for app, definitions in self._apps.items():
            for definition in definitions.values():
                for transition in definition.listening:
                    if transition.event is not None and transition.event.name == event:
                        found.setdefault((app, definition.name, transition.name), (app, definition, transition))
        return list(found.values())


def _no_app(given: Any, apps: Mapping[str, object]) -> UnknownApp:
    name = getattr(given, "name", None)
    if not isinstance(given, str) and isinstance(name, str):  # the App itself
        return UnknownApp(f"app_name={given!r}: give the name of the app, app_name={name!r}.")
    return UnknownApp(f"No app {shown(given)}. Registered: {_names(apps)}.")


def _names(found: Mapping[str, object]) -> str:
    return ", ".join(sorted(name for name in found if not is_own(name))) or "none"
