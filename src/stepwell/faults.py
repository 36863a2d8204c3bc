"""Faults of single items, reported while a process continues with all others.

Code that works through items of several owners handles each of them within `Faults.apart`: one that can't be handled is
logged once, reported by the health checks until it can be handled again, and delays no other item.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from stepwell.errors import StoreUnavailable

log = logging.getLogger("stepwell")

AGAIN: Final = 1.0
"""Seconds before another try of an item that could not be handled."""
_LASTS: Final = 300.0
"""Seconds after which a fault that hasn't occurred again is forgotten: its item may be gone."""
_ROOM: Final = 1_000
_SHOWN: Final = 20
_TEXT: Final = 300


class Condition(NamedTuple):
    """Readiness of a process for work, and its faults."""

    ready: bool
    faults: tuple[str, ...]
    paused: int = 0
    """Pauses that hold, as the process knows them: they are meant, and no faults."""


@dataclass(slots=True)
class _Fault:
    kind: str
    """The type of the error; empty without one."""
    text: str
    met_at: float
    again_at: float


class Apart:
    """The block in which one item is handled."""

    __slots__ = ("_again", "_but", "_faults", "_name")

    def __init__(self, faults: Faults, name: str, again: float, but: tuple[type[Exception], ...]) -> None:
        self._faults = faults
        self._name = name
        self._again = again
        self._but = but

    def __enter__(self) -> None:
        return

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> bool:
        if error is None:
            self._faults.mended(self._name)
            return False
        if not isinstance(error, Exception) or isinstance(error, self._but):
            return False
        if isinstance(error, StoreUnavailable) and not error.refused:
            return False
        self._faults.set_apart(self._name, error, again=self._again)
        return True


class Faults:
    """The faults of this process, by name. Usable from every thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[str, _Fault] = {}

    def apart(self, name: str, *, again: float = AGAIN, but: tuple[type[Exception], ...] = ()) -> Apart:
        """Return a block whose errors become this item's fault and end there; a block without errors clears the fault.

        Errors that aren't about this item pass through: that the database can't be reached, and those in `but`.
        """
        return Apart(self, name, again, but)

    def set_apart(self, name: str, error: Exception, *, again: float = AGAIN) -> None:
        """Set an item apart that can't be handled; log it, unless the fault is known already."""
        kind = type(error).__name__
        self._note(name, kind, f"{kind}: {_said(error)}", again, error)

    def report(self, name: str, what: str) -> None:
        """Report a fault that isn't an exception; it stays until `mended`, or until it isn't reported for some minutes."""
        self._note(name, "", what, 0.0, None)

    def _note(self, name: str, kind: str, text: str, again: float, error: Exception | None) -> None:
        now = self._now()
        known = self._known.get(name)
        if known is None or known.kind != kind:
            log.error("%s: %s", name, text, exc_info=error)
        if known is None and len(self._known) >= _ROOM:
            return
        self._known[name] = _Fault(kind, text, now, now + again)

    def mended(self, name: str) -> None:
        """Clear the fault of this item."""
        if self._known and self._known.pop(name, None) is not None:
            log.info("%s: it works again", name)

    def resting(self, name: str) -> bool:
        """Return whether to leave this item alone for now, because it could not be handled a moment ago."""
        if not self._known:
            return False
        known = self._known.get(name)
        return known is not None and self._now() < known.again_at

    def of(self, name: str) -> str | None:
        """Return the fault of this item; None without one."""
        known = self._known.get(name)
        return None if known is None or self._over(known) else known.text

    def listed(self, *, brief: bool = False) -> list[str]:
        """Return all faults, by name; `brief`: without the texts of errors, which may show data."""
        for name, fault in list(self._known.items()):
            if self._over(fault):
                self._known.pop(name, None)
        found = [
            f"{name}: {fault.kind if brief and fault.kind else fault.text}" for name, fault in list(self._known.items())
        ]
        return found[:_SHOWN] + ([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])

    def _over(self, fault: _Fault) -> bool:
        return self._now() - fault.met_at > _LASTS


def _said(error: Exception) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - what an application raises may not be able to say what it is
        return "it can't be printed"
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}..."
