"""Documents: the current ones in order, and their older versions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from uuid_utils import uuid7

from stepwell.engine.commit import Commit
from stepwell.store import rows
from stepwell.store.base import DocumentRow
from stepwell.store.tables import documents

_ALL = rows.columns(documents)
_PER_VERSION = 100_000
"""Positions of one checkpoint's documents: version * this + n keeps all documents of a run in order."""


def save(connection: Connection, commits: Sequence[Commit]) -> None:
    """What the commits saved is stored; a document of a key that is there already takes its place."""
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
            )
            if write.key is None:
                plain.append(row)
            else:
                rows.insert(connection, documents, [_replacing(connection, row)])
    rows.insert(connection, documents, plain)


def _replacing(connection: Connection, row: DocumentRow) -> DocumentRow:
    older = connection.exec_driver_sql(
        "UPDATE stepwell_documents SET replaced_at=? WHERE run_id=? AND key=? AND replaced_at IS NULL RETURNING position",
        (row.created_at, row.run_id, row.key),
    ).fetchall()
    return row._replace(position=older[0][0]) if older else row


def of_run(connection: Connection, run_id: str, *, current: bool = True, limit: int = -1) -> list[DocumentRow]:
    """The documents of a run in order; with `current=False` the replaced ones too, each before its successor.

    `limit`: the first ones only.
    """
    only = " AND replaced_at IS NULL" if current else ""
    return rows.fetch(
        connection,
        DocumentRow._make,
        f"SELECT {_ALL} FROM stepwell_documents WHERE run_id=?{only} ORDER BY position, id LIMIT ?",
        run_id,
        limit,
    )
