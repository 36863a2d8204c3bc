"""The `@transition` decorator with its options, and the class keywords: they only mark.

What the marks mean is compiled when the class is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from stepwell.definition.text import is_a, parts_of
from stepwell.errors import DefinitionError, NonRetryable, RetryAfter
from stepwell.nearest import checks_its_keywords, checks_keywords, suggestion

if TYPE_CHECKING:
    from stepwell.definition.authoring.asks import Ask

START: Final = "start"
END: Final = "end"

F = TypeVar("F", bound=Callable[..., Any])

_MARKS: Final = "__stepwell_marks__"
_DECORATOR: Final = "__stepwell_decorator__"
"""Marks the decorator itself: one that stands in a class body was put on no method."""


@checks_its_keywords
@dataclass(frozen=True, slots=True)
class Event:
    """Listen to `name`; with `match`, only when paths in the event's data equal values of the run.

    Keys of `match` are dotted paths in the data, values are paths that begin with `args.` or `state.`.
    """

    name: str
    match: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name: Any = self.name
        match: Any = self.match
        if not (isinstance(name, str) and name):
            raise ValueError(f"Event({self.name!r}): an event needs a name, as in Event('invoice.paid').")
        if not isinstance(match, Mapping) or not all(isinstance(one, str) for one in (*match.keys(), *match.values())):
            raise ValueError(
                f"Event({self.name!r}, match={self.match!r}): give paths, as in match={{'invoice_id': 'args.invoice_id'}}."
            )
        for path in self.match.values():
            if path.split(".", 1)[0] not in ("args", "state") or "." not in path:
                raise ValueError(
                    f"Event({self.name!r}, match=...): {path!r} must begin with 'args.' or 'state.', "
                    "as in 'args.invoice_id'."
                )

    @property
    def needs_state(self) -> bool:
        """True if a run can only listen once its state holds the value."""
        return any(path.startswith("state.") for path in self.match.values())

    def __hash__(self) -> int:
        return hash((self.name, tuple(sorted(self.match.items()))))


_LONGEST = timedelta(days=36_525)


_BACKOFFS = ("exponential", "fixed")


@checks_its_keywords
@dataclass(frozen=True, slots=True)
class Retry:
    """Up to `retries` automatic retries after the first try, `delay * 2**(n-1)` apart and at most `max_delay`.

    `on` names the exceptions worth a retry, `give_up_on` those that aren't although `on` covers them: both match as
    `except` does, so SystemExit and other BaseExceptions are retried only where `on` names them. Of a group, as a
    TaskGroup raises it, each exception has to be worth a retry. `jitter` is the share of a delay that is left to
    chance: 0.2 waits between 80% and 100% of it.
    """

    retries: int
    delay: timedelta = timedelta(seconds=1)
    backoff: Literal["exponential", "fixed"] = "exponential"
    max_delay: timedelta = timedelta(seconds=30)
    jitter: float = 0.0
    on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        for name in ("on", "give_up_on"):
            given = getattr(self, name)
            if isinstance(given, (type, list, set, frozenset)):
                object.__setattr__(self, name, (given,) if isinstance(given, type) else tuple(given))
        if wrong := [*self._faults()]:
            raise ValueError(" ".join(wrong))

    def _faults(self) -> Iterator[str]:
        retries: Any = self.retries
        jitter: Any = self.jitter
        if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
            yield f"Retry(retries={self.retries!r}): a number of retries is a whole number, 0 or more."
        for name in ("delay", "max_delay"):
            given = getattr(self, name)
            if not isinstance(given, timedelta) or given < timedelta(0):
                yield f"Retry({name}={given!r}): a delay is a timedelta of zero or more."
        if isinstance(jitter, bool) or not isinstance(jitter, (int, float)) or not 0 <= jitter <= 1:
            yield f"Retry(jitter={self.jitter!r}): a jitter is from 0.0 to 1.0."
        if self.backoff not in _BACKOFFS:
            yield f"Retry(backoff={self.backoff!r}): {suggestion(str(self.backoff), _BACKOFFS, '{!r}')}"
        for name in ("on", "give_up_on"):
            given = getattr(self, name)
            if not isinstance(given, tuple) or not all(
                isinstance(one, type) and issubclass(one, BaseException) for one in given
            ):
                yield f"Retry({name}={given!r}): give exception classes, as in {name}=(TimeoutError,)."

    def allows(self, error: BaseException) -> bool:
        """Return whether `error` is worth a retry, apart from the budget; for a group, whether all its exceptions are."""
        parts = tuple(parts_of(error))
        if any(is_a(one, NonRetryable) for one in parts):
            return False
        others = [one for one in parts if not is_a(one, RetryAfter)]
        if any(is_a(one, *self.give_up_on) for one in others) or (others and is_a(error, *self.give_up_on)):
            return False
        return is_a(error, *self.on) or all(is_a(one, *self.on) for one in others)

    def wait(self, failures: int, error: BaseException | None = None, draw: float = 0.0) -> timedelta:
        """Return the delay before the next try after `failures` failed ones; `draw` (0.0 to 1.0) is the random share."""
        asked = _asked(error)
        if asked is not None:
            return min(asked, _LONGEST)
        doublings = failures - 1 if self.backoff == "exponential" else 0
        # In floats, where doubling for ever ends at infinity: a timedelta would overflow long before the cap.
        most = min(self.max_delay, _LONGEST).total_seconds()
        seconds = min(self.delay.total_seconds() * 2.0 ** min(doublings, 1000), most)
        return timedelta(seconds=seconds) * (1.0 - self.jitter * draw)


def _asked(error: BaseException | None) -> timedelta | None:
    """Return the delay that a RetryAfter asks for, in a group the longest; None without one."""
    if error is None:
        return None
    delays = [_delay(one) for one in parts_of(error) if is_a(one, RetryAfter)]
    return max((one for one in delays if one is not None), default=None)


def _delay(error: BaseException) -> timedelta | None:
    try:
        delay = error.delay  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - its class is user code
        return None
    return delay if type(delay) is timedelta else None


@dataclass(frozen=True, slots=True)
class Mark:
    """The arguments of one decorator, unchecked: authors can write anything there."""

    source: Any
    target: Any
    wait: Any
    keep: Any
    after: Any
    on: Any
    when: Any
    priority: Any
    retry: Any
    retry_target: Any
    error_place: Any
    timeout: Any
    name: Any
    was: Any = ()
    ask: Any = None


@checks_keywords("@transition")
def transition(
    source: str | Sequence[str] = START,
    target: str | EllipsisType = ...,
    *,
    wait: bool = False,
    keep: bool = False,
    after: timedelta | Callable[[Any], timedelta | datetime] | None = None,
    on: Event | None = None,
    when: Callable[[Any], object] | None = None,
    priority: int | None = None,
    retry: Retry | None = None,
    retry_target: str | None = None,
    error_place: str | None = None,
    timeout: timedelta | None = None,
    name: str | None = None,
    was: str | Sequence[str] = (),
    ask: Ask | None = None,
) -> Callable[[F], F]:
    """Mark a method as a way from `source` (one place or several) to `target`; decorators stack.

    Without `wait`, `after` and `on` it is automatic: it fires as soon as its place is entered and `when` is absent or
    true. `wait=True` waits for a signal, `after=` for a time since the place was entered, `on=` for an event. `after=`
    also takes a plain method of the class that returns such a time, or an aware datetime: it is called when the place is
    entered.
    `timeout=None` is the setting `transition_timeout`, `timedelta(0)` is no limit. `was` gives the names that it had in
    earlier code, the oldest first: what is stored or sent under them reaches it. `ask` with `wait=True` says who is asked for
    the signal, and what.
    """
    if callable(source):
        raise DefinitionError("@transition", ['it needs a target: write @transition("source", "target") or target=...'])
    mark = Mark(
        source, target, wait, keep, after, on, when, priority, retry, retry_target, error_place, timeout, name, was, ask
    )

    def marking(function: F) -> F:
        # Decorators apply from the bottom up, and the order of declaration is the order in which they are read.
        setattr(function, _MARKS, (mark, *marks_of(function)))
        return function

    setattr(marking, _DECORATOR, True)
    return marking


def decorators_without_method(cls: type) -> list[str]:
    """Return the names in the class body that hold a `transition(...)` which was put on no method."""
    return [name for name, value in vars(cls).items() if getattr(value, "__dict__", {}).get(_DECORATOR)]


def marks_of(function: object) -> tuple[Mark, ...]:
    """Return the marks of a method in the order in which they are written; none for anything else."""
    marks: tuple[Mark, ...] = getattr(function, "__dict__", {}).get(_MARKS, ())
    return marks


def marked_methods(cls: type) -> dict[str, tuple[Any, tuple[Mark, ...]]]:
    """Return the class's marked attributes with their marks, in order of declaration, inherited ones first.

    An override keeps its place in that order, and the inherited marks unless it brings its own. `method = None` in a
    subclass takes the transition away.
    """
    found: dict[str, tuple[Any, tuple[Mark, ...]]] = {}
    for owner in reversed(cls.__mro__):
        for name, value in vars(owner).items():
            marks = marks_of(value) or (found[name][1] if name in found else ())
            if marks:
                found[name] = (value, marks)
    return {name: pair for name, pair in found.items() if pair[0] is not None}


@dataclass(frozen=True, slots=True)
class Keywords:
    """The class keywords as given, unchecked."""

    name: Any = None
    title: Any = None
    description: Any = None
    version: Any = 1
    run_timeout: Any = None
    on: tuple[Any, ...] = ()
    priority: Any = 0
    ui: tuple[Any, ...] = ()
    concurrency: tuple[Any, ...] = ()
    rate_limit: tuple[Any, ...] = ()
    debounce: Any = None
    fair_by: Any = None
    expires: Any = None
    on_cancel: Any = None
    subject: Any = None
