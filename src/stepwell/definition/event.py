"""An internal event that a workflow or a transition listens to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """Listen to `name`; with `match`, only when paths in the event's data equal values of the run.

    Keys of `match` are dotted paths in the data, values are paths that begin with `args.` or `state.`.
    """

    name: str
    match: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("Event(''): an event has a name.")
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
