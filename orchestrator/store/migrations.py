"""Bring a database to the schema that this version speaks, safely when several processes try at once.

The revision is compared by a plain SELECT; alembic is imported only where it differs. After a change of `tables`,
`python -m orchestrator.store.migrations "what changes"` writes the next migration; HEAD and docs/schema.md follow.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from orchestrator.domain.errors import StoreError
from orchestrator.resources import shipped
from orchestrator.store.engine import Database, parse_url
from orchestrator.store.schema_revision import HEAD as HEAD

if TYPE_CHECKING:
    from alembic.config import Config

_ADVISORY_LOCK = 0x62656E6368666C74


def migrations_directory() -> Path:
    """Return the folder of migrations: in an installed package beside the code, in a checkout at its top."""
    try:
        return shipped("migrations")
    except FileNotFoundError as error:
        raise StoreError(str(error), "install benchfleet again") from None


def revision(connection: Connection) -> str | None:
    """Return the revision that a database is at; None where it has no tables of ours."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def ensure_current(database: Database, *, upgrade: bool) -> None:
    """Upgrade a database that is not at HEAD, or say how to; one that is newer than this program is refused."""
    with database.read() as connection:
        found = revision(connection)
    if found == HEAD:
        return
    _refuse_unknown(database, found)
    if not upgrade:
        state = "has no tables of benchfleet" if found is None else f"is at schema {found}, this program needs {HEAD}"
        raise StoreError(f"{database.shown}: the database {state}", "run: benchfleet db upgrade")
    migrate(database, HEAD)


def migrate(database: Database, target: str) -> None:
    """Upgrade to revision `target`, in one transaction and one process at a time."""
    from alembic import command

    with _exclusive(database) as connection:
        found = revision(connection)
        _refuse_unknown(database, found)
        if found != target:
            command.upgrade(_config(connection), target)


def downgrade(database: Database, target: str) -> None:
    """Go back to revision `target` ("base": no tables at all); rows that it has no place for are lost."""
    from alembic import command

    with _exclusive(database) as connection:
        command.downgrade(_config(connection), target)


def known_revisions() -> list[str]:
    """Return every revision of `migrations/versions`, newest first."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", _escaped(migrations_directory()))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]


def new_revision(message: str) -> Path:
    """Write the next migration: what the tables have and the migrations do not; to be read and completed by hand."""
    from alembic import command

    with tempfile.TemporaryDirectory() as folder:
        database = Database(parse_url(f"{folder}/head.db"))
        migrate(database, HEAD)
        with _exclusive(database) as connection:
            number = f"{int(HEAD) + 1:04}"
            script = command.revision(_config(connection), message, autogenerate=True, rev_id=number)
        database.close()
    return Path(script.path)  # type: ignore[union-attr]


def _refuse_unknown(database: Database, found: str | None) -> None:
    if found is not None and found != HEAD and found not in known_revisions():
        raise StoreError(
            f"{database.shown}: the database is at schema {found}, which this program does not know: "
            "a newer benchfleet made it, or it is another program's",
            "upgrade benchfleet, or use another database",
        )


@contextmanager
def _exclusive(database: Database) -> Iterator[Connection]:
    """Begin a writing transaction that no other upgrade runs beside."""
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield connection


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _escaped(migrations_directory()))
    config.attributes["connection"] = connection
    return config


def _escaped(folder: Path) -> str:
    return str(folder).replace("%", "%%")


if __name__ == "__main__":
    sys.stdout.write(f"{new_revision(sys.argv[1])}\n")
