"""Documents: the current ones in order, and their older versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from uuid_utils import uuid7

from stepwell.engine.commit import Commit
from stepwell.store import tables
from stepwell.store.tables import documents
from stepwell.store.tx import Tx

_ALL = tables.columns(documents)
_ALL_OF_THEM = 2**62
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
                tx.insert(documents, [_replacing(tx, row)])
    tx.insert(documents, plain)


def _replacing(tx: Tx, row: DocumentRow) -> DocumentRow:
    older = tx.rows(
        "UPDATE stepwell_documents SET replaced_at=? WHERE run_id=? AND key=? AND replaced_at IS NULL RETURNING position",
        row.created_at,
        row.run_id,
        row.key,
    )
    return row._replace(position=older[0][0]) if older else row


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
    only = " AND replaced_at IS NULL" if current else ""
    only += "" if internal else " AND internal=0"
    given: list[Any] = [run_id, after]
    if before is not None:
        only += " AND (position, id) < (SELECT position, id FROM stepwell_documents WHERE run_id=? AND id=?)"
        given += [run_id, before]
    order = "position DESC, id DESC" if newest else "position, id"
    wanted = f"FROM stepwell_documents WHERE run_id=? AND version>?{only} ORDER BY {order} LIMIT ?"
    if most_bytes is not None:
        sizes = tx.rows(f"SELECT octet_length(content) + coalesce(octet_length(meta), 0) {wanted}", *given, limit)
        limit = tables.fitting((row[0] for row in sizes), most_bytes)
    found = tx.fetch(DocumentRow._make, f"SELECT {_ALL} {wanted}", *given, limit)
    return found[::-1] if newest else found
