"""Open a database for SQL typed by people, without a way to write. The engine refuses writes, no filter of the text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.database_url import refuse_mistyped_url
from orchestrator.store.console.sqlite_console import InProcessConsole, SqliteConsole
from orchestrator.store.sql.errors import refuse_other_than_file

if TYPE_CHECKING:
    from orchestrator.store.base import SqlConsole

TIMEOUT_S = 60.0
PAGE_TIMEOUT_S = 20.0
"""A statement typed at a page: shorter, because many people share the server."""


def open_console(url: str, timeout_s: float = TIMEOUT_S, *, own: bool = False) -> SqlConsole:
    """Open a database for reading, without creating or upgrading it.

    A statement may take `timeout_s` seconds. `own` saves the start of a process, for statements of benchfleet rather
    than of people. Raise StoreError if the database cannot be opened, and BadDatabaseUrl for a wrong URL.
    """
    of_file = InProcessConsole if own else SqliteConsole
    file = sqlite_file(url)
    if file is not None:
        refuse_other_than_file(file)
        return of_file(file, timeout_s)
    from orchestrator.store.sql.postgres_url import plain_conninfo, require_psycopg

    plain = plain_conninfo(url)
    if plain is not None:
        require_psycopg()
    conninfo, shown = plain or _parsed(url)
    if conninfo is None:
        return of_file(Path(shown), timeout_s)
    from orchestrator.store.console.postgres_console import PostgresConsole

    return PostgresConsole(conninfo, shown, timeout_s)


def _parsed(url: str) -> tuple[str | None, str]:
    """Return libpq's URL of a PostgreSQL database with the URL for people to see, or None with the path of a file."""
    # Imported late, because SQLAlchemy's import takes longer than a whole query of a file.
    from orchestrator.store.sql.engine import parse_url, redacted, with_defaults

    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        return None, str(parsed.database)
    from psycopg.conninfo import make_conninfo

    # As the driver of SQLAlchemy has them: of several hosts libpq takes a list, and no URL with one key twice.
    complete = with_defaults(parsed)
    _, arguments = complete.get_dialect()().create_connect_args(complete)
    return make_conninfo(**arguments), redacted(parsed)


def sqlite_file(url: str) -> Path | None:
    """Return the file of a plain path or a plain SQLite URL. Return None for a URL to be parsed by SQLAlchemy.

    Importing SQLAlchemy takes longer than a whole reading command. Raise BadDatabaseUrl for a mistyped URL.
    """
    refuse_mistyped_url(url)
    path = url.removeprefix("sqlite:///")
    if path in ("", ":memory:") or "://" in path or "?" in path:
        return None
    return Path(path).expanduser().absolute()
