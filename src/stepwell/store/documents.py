"""Documents: the current ones in order, and their older versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from uuid_utils import uuid7

from stepwell.engine.commit import Commit
from stepwell.store import tables
from stepwell.store.tables import documents
from stepwell.store.tx import Tx

_ALL = tables.columns(documents)
_ALL_OF_THEM = 2**62
_INHERITED: Final = -(2**40)
"""Positions from here on are those of documents that a fork has from its origin: in front of all of its own."""
_PER_VERSION = 100_000
"""Positions of one checkpoint's documents: version * this + n keeps all documents of a run in order."""


class DocumentRow(NamedTuple):
    """A stored document; content, tags, meta and errors are JSON."""

    id: str
    run_id: str
    position: int
    name: str
    key: str | None
    content: str
    tags: str
    meta: str | None
    errors: str | None
    internal: int
    transition: str | None
    version: int
    created_at: int
    replaced_at: int | None
    ui: str | None
    """The widgets of the document's type, as JSON."""
    title: str | None
    """The title of its type when it was saved; None if it had none."""

    @property
    def size(self) -> int:
        """Bytes of its content and its meta."""
        return len(self.content.encode()) + len((self.meta or "").encode())


class Position(NamedTuple):
    """The place of a document among the current ones of its run; one that replaces another has that one's position."""

    position: int
    id: str


class WantedDocuments(NamedTuple):
    """Some of a run's current documents: those of a name or with one of the keys, behind a position."""

    name: str | None
    keys: tuple[str, ...] = ()
    after: Position | None = None
    limit: int | None = None

    def has(self, row: DocumentRow) -> bool:
        """Return whether it is one of them, wherever it stands."""
        return row.name == self.name or row.key in self.keys


_SHARED: Final = "stepwell_shared_documents s JOIN stepwell_documents d ON d.id=s.document_id"
_SHARES: Final = "SELECT 1 FROM stepwell_shared_documents WHERE run_id=? LIMIT 1"
_OF_SHARE: Final = {"run_id": "s.run_id", "position": "s.position", "version": "0", "replaced_at": "s.replaced_at"}
_INHERITS: Final = ", ".join(_OF_SHARE.get(name, f"d.{name}") for name in DocumentRow._fields)
"""The columns of a document that a fork has from its origin: it came with the fork's row 0."""
_SEEN: Final = f"(SELECT {_ALL} FROM stepwell_documents UNION ALL SELECT {_INHERITS} FROM {_SHARED}) AS seen"
"""The documents as each run sees them."""


def save(tx: Tx, commits: Sequence[Commit]) -> None:
    """Store the documents of the commits; one with an existing key takes the older one's place."""
    plain: list[DocumentRow] = []
    for commit in commits:
        for n, write in enumerate(commit.effects.documents):
            run = commit.run
            row = DocumentRow(
                id=str(uuid7()),
                run_id=run.id,
                position=run.version * _PER_VERSION + n,
                name=write.name,
                key=write.key,
                content=write.content,
                tags=write.tags,
                meta=write.meta,
                errors=write.errors,
                internal=write.internal,
                transition=write.transition,
                version=run.version,
                created_at=run.updated_at,
                replaced_at=None,
                ui=write.ui,
                title=write.title,
            )
            if write.key is None:
                plain.append(row)
            else:
                tx.insert(documents, [_replacing(tx, row, inherits=run.forked_from is not None)])
    tx.insert(documents, plain)


def _replacing(tx: Tx, row: DocumentRow, *, inherits: bool) -> DocumentRow:
    older = tx.rows(
        "UPDATE stepwell_documents SET replaced_at=? WHERE run_id=? AND key=? AND replaced_at IS NULL RETURNING position",
        row.created_at,
        row.run_id,
        row.key,
    )
    if not older and inherits:
        older = tx.rows(
            "UPDATE stepwell_shared_documents SET replaced_at=? WHERE run_id=? AND replaced_at IS NULL AND document_id IN"
            f" (SELECT d.id FROM {_SHARED} WHERE s.run_id=? AND d.key=?) RETURNING position",
            row.created_at,
            row.run_id,
            row.run_id,
            row.key,
        )
    return row._replace(position=older[0][0]) if older else row


def named(tx: Tx, run_id: str, names: Iterable[str], most_bytes: int) -> list[DocumentRow]:
    """Return the current documents of these names, in order, as many as are no larger together; no internal ones."""
    wanted = "FROM stepwell_documents WHERE run_id=? AND replaced_at IS NULL AND internal=0 AND name IN list(?)"
    given, order = (run_id, tx.listed(names)), "ORDER BY position, id"
    sizes = tx.rows(f"SELECT octet_length(content) + coalesce(octet_length(meta), 0) {wanted} {order}", *given)
    count = tables.fitting((row[0] for row in sizes), most_bytes)
    return tx.fetch(DocumentRow._make, f"SELECT {_ALL} {wanted} {order} LIMIT ?", *given, count)


