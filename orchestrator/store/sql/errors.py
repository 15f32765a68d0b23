"""Turn the errors of database drivers into a line and a remedy."""

from __future__ import annotations

from pathlib import Path

from orchestrator.domain.errors import BadDatabaseUrl, StoreError

_REMEDIES: tuple[tuple[str, str, str], ...] = (
    ("database is locked", "locked by another process", "wait for it to end, or look for one that hangs: fuser FILE"),
    ("unable to open database file", "cannot be opened", "check that the folder exists and that you may write there"),
    ("readonly database", "cannot be written", "check the permissions of the file and of its folder"),
    ("database or disk is full", "the disk is full", "free some space; devices keep what is not stored yet"),
    ("disk i/o error", "the disk failed", "check the disk (dmesg) and its free space"),
    ("file is not a database", "is not an SQLite database", "check the path, or restore the file from a backup"),
    ("file is encrypted", "is not an SQLite database", "check the path, or restore the file from a backup"),
    ("malformed", "the file is damaged", "restore it from a backup, or try: sqlite3 FILE .recover"),
    ("connection refused", "nothing answers there", "check host and port, and that the server runs"),
    ("no such file or directory", "nothing answers there", "check the socket's folder, and that the server runs"),
    ("could not translate host name", "the host name is unknown", "check the host in the URL"),
    ("failed to resolve host", "the host name is unknown", "check the host in the URL"),
    ("timeout expired", "no answer in time", "check host and port, and any firewall between"),
    ("connection timeout", "no answer in time", "check host and port, and any firewall between"),
    ("password authentication failed", "the password was refused", "check user and password, or ~/.pgpass"),
    ("no password supplied", "a password is needed", "put it into ~/.pgpass or PGPASSWORD"),
    ("no pg_hba.conf entry", "the server does not let this user in from here", "ask its administrator (pg_hba.conf)"),
)

_SQLSTATE_REMEDIES: dict[str, tuple[str, str]] = {
    "3D000": ("there is no such database", "create it: createdb NAME"),
    "28000": ("the server refused this user", "check the user in the URL, or ask the administrator"),
    "28P01": ("the password was refused", "check user and password, or ~/.pgpass"),
    "53100": ("the server's disk is full", "free some space there; devices keep what is not stored yet"),
    "53300": ("the server has no connection to spare", "close some, or raise max_connections"),
    "57P01": ("the server was shut down", "start it again; devices keep what is not stored yet"),
    "57P03": ("the server is starting or stopping", "try again in a moment"),
    "42501": ("permission denied", "grant this user the rights, or use the owner of the tables"),
    "25006": ("the server is read-only", "connect to the primary, not to a standby"),
    "55P03": ("locked by another session", "wait for it to end"),
}


def from_driver(error: BaseException, database: str) -> StoreError:
    """Return an error of sqlite3 or psycopg as StoreError. The message holds neither passwords nor values.

    `database` names the database to people.
    """
    said = " ".join(str(error).split())
    # The SQLSTATE first: a server's texts are in the server's language.
    state = getattr(error, "sqlstate", None)
    if state in _SQLSTATE_REMEDIES:
        what, hint = _SQLSTATE_REMEDIES[state]
        return StoreError(f"{database}: {what}", hint)
    lowered = said.lower()
    for text, what, hint in _REMEDIES:
        if text in lowered:
            return StoreError(f"{database}: {what}", hint)
    if 'database "' in lowered and "does not exist" in lowered:
        return StoreError(f"{database}: there is no such database", "create it: createdb NAME")
    if 'role "' in lowered and "does not exist" in lowered:
        return StoreError(f"{database}: the server does not know this user", "check the user in the URL")
    return StoreError(f"{database}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    # The lines after the first may quote the values of the statement.
    return lines[0][:300] if lines else type(error).__name__


def refuse_other_than_file(path: Path) -> None:
    """Raise BadDatabaseUrl if the database is a folder, a device or a pipe. SQLite would report a failing disk."""
    if path.is_dir():
        raise BadDatabaseUrl(f"the database {path} is a folder", f"name a file in it: {path / 'benchfleet.db'}")
    if path.exists() and not path.is_file():
        raise BadDatabaseUrl(f"the database {path} is a device, a pipe or a socket", "name a file")
