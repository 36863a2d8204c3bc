"""The tables of forks and of further workspaces."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table

from stepwell.store.columns import TEXT, metadata, moments, texts

# The documents that a fork has in common with its origin, each until the fork replaces it: the document's own row stays
# with the run that saved it.
shared_documents = Table(
    "stepwell_shared_documents",
    metadata,
    *texts("run_id", "document_id"),
    Column("position", BigInteger, nullable=False),
    *moments("replaced_at", null=True),
    PrimaryKeyConstraint("run_id", "document_id"),
    Index("stepwell_shared_documents_of", "document_id", "run_id"),
    sqlite_with_rowid=False,
)

# The workspaces that users have besides the first one of each app.
made_workspaces = Table(
    "stepwell_made_workspaces",
    metadata,
    Column("id", TEXT, primary_key=True),
    *texts("app_name", "user_id"),
    *moments("created_at"),
    *texts("title", null=True),
    Index("stepwell_made_workspaces_of", "app_name", "user_id", "id"),
    sqlite_with_rowid=False,
)
