"""Upgrade a database to the schema of the code, safely even if several processes try at once.

After a change of `tables`, `python -m orchestrator.store.schema.migrations "TITLE"` writes the next migration.
Then raise HEAD in `revision`, and write docs/schema.md anew.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from orchestrator.domain.errors import StoreError, WrongSchema
from orchestrator.resources import shipped
from orchestrator.store.schema.dependants import change_beneath
from orchestrator.store.schema.revision import HEAD as HEAD
from orchestrator.store.sql.engine import Database, parse_url

if TYPE_CHECKING:
    from alembic.config import Config

_ADVISORY_LOCK = 0x62656E6368666C74  # "benchflt" in ASCII: a number that no other program uses by chance


def migrations_directory() -> Path:
    """Return the folder of migrations. Raise StoreError if the installation lacks the folder."""
    try:
        return shipped("migrations")
    except FileNotFoundError as error:
        raise StoreError(str(error), "install benchfleet again") from None


def revision(connection: Connection) -> str | None:
    """Return the revision of a database, or None without any tables of benchfleet."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def ensure_current(database: Database, *, upgrade: bool) -> None:
    """Upgrade a database to HEAD if need be.

    Raise WrongSchema for a newer or unknown revision, and for an older revision without `upgrade`.
    """
    with database.read() as connection:
        found = revision(connection)
    if found == HEAD:
        return  # by a plain SELECT: alembic's import takes time, and most commands find nothing to do
    _refuse_unknown(database, found)
    if not upgrade:
        if found is None:
            _refuse_out_of_sight(database)
        state = "has no tables of benchfleet" if found is None else f"is at schema {found}, this program needs {HEAD}"
        who = "run" if database.may_write else "whoever may write it runs"
        raise WrongSchema(f"{database.shown}: the database {state}", f"{who}: benchfleet db upgrade")
    migrate(database, HEAD)


def _refuse_out_of_sight(database: Database) -> None:
    """Raise StoreError if benchfleet's tables are there, in a schema in which the user's session does not look."""
    if database.is_sqlite:
        return
    with database.read() as connection:
        schema = connection.execute(_ELSEWHERE).scalar()
    if schema is not None:
        raise StoreError(
            f"{database.shown}: the tables are in the schema {schema}, where this user does not look or may not",
            f"GRANT USAGE ON SCHEMA {schema} TO USER; ALTER ROLE USER SET search_path = {schema}",
        )


_ELSEWHERE = text(
    "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE relname = 'alembic_version' AND relkind = 'r' ORDER BY 1 LIMIT 1"
)
_ENCODINGS = frozenset({"UTF8", "SQL_ASCII"})
"""UTF8 has every letter, and SQL_ASCII keeps the bytes of UTF-8 as they are."""


def _refuse_encoding(connection: Connection, shown: str) -> None:
    """Raise StoreError for a new database that lacks letters: devices and files have names in any of them."""
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding not in _ENCODINGS:
        raise StoreError(
            f"{shown}: the database has the encoding {encoding}, which lacks letters that devices and files may use",
            "make one that has all of them: createdb -E UTF8 -T template0 --locale=C NAME",
        )


def migrate(database: Database, target: str) -> None:
    """Upgrade a database to revision `target` in one transaction. Other processes wait."""
    from alembic import command

    with _exclusive(database) as connection:
        found = revision(connection)
        _refuse_unknown(database, found)
        if found is None and not database.is_sqlite:
            _refuse_encoding(connection, str(database.shown))
        if found != target:
            change_beneath(connection, lambda: command.upgrade(_config(connection), target))


def downgrade(database: Database, target: str) -> None:
    """Downgrade a database to revision `target`, or to no tables at all by "base".

    Rows and columns unknown to the older revision are lost.
    """
    from alembic import command

    with _exclusive(database) as connection:
        change_beneath(connection, lambda: command.downgrade(_config(connection), target))


def known_revisions() -> list[str]:
    """Return all revisions of `migrations/versions`, newest first."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", _escaped(migrations_directory()))
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]


def new_revision(message: str) -> Path:
    """Write the next migration from the difference of tables and migrations, and return the file.

    A person has to read and complete the migration.
    """
    from alembic import command

    # A fresh database has exactly what the migrations make.
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
        raise WrongSchema(
            f"{database.shown}: the database is at schema {found}, which this program does not know: "
            "a newer benchfleet made it, or it is another program's",
            "upgrade benchfleet, or use another database",
        )


@contextmanager
def _exclusive(database: Database) -> Iterator[Connection]:
    """Begin a writing transaction, and keep other upgrades waiting until the end."""
    with database.write() as connection:
        # On SQLite a writing transaction is alone anyway.
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
    # alembic reads options through configparser, where % begins a reference.
    return str(folder).replace("%", "%%")


if __name__ == "__main__":
    sys.stdout.write(f"{new_revision(sys.argv[1])}\n")
