"""The seam between a workflow's methods and the room that executes them.

`Workflow` delegates everything that a method may do to the `Context` it was given; the execution room implements it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from stepwell.definition.authoring.document import Document
from stepwell.definition.authoring.groups import GroupItem
from stepwell.definition.authoring.steps import Step

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

D = TypeVar("D", bound=Document)

Show = Literal["inline", "link", "hidden"]
OnParentEnd = Literal["cancel", "abandon"]
Until = Literal["each", "all_ended", "all_completed", "first_completed"]
"""The moment at which the callback of a group of children is fired: for each of them, or once."""
Validate = Literal["strict", "safe", "skip"]


@dataclass(frozen=True, slots=True)
class Info:
    """The place, user and identity of this attempt."""

    workflow_id: str
    """Empty in a stateless run."""
    workspace_id: str
    app_name: str
    user_id: str
    place: str
    transition: str
    attempt: int
    """Counted from 1 within the visit."""
    labels: tuple[str, ...]
    idempotency_key: str
    """The same for every retry and take-over of this transition in this visit: pass it to the services you call."""


class Documents(Protocol):
    """The documents of the run, those of the running transition included."""

    async def save(
        self,
        document: Document,
        key: str | None = None,
        validate: Validate = "strict",
        meta: dict[str, Any] | None = None,
    ) -> None:
        """Write `document` with the transition's commit; the same `key` replaces the older version in its place."""
        ...

    async def find(self, type_: type[D], *, limit: int | None = None, after: Document | str | None = None) -> list[D]:
        """Return the current documents of one type, in order; with `limit` (1 to 1,000) a page of them.

        `after`: those behind this one, which a page of this attempt had, or which has this key. A page with fewer than
        `limit` is the last. Raises InvalidArgs.
        """
        ...

    async def find_by_tag(self, tag: str) -> list[Document]:
        """Return the current documents with that tag, in order; unknown types come back as plain `Document`s."""
        ...

    async def all(self) -> list[Document]:
        """Return the current documents, in order."""
        ...


class Context(Protocol):
    """The operations that one attempt of one transition may use."""

    @property
    def args(self) -> Any: ...
    @property
    def state(self) -> Any: ...
    @state.setter
    def state(self, value: Any) -> None: ...
    @property
    def result(self) -> Any: ...
    @result.setter
    def result(self, value: Any) -> None: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def info(self) -> Info: ...
    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]: ...

    async def step(
        self, step: str | Step, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any: ...
    async def undo(self, workflow: object) -> None: ...
    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]: ...
    async def start(
        self,
        workflow: Any,
        args: Any,
        *,
        callback: str | None,
        show: Show,
        label: str | None,
        meta: dict[str, Any] | None,
        on_parent_end: OnParentEnd | None,
        app_name: str | None,
    ) -> str: ...
    async def start_many(
        self,
        starts: Sequence[Any],
        *,
        callback: str | None,
        until: Until,
        max_in_flight: int | None,
        show: Show,
        label: str | None,
        meta: dict[str, Any] | None,
        on_parent_end: OnParentEnd | None,
    ) -> list[str]: ...
    def children(self, group_id: str) -> AsyncIterator[GroupItem[Any]]: ...
    async def emit(self, name: str, data: Any) -> None: ...


T = TypeVar("T")


class Ordered(tuple[Any, ...]):
    """Type parameters that `typing` doesn't remember: to it `Pay | Refund` and `Refund | Pay` are one and the same."""

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, parameters: Any) -> Ordered:
        """Return the parameters of a subscription, one or several."""
        return cls(parameters if isinstance(parameters, tuple) else (parameters,))


@dataclass(frozen=True, slots=True)
class Signal(Generic[T]):
    """A payload with its sender: annotate it `Signal[Model]` to get who sent it and how it ended, besides `data`."""

    if not TYPE_CHECKING:

        def __class_getitem__(cls, parameters: Any) -> Any:
            return super(Signal, cls).__class_getitem__(Ordered.of(parameters))

    data: T
    """None when `failed`; the end of a group has it then too."""
    status: Literal["completed", "failed", "canceled"]
    """The sender's end; always `completed` for signals of people and code."""
    error: str | None
    workflow_id: str
    """The sending run: the child, or the run itself, as for the end of a group of its children."""
    user_id: str | None
    """The user who answered; None for the system."""
    meta: dict[str, Any] | None
    """For a child, or a group: the `meta` given to `self.start` or `self.start_many`."""

    @property
    def failed(self) -> bool:
        """True if the child failed or was cancelled, or the group failed."""
        return self.status != "completed"
