"""The options of a step, as authors write them: `self.step(Step("charge", ...), fn)`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Final

from stepwell.definition.authoring.marks import Retry
from stepwell.definition.text import is_text
from stepwell.errors import DefinitionError
from stepwell.nearest import checks_its_keywords

MAX_STEP_NAME: Final = 512
_LONGEST: Final = timedelta(days=36_525)


@checks_its_keywords
@dataclass(frozen=True, slots=True)
class Step:
    """The name of a step with its options.

    `retry` tries again within the attempt of the transition; a delay over 60 s, or one for which the time limit of the
    transition leaves no room, fails the attempt instead. `timeout` is the limit of each try; beyond it StepTimeout is
    raised. `once`: the body runs at most once in a visit. Where it has begun and no value was stored, StepUnknown is raised
    instead. `undo` names the method of the class that takes the step's value and undoes it, called by `self.undo()`.

    Raises DefinitionError for options that are no options, and for `once` with `retry`.
    """

    name: str
    _: KW_ONLY
    retry: Retry | None = None
    timeout: timedelta | None = None
    once: bool = False
    undo: str | None = None

    def __post_init__(self) -> None:
        if faults := [*self._faults()]:
            raise DefinitionError(f"Step({self.name!r})", faults)

    def _faults(self) -> Iterator[str]:
        retry: Any = self.retry
        once: Any = self.once
        undo: Any = self.undo
        if not is_text(self.name, MAX_STEP_NAME):
            yield f"its name is {self.name!r}; give a text of 1 to {MAX_STEP_NAME} characters, without NUL."
        if retry is not None and not isinstance(retry, Retry):
            yield f"its retry={retry!r} isn't a Retry; write retry=Retry(retries=3)."
        yield from self._timeout_faults()
        if not isinstance(once, bool):
            yield f"its once={once!r} is neither True nor False."
        elif once and retry is not None:
            yield "it combines once=True and retry=: what may run only once can't be tried again; leave out one of them."
        if undo is not None and not (isinstance(undo, str) and undo.isidentifier()):
            yield f"its undo={undo!r} isn't the name of a method; give a text, as in undo='refund'."

    def _timeout_faults(self) -> Iterator[str]:
        given: Any = self.timeout
        if given is None:
            return
        if not isinstance(given, timedelta):
            yield f"its timeout={given!r} isn't a timedelta; write timeout=timedelta(seconds=...)."
        elif not timedelta(0) < given <= _LONGEST:
            seconds = f"timedelta(seconds={given.total_seconds():g})"
            yield f"its timeout={seconds} leaves no time for a try, or is over a century; leave it out for no limit."

    @property
    def plain(self) -> bool:
        """True if it has no options: then it is the name alone."""
        return self.retry is None and self.timeout is None and not self.once and self.undo is None
