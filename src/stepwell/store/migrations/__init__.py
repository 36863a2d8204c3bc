"""Migrations, run by Stepwell itself in one transaction of the caller's: several processes may start at once.

A revision only adds to the tables of the one before it, so that code of the version before goes on with them; what is no
longer used is dropped a revision later at the earliest. So code starts on tables of its own revision and of the next one."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from stepwell.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

_SCRIPTS = Path(__file__).parent
VERSION_TABLE = "stepwell_alembic_version"


def upgrade(connection: Connection) -> str:
    """Migrate the database to this version of Stepwell, and return its revision.

    A database of the next revision stays as it is. Raises ConfigurationError if it is of a newer one.
    """
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_SCRIPTS))
    head = scripts.get_current_head()
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    revision = context.get_current_revision()
    _refuse_newer(scripts, revision)
    if is_next(revision, head):
        return revision or ""
    if revision != head:
        _run(context, scripts, head or "")
    return head or ""


def is_next(revision: str | None, head: str | None) -> bool:
    """Return whether the database is one revision ahead of the code, which goes on with it: see docs/why/tables.md."""
    return _number(revision) == (_number(head) or 0) + 1


def _number(revision: str | None) -> int | None:
    return int(revision) if revision is not None and revision.isascii() and revision.isdigit() else None


def upgrade_sql(dialect: str, revision: str | None, schema: str | None = None) -> str:
    """Return the statements that `upgrade` would execute, for people to read and to execute; empty if there are none.

    `dialect` is SQLAlchemy's name of the database, `revision` that of its tables. Raises ConfigurationError as `upgrade`.
    """
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts, buffer = ScriptDirectory(str(_SCRIPTS)), StringIO()
    head = scripts.get_current_head()
    _refuse_newer(scripts, revision)
    if revision == head or is_next(revision, head):
        return ""
    options = {"as_sql": True, "output_buffer": buffer, "version_table": VERSION_TABLE, "starting_rev": revision}
    context = MigrationContext.configure(dialect_name=dialect, opts=options)
    with context.begin_transaction():
        if schema is not None:
            context.impl.static_output(f"CREATE SCHEMA IF NOT EXISTS {schema};\n\nSET LOCAL search_path TO {schema};\n")
        _run(context, scripts, head or "")
    return buffer.getvalue()


def _refuse_newer(scripts: ScriptDirectory, revision: str | None) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known and not is_next(revision, scripts.get_current_head()):
        raise ConfigurationError(
            f"The database is of revision {revision!r}, which this version of Stepwell (up to "
            f"{scripts.get_current_head()!r}) doesn't know: it was written by a newer one. Upgrade the stepwell package."
        )


def _run(context: object, scripts: object, head: str) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    assert isinstance(context, MigrationContext)
    assert isinstance(scripts, ScriptDirectory)
    context._migrations_fn = lambda revision, _: scripts._upgrade_revs(head, revision)  # the documented hook of env.py
    with Operations.context(context):
        context.run_migrations()


def check(connection: Connection) -> None:
    """Raise ConfigurationError unless the database is of this version's revision, or of the next one."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_SCRIPTS))
    head, revision = scripts.get_current_head(), current(connection)
    if revision == head or is_next(revision, head):
        return
    _refuse_newer(scripts, revision)
    found = "has no Stepwell tables" if revision is None else f"is of revision {revision!r}"
    raise ConfigurationError(
        f"The database {found}, and this version of Stepwell needs {head!r}: run `stepwell db upgrade`, or set "
        "auto_migrate=True."
    )


def current(connection: Connection) -> str | None:
    """Return the revision of the database; None if it has no Stepwell tables."""
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def alembic_include_object(
    object_: object, name: str | None, type_: str, reflected: bool, compare_to: object | None
) -> bool:
    """Return False for Stepwell's own tables. For the `include_object` of your Alembic `env.py`, if they share a database.

    Without it `alembic revision --autogenerate` proposes to drop them, because your metadata lacks them.
    """
    from stepwell.store import tables

    own = {VERSION_TABLE, *(table.name for table in tables.runs.metadata.tables.values())}
    return type_ != "table" or name not in own
