"""A start that another service puts into a queue: what its data must be, and what is wrong with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_DELAY: Final = 366 * 1000 * 24 * 3600 * 1000
"""A thousand years, in milliseconds."""


class ForeignStart(BaseModel):
    """The data of such a job. Names are those of JavaScript, as in `idempotencyKey`; Python's are taken too."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    app: str
    workflow: str
    user: str
    args: Any = None
    labels: list[str] = []
    priority: int | None = None
    delay: Annotated[float, Field(ge=0, le=MAX_DELAY, allow_inf_nan=False)] | None = None
    """Milliseconds, as everywhere in BullMQ."""
    idempotency_key: str | None = Field(default=None, alias="idempotencyKey")

    @property
    def later(self) -> timedelta | None:
        """The delay."""
        return None if self.delay is None else timedelta(milliseconds=self.delay)


class Begun(NamedTuple):
    """What became of a start."""

    run_id: str
    created: bool


class StartForeign(Protocol):
    """Starts a run durably, once per key where the start has none of its own. Raises StepwellError."""

    async def __call__(self, start: ForeignStart, key: str) -> Begun: ...


class Unreadable(Exception):
    """The data of a job can't be a start; the text says why."""


def read(data: Any) -> ForeignStart:
    """The start that the data describes. Raises Unreadable with all that is wrong with it."""
    if not isinstance(data, dict):
        raise Unreadable(f"The job's data is {_short(data)}: give an object with app, workflow, user and args.")
    try:
        return ForeignStart.model_validate(data)
    except ValidationError as error:
        raise Unreadable("The job's data is no start: " + "; ".join(map(_fault, error.errors())) + ".") from None


def _fault(error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] == "extra_forbidden":
        return f"{name} isn't known ({', '.join(_KNOWN)} are)"
    return f"{name}={_short(error['input'])}: {error['msg']}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."


_KNOWN: Final = [field.alias or name for name, field in ForeignStart.model_fields.items()]
