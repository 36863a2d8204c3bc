"""The seam between executing a run and storing it: the same pass runs durable and stateless."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_type_hints

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.definition.codec import Codec, codec_for
from stepwell.definition.inputs import bounded
from stepwell.engine.commit import Commit
from stepwell.engine.run import Run, StepRow
from stepwell.errors import LeaseLost, StatelessError, StepwellError, StoreUnavailable
from stepwell.execution.shared import Shared
from stepwell.store import documents, history, runs
from stepwell.store.base import Advance, DocumentRow, Record
from stepwell.store.flush import cause_of
from stepwell.store.tx import Hints, Tx

if TYPE_CHECKING:
    from stepwell.store.store import Store

log = logging.getLogger("stepwell.execution")

T = TypeVar("T")
Journal = dict[tuple[str, str], str]
_RETURN_CODECS: dict[Any, Codec[Any]] = {}


class OpenTransaction(Protocol):
    """`self.transaction()` of one attempt."""

    connection: AsyncConnection

    async def commit(self, commit: Commit) -> Run:
        """The commit and the user's writes are durable, together. Raises LeaseLost, StoreUnavailable."""
        ...

    async def roll_back(self) -> None:
        """Nothing of it remains."""
        ...

    def lost(self, error: BaseException) -> bool:
        """Whether an error says that the database is away, and not that what was asked of it is wrong."""
        ...

    async def answers(self) -> bool:
        """Whether the database answers now."""
        ...


