"""`@migrate` and the run that a migration changes. The decorator only marks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from stepwell.errors import DefinitionError
from stepwell.nearest import checks_keywords

M = TypeVar("M", bound="Callable[[Migration], object]")

_MARK: Final = "__stepwell_migrates__"
_DECORATOR: Final = "__stepwell_migrate__"


class Migration:
    """A run of an earlier version, as JSON data that a migration changes in place."""

    __slots__ = ("_version", "args", "place", "result", "state")

    def __init__(self, workflow_version: int, args: Any, state: Any, result: Any, place: str) -> None:
        self._version = workflow_version
        self.args = args
        self.state = state
        self.result = result
        self.place = place

    @property
    def workflow_version(self) -> int:
        """The version from which it is brought to the next one."""
        return self._version

    def __repr__(self) -> str:
        return (
            f"Migration(workflow_version={self._version}, args={self.args!r}, state={self.state!r}, "
            f"result={self.result!r}, place={self.place!r})"
        )


@checks_keywords("@migrate")
def migrate(*, from_version: int) -> Callable[[M], M]:
    """Mark a function of a workflow's body that brings a run of `from_version` to the next version.

    It takes a `Migration` and changes it in place. It must be pure: it is called each time such a run is loaded, until
    the run's next checkpoint stores what it made.
    """

    def marking(function: M) -> M:
        try:
            known = getattr(function, _MARK, ())
            setattr(function, _MARK, known if from_version in known else (from_version, *known))
        except AttributeError:
            raise DefinitionError(
                "@migrate",
                [f"it decorates {function!r}, which isn't a plain function; write def above the class's methods."],
            ) from None
        return function

    setattr(marking, _DECORATOR, True)
    return marking


def migrates_from(value: object) -> tuple[Any, ...]:
    """Return the versions that a function is marked with, unchecked; none for anything else."""
    found: tuple[Any, ...] = getattr(value, "__dict__", {}).get(_MARK, ())
    return found


def is_bare_migrate(value: object) -> bool:
    """Return whether it is a `migrate(...)` that decorates nothing."""
    return bool(getattr(value, "__dict__", {}).get(_DECORATOR))
