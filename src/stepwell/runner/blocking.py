"""The verbs for synchronous code: one thin portal to the loop on which the Stepwell is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stepwell.errors import StepwellError

if TYPE_CHECKING:
    from stepwell.runner.opening import Opening
    from stepwell.runner.runner import WorkflowRunner

_VERBS = frozenset(
    "run run_sync run_many signal emit cancel retry fork get list history documents explain".split()  # noqa: SIM905
)


class BlockingHandle:
    """A handle to a run, for synchronous code."""

    def __init__(self, call: Callable[[Coroutine[Any, Any, Any]], Any], handle: Any) -> None:
        self._call = call
        self._handle = handle
        self.workflow_id: str = handle.workflow_id
        self.created: bool = handle.created

    def result(self, timeout: timedelta | float | None = None) -> Any:
        """As `RunHandle.result`, blocking."""
        return self._call(self._handle.result(timeout))


class BlockingRunner:
    """Each verb of WorkflowRunner under its own name, blocking until it is done. Not for use on the loop itself."""

    def __init__(self, runner: WorkflowRunner, opening: Opening) -> None:
        self._runner = runner
        self._opening = opening

    def as_user(self, user_id: str) -> BlockingRunner:
        """The same verbs, restricted to this user's runs."""
        return BlockingRunner(self._runner.as_user(user_id), self._opening)

    def handle(self, workflow_id: str) -> BlockingHandle:
        """A handle to an existing run."""
        return BlockingHandle(self._call, self._runner.handle(workflow_id))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _VERBS:
            raise AttributeError(f"WorkflowRunner has no verb {name!r}")

        def verb(*args: Any, **kwargs: Any) -> Any:
            answer = self._call(getattr(self._runner, name)(*args, **kwargs))
            return self._blocking(answer)

        return verb

    def _blocking(self, answer: Any) -> Any:
        from stepwell.runner.handle import RunHandle

        if isinstance(answer, RunHandle):
            return BlockingHandle(self._call, answer)
        if isinstance(answer, list):
            return [self._blocking(one) for one in answer]
        return answer

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = self._opening.loop
        if loop is None:
            coroutine.close()
            raise StepwellError("This Stepwell isn't open: use runner.blocking inside `with stepwell:`.")
        if _running_loop() is loop:
            coroutine.close()
            raise StepwellError("runner.blocking was called on the event loop, which it would block: await the runner.")
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
