"""Steps that are replaced by name: what a test gives is returned, called or raised instead of calling the service."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from stepwell.definition.authoring.steps import MAX_STEP_NAME
from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.errors import InvalidArgs
from stepwell.execution.shared import Body
from stepwell.execution.steps import return_hint
from stepwell.nearest import suggestion


class StandIns:
    """The replacements of steps, by their names. The last one given for a name counts."""

    def __init__(self) -> None:
        self._given: dict[str, object] = {}
        self._called: dict[str, None] = {}

    def give(self, steps: object) -> None:
        """Replace these steps from now on. Raises InvalidArgs, and has replaced none then."""
        if not isinstance(steps, Mapping):
            raise InvalidArgs(f"steps({shown(steps)}): give a mapping of names of steps, as in {{'charge': 500}}.")
        for name, given in steps.items():
            _check(name, given)
        self._given.update(steps)

    def body_of(self, name: str, body: Body) -> Body:
        """Return what the step of this name calls."""
        self._called[name] = None
        if name not in self._given:
            return body
        return body._replace(fn=_instead(self._given[name], return_hint(body.fn)))

    def check(self) -> None:
        """Raise AssertionError for names that no step has had."""
        unused = [name for name in self._given if name not in self._called]
        if not unused:
            return
        what = f"harness.steps replaced {', '.join(map(repr, unused))}, but no step"
        if not self._called:
            raise AssertionError(f"{what} was called.")
        raise AssertionError(f"{what} of that name was called: {suggestion(unused[0], self._called, '{!r}')}")


def _check(name: object, given: object) -> None:
    if not is_text(name, MAX_STEP_NAME):
        raise InvalidArgs(
            f"steps({{{shown(name)}: ...}}): the name of a step is a text of 1 to {MAX_STEP_NAME} characters."
        )
    if inspect.iscoroutine(given):
        given.close()
        raise InvalidArgs(f"steps({{{name!r}: ...}}): that is a coroutine, which runs once; give the function itself.")
    if _is_error(given, BaseException) and not _is_error(given, Exception):
        raise InvalidArgs(f"steps({{{name!r}: {given!r}}}): a step raises an Exception, and this isn't one.")


def _is_error(given: object, kind: type[BaseException]) -> bool:
    return isinstance(given, kind) or (isinstance(given, type) and issubclass(given, kind))


def _instead(given: object, hint: Any) -> Callable[..., Awaitable[Any]]:
    """Return the function that a step calls instead. What it returns is kept as the type of the step's own function."""

    async def stand_in(*args: Any, **kwargs: Any) -> Any:
        if isinstance(given, Exception):
            raise given
        if _is_error(given, Exception):
            raise given()  # type: ignore[operator]
        if not callable(given):
            return given
        value = given(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value

    stand_in.__annotations__ = {"return": hint}
    return stand_in
