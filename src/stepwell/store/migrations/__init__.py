"""Migrations, run by Stepwell itself in one transaction of the caller's: several processes may start at once."""

from __future__ import annotations

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

    Raises ConfigurationError if the database is of a newer version.
    """
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_SCRIPTS))
    head = scripts.get_current_head()
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    revision = context.get_current_revision()
    _refuse_newer(scripts, revision)
    if revision != head:
        _run(context, scripts, head or "")
    return head or ""


def _refuse_newer(scripts: ScriptDirectory, revision: str | None) -> None:
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
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
    """Raise ConfigurationError unless the database is of this version's revision."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_SCRIPTS))
    head, revision = scripts.get_current_head(), current(connection)
    if revision == head:
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