class Storage(Protocol):
    """Where a run's checkpoints go."""

    durable: bool

    def holds(self) -> bool:
        """Whether this process may begin something: past its lease, others may have its runs (semantics 31)."""
        ...

    async def commit(self, commit: Commit) -> Run:
        """The commit is true. Raises LeaseLost, StoreUnavailable."""
        ...

    async def documents(self, run_id: str) -> list[DocumentRow]:
        """The current documents of the run."""
        ...

    async def step(
        self,
        run: Run,
        transition: str,
        name: str,
        journal: Journal,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """What `fn` returned, round-tripped, now or in an earlier attempt of this visit."""
        ...

    async def journal(self, run_id: str) -> Journal:
        """What the run's current visit has journaled."""
        ...

    async def transaction(self, run: Run) -> OpenTransaction:
        """An open transaction that holds the run's fence."""
        ...


class Durable:
    """Everything goes to the database."""

    durable = True

    def __init__(self, shared: Shared, store: Store) -> None:
        self._shared = shared
        self._store = store
        self.lease: Callable[[], bool] = lambda: True
        """Whether the lease of the process holds."""

    def holds(self) -> bool:
        return self.lease()

    async def commit(self, commit: Commit) -> Run:
        answer = await self._store.writer.write(Advance(commit))
        assert isinstance(answer, Run)
        return answer

    async def documents(self, run_id: str) -> list[DocumentRow]:
        return await self._store.read(lambda tx: documents.of_run(tx, run_id))

    async def step(
        self,
        run: Run,
        transition: str,
        name: str,
        journal: Journal,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        codec = return_codec(fn)
        recorded = journal.get((transition, name))
        if recorded is None:
            recorded = codec.dump(await call(self._shared, fn, args, kwargs))
            codec.load(recorded)  # what can't come back must not be journaled: no retry could mend it
            bounded(recorded, self._shared.limits.payload, f"What the step {name!r} returned")
            row = StepRow(run.id, run.visit, transition, name, recorded, self._shared.clock.now())
            await self._record(Record(row, run.version, run.claim), journal)
            recorded = journal[transition, name]
        return codec.load(recorded)

    async def _record(self, record: Record, journal: Journal) -> None:
        step = record.step

        def written(answer: Any) -> None:
            # Here and not after the write: an attempt that is cancelled meanwhile must not forget what is journaled.
            # The first value stays, as in the journal: an earlier attempt's may have been on its way.
            if answer is None:
                journal.setdefault((step.transition, step.name), step.value)

        async def write() -> None:
            await self._store.writer.write(record, written)

        # The function has run: its value is worth waiting for, as long as the attempt may last and the run is ours.
        await _patiently(write, f"run {step.run_id}: the value of step {step.name!r}")

    async def journal(self, run_id: str) -> Journal:
        found = await self._store.read(lambda tx: history.journals(tx, [run_id]))
        return found.get(run_id, {})

    async def transaction(self, run: Run) -> OpenTransaction:
        async def opened() -> _Transaction:
            transaction = _Transaction(self._store)
            await transaction.open(run)
            return transaction

        return await _patiently(opened, f"run {run.id}: its transaction")


async def _patiently(act: Callable[[], Awaitable[T]], what: str) -> T:
    """The answer, once the database can be written again: that it can't is no failure of the run."""
    pause = 0.05
    while True:
        try:
            return await act()
        except StoreUnavailable as error:
            log.warning("%s waits for the database: %s", what, error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


class _Lent(AsyncConnection):
    """The connection as the method gets it: when it commits isn't the method's to say."""

    async def commit(self) -> None:
        raise StepwellError(
            "self.transaction() commits with the transition's checkpoint, or not at all: leave out connection.commit()."
        )

    async def close(self) -> None:
        raise StepwellError(
            "self.transaction() closes its connection with the transition's checkpoint: leave out connection.close()."
        )


class _Transaction:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._context = store.transaction()

    async def open(self, run: Run) -> None:
        try:
            self._own = await self._context.__aenter__()
        except Exception as error:
            raise self._unwritten(error) from error
        self.connection: AsyncConnection = _Lent(self._own.engine, self._own.sync_connection)
        try:
            await self._within(lambda tx: _hold(tx, run))
        except BaseException as error:
            await self.roll_back()
            raise self._unwritten(error) from error

    async def commit(self, commit: Commit) -> Run:
        try:
            answer, hints, failure = await self._write(commit)
        except Exception as error:
            raise self._unwritten(error) from error
        finally:
            await self.roll_back()
        # Only now that the lane is given back: a COMMIT that failed may have been made all the same.
        if failure is not None and not await self._store.stored(commit, answer):
            raise _unwritten(failure) from failure
        self._store.writer.on_commit(1, hints)
        return answer

    def lost(self, error: BaseException) -> bool:
        # Of this connection, and by the database's own word: user code has time limits and connections of its own.
        return isinstance(error, DBAPIError) and self._store.lost(error) and self._own.invalidated

    async def answers(self) -> bool:
        return await self._store.answers()

    async def _write(self, commit: Commit) -> tuple[Run, Hints, Exception | None]:
        """What the row is if the commit was made, what others should hear of, and why it may not have been made."""
        answer, hints = await self._within(lambda tx: self._advance(tx, commit))
        try:
            await self._own.commit()
        except Exception as error:
            if not self._store.unavailable(error):
                raise
            # SQLAlchemy takes its transaction for ended; the pooled connection would keep the write lock for ever.
            await self._own.invalidate()
            return answer, hints, error
        return answer, hints, None

    def _advance(self, tx: Tx, commit: Commit) -> tuple[Run, Hints]:
        [answer] = self._store.applier.advance(tx, [commit])
        if isinstance(answer, LeaseLost):
            raise answer
        return answer, tx.hints

    async def _within(self, act: Callable[[Tx], T]) -> T:
        return await self._own.run_sync(lambda connection: act(Tx(connection, self._store.dialect)))

    def _unwritten(self, error: BaseException) -> BaseException:
        return _unwritten(error) if self._store.unavailable(error) else error

    async def roll_back(self) -> None:
        # Closing the connection rolls back what wasn't committed, and gives the lane back.
        context, self._context = self._context, None  # type: ignore[assignment]
        if context is not None:
            await context.__aexit__(None, None, None)


def _unwritten(error: BaseException) -> StoreUnavailable:
    return StoreUnavailable(f"The database can't be written: {cause_of(error)}. Nothing was stored.")


def _hold(tx: Tx, run: Run) -> None:
    fence = runs.fence(tx, [run.id]).get(run.id)
    if fence is None or (fence.version, fence.claim) != (run.version, run.claim):
        raise LeaseLost(f"Run {run.id} was taken over or cancelled.")


class Memory:
    """A stateless run: nothing is stored, documents stay in memory."""

    durable = False

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.saved: list[DocumentRow] = []

    def holds(self) -> bool:
        return True

    async def commit(self, commit: Commit) -> Run:
        if commit.effects.documents:
            self._save(commit)
        return commit.run

    def _save(self, commit: Commit) -> None:
        run = commit.run
        for n, w in enumerate(commit.effects.documents):
            row = DocumentRow(
                f"{run.version}.{n}", run.id, run.version * 1000 + n, w.name, w.key, w.content, w.tags, w.meta, w.errors,
                w.internal, w.transition, run.version, run.updated_at, None, w.ui,
            )  # fmt: skip
            same = [i for i, old in enumerate(self.saved) if w.key is not None and old.key == w.key]
            if same:
                self.saved[same[0]] = row._replace(position=self.saved[same[0]].position)
            else:
                self.saved.append(row)

    async def documents(self, run_id: str) -> list[DocumentRow]:
        return list(self.saved)

    async def step(
        self,
        run: Run,
        transition: str,
        name: str,
        journal: Journal,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        codec = return_codec(fn)
        return codec.load(codec.dump(await call(self._shared, fn, args, kwargs)))

    async def journal(self, run_id: str) -> Journal:
        return {}

    async def transaction(self, run: Run) -> OpenTransaction:
        raise StatelessError("self.transaction(): a stateless run has no database; run it without stateless=True.")


async def call(shared: Shared, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a step's function returned: awaited on the loop if it is async, else called in a thread of Stepwell's."""
    if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None)):  # noqa: B004
        return await fn(*args, **kwargs)
    value = await shared.threads.run(fn, *args, **kwargs)
    return await value if inspect.isawaitable(value) else value


def return_codec(fn: Callable[..., Any]) -> Codec[Any]:
    """The codec of the return annotation of `fn`; of any JSON where it has none."""
    key = getattr(fn, "__func__", fn)
    try:
        found = _RETURN_CODECS.get(key)
    except TypeError:
        return codec_for(_annotation(fn))
    if found is None:
        found = codec_for(_annotation(fn))
        if "<locals>" not in getattr(key, "__qualname__", "<locals>"):
            _RETURN_CODECS[key] = found  # module-level functions only: closures would pile up
    return found


def _annotation(fn: Callable[..., Any]) -> Any:
    target = getattr(fn, "func", fn)
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = type(target).__call__
    try:
        return get_type_hints(target, include_extras=True).get("return", Any)
    except NameError as error:
        raise StepwellError(f"self.step: the annotations of {fn!r} can't be resolved: {error}") from error
    except TypeError:
        return Any  # a builtin without annotations