def wanted_of(tx: Tx, run_id: str, wanted: WantedDocuments) -> list[DocumentRow]:
    """Return these of the run's current documents, in order."""
    seen = "stepwell_documents" if tx.scalar(_SHARES, run_id) is None else _SEEN
    only, given = "", [run_id, wanted.name, tx.listed(wanted.keys)]
    if wanted.after is not None:
        only, given = " AND (position, id)>(?, ?)", [*given, *wanted.after]
    sql = (
        f"SELECT {_ALL} FROM {seen} WHERE run_id=? AND replaced_at IS NULL AND (name=? OR key IN list(?)){only}"
        " ORDER BY position, id LIMIT ?"
    )
    return tx.fetch(DocumentRow._make, sql, *given, _ALL_OF_THEM if wanted.limit is None else wanted.limit)


def of_run(
    tx: Tx,
    run_id: str,
    *,
    current: bool = True,
    limit: int = _ALL_OF_THEM,
    after: int = -1,
    before: str | None = None,
    newest: bool = False,
    internal: bool = True,
    most_bytes: int | None = None,
) -> list[DocumentRow]:
    """Return the documents of a run in order; with `current=False` the replaced ones too, each before its successor.

    `limit`: the first ones only, or with `newest` the last ones; `most_bytes`: as many of them as are no larger together,
    but one. `after`: those saved after this version. `before`: those in front of the document of this id, none if the
    run has no such document.
    """
    seen = "stepwell_documents" if tx.scalar(_SHARES, run_id) is None else _SEEN
    only = " AND replaced_at IS NULL" if current else ""
    only += "" if internal else " AND internal=0"
    given: list[Any] = [run_id, after]
    if before is not None:
        only += f" AND (position, id) < (SELECT position, id FROM {seen} WHERE run_id=? AND id=?)"
        given += [run_id, before]
    order = "position DESC, id DESC" if newest else "position, id"
    wanted = f"FROM {seen} WHERE run_id=? AND version>?{only} ORDER BY {order} LIMIT ?"
    if most_bytes is not None:
        sizes = tx.rows(f"SELECT octet_length(content) + coalesce(octet_length(meta), 0) {wanted}", *given, limit)
        limit = tables.fitting((row[0] for row in sizes), most_bytes)
    found = tx.fetch(DocumentRow._make, f"SELECT {_ALL} {wanted}", *given, limit)
    return found[::-1] if newest else found


# -- forks ------------------------------------------------------------------------------------------------------------


def share(tx: Tx, origin: str, version: int, fork: str) -> None:
    """Give a fork the documents that were current in its origin once this row of its history was written (rule 55)."""
    tx.run(
        "WITH seen AS (SELECT id, position, key, version FROM stepwell_documents WHERE run_id=? AND version<=?"
        f" UNION ALL SELECT d.id, s.position, d.key, 0 FROM {_SHARED} WHERE s.run_id=?),"
        " latest AS (SELECT id, position, key, row_number() OVER (PARTITION BY key ORDER BY version DESC, id DESC) AS nth"
        " FROM seen) INSERT INTO stepwell_shared_documents (run_id, document_id, position)"
        f" SELECT CAST(? AS TEXT), id, row_number() OVER (ORDER BY position, id)+({_INHERITED})"
        " FROM latest WHERE key IS NULL OR nth=1",
        origin,
        version,
        origin,
        fork,
    )


def inherited(tx: Tx, forks: Iterable[str]) -> list[DocumentRow]:
    """Return what these forks have from their origins and haven't replaced, in order; nothing internal."""
    sql = f"SELECT {_INHERITS} FROM {_SHARED} WHERE s.run_id IN list(?) AND s.replaced_at IS NULL AND d.internal=0"
    return tx.fetch(DocumentRow._make, f"{sql} ORDER BY s.run_id, s.position", tx.listed(forks))


def hand_over(tx: Tx, leaving: Iterable[str], limit: int = _ALL_OF_THEM) -> int:
    """Give documents of runs that are to be deleted to forks that share them, at most `limit`; return their number."""
    gone = tx.listed(leaving)
    # A fork that is being made of one of them holds its row: its shares are seen once that is done.
    tx.rows("SELECT id FROM stepwell_runs WHERE id IN list(?) ORDER BY id FOR NO KEY UPDATE", gone)
    found = tx.rows(
        f"SELECT d.id, min(s.run_id) FROM {_SHARED} WHERE d.run_id IN list(?) AND NOT (s.run_id IN list(?))"
        " GROUP BY d.id LIMIT ?",
        gone,
        gone,
        limit,
    )
    share = "(SELECT {} FROM stepwell_shared_documents WHERE document_id=? AND run_id=?)"
    tx.each(
        "UPDATE stepwell_documents SET run_id=?, version=0,"
        f" position={share.format('position')}, replaced_at={share.format('replaced_at')} WHERE id=?",
        [(heir, one, heir, one, heir, one) for one, heir in found],
    )
    tx.each(
        "DELETE FROM stepwell_shared_documents WHERE document_id=? AND run_id=?", [(one, heir) for one, heir in found]
    )
    return len(found)
