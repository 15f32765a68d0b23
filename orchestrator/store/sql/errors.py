"""Turn the errors of database drivers into a line and a remedy."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from orchestrator.domain.errors import BadDatabaseUrl, StoreError

_NOT_UTF8 = "a text in the database is not UTF-8: another program has written it"
_NOT_UTF8_HINT = "find it and write it again; tables of benchfleet take UTF-8 alone"
_NO_LOCKS = "its file system does not keep the locks, or the shared memory, that SQLite needs"
_NO_LOCKS_HINT = "put the file on a disk of this machine (is it a network disk now?), or use PostgreSQL"
_WITHOUT_LOCKS = frozenset(
    {
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMLOCK,
        sqlite3.SQLITE_IOERR_SHMMAP,
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_RDLOCK,
        sqlite3.SQLITE_IOERR_UNLOCK,
    }
)
_KEY_HINT = "check sslcert= and sslkey= of the URL, or PGSSLCERT and PGSSLKEY of the environment"
_TLS_OR_ASK = "try ?sslmode=require, or ask its administrator (pg_hba.conf)"
_KEY_FILES = (
    (
        "has group or world access",
        "the key file of this client is open to others, and libpq takes none such",
        "chmod 600 the file of sslkey= (or PGSSLKEY)",
    ),
    ("certificate present, but not private key", "the key of this client's certificate is missing", _KEY_HINT),
    ("could not load private key", "the key of this client's certificate cannot be read", _KEY_HINT),
    ("could not read certificate file", "the certificate of this client cannot be read", _KEY_HINT),
    ("could not open certificate file", "the certificate of this client cannot be read", _KEY_HINT),
    (
        "does not match host name",
        "the server's certificate is for another name",
        "name the server in the URL as its certificate does, or check sslmode only as far as verify-ca",
    ),
    (
        "channel binding required",
        "channel binding is asked for, and the connection has none",
        "take channel_binding out of the URL, or PGCHANNELBINDING out of the environment, or connect by TLS",
    ),
    (
        "gssapi encryption required",
        "encryption by GSSAPI is asked for, and there is no ticket",
        "kinit, or take gssencmode out of the URL, or PGGSSENCMODE out of the environment",
    ),
    (
        "invalid response to ssl negotiation",
        "what answers there is no PostgreSQL",
        "check host and port: does another server, or a proxy for pages, listen there?",
    ),
    (
        "not currently accepting connections",
        "the database takes no connections",
        "ask its administrator: ALTER DATABASE NAME ALLOW_CONNECTIONS true",
    ),
)
"""What libpq says of TLS and of its own settings. Some of it holds words that mean something else further below."""
_REMEDIES: tuple[tuple[str, str, str], ...] = (
    (
        "conflict with recovery",
        "the standby gave up the question for changes of the primary",
        "ask again, or the primary; max_standby_streaming_delay lets questions take longer",
    ),
    (
        "database is locked",
        "locked by another process",
        "wait for it to end, or look for one that hangs: fuser FILE; a network disk without locks says so too",
    ),
    ("unable to open database file", "cannot be opened", "does its folder exist, and may you read it, or make it?"),
    ("could not decode to utf-8", _NOT_UTF8, _NOT_UTF8_HINT),
    ("locking protocol", _NO_LOCKS, _NO_LOCKS_HINT),
    ("changed while it was read", "was changed while it was read", "run the command again"),
    (
        "its last writer has left a journal",
        "its last writer has left a journal beside it (-wal), which cannot be taken in without the right to write",
        "whoever may write there runs: benchfleet runs list; or copy both files to a folder of yours",
    ),
    ("readonly database", "cannot be written", "check the permissions of the file and of its folder"),
    ("database or disk is full", "the disk is full", "free some space; devices keep what is not stored yet"),
    ("disk i/o error", "the disk failed", "check the disk (dmesg) and its free space"),
    ("file is not a database", "is not an SQLite database", "check the path, or restore the file from a backup"),
    ("file is encrypted", "is not an SQLite database", "check the path, or restore the file from a backup"),
    ("malformed", "the file is damaged", "restore it from a backup, or try: sqlite3 FILE .recover"),
    *_KEY_FILES,
    ("connection refused", "nothing answers there", "check host and port, and that the server runs"),
    ("no such file or directory", "nothing answers there", "check the socket's folder, and that the server runs"),
    ("network is unreachable", "this machine has no way there", "a host with IPv6 addresses alone needs IPv6 here too"),
    ("no route to host", "this machine has no way there", "check the network, and any firewall between"),
    ("could not translate host name", "the host name is unknown", "check the host in the URL"),
    ("failed to resolve host", "the host name is unknown", "check the host in the URL"),
    ("timeout expired", "no answer in time", "check host and port, and any firewall between"),
    ("connection timeout", "no answer in time", "check host and port, and any firewall between"),
    ("password authentication failed", "the password was refused", "check user and password, or ~/.pgpass"),
    ("no password supplied", "a password is needed", "put it into ~/.pgpass or PGPASSWORD"),
    ("ssl encryption", "the server does not let this user in from here", "ask its administrator (pg_hba.conf)"),
    ("no encryption", "the server does not let this user in from here, at least without TLS", _TLS_OR_ASK),
    ("ssl off", "the server does not let this user in from here, at least without TLS", _TLS_OR_ASK),
    ("ssl required", "it takes connections by TLS alone", "add ?sslmode=require to the URL"),
    (
        "server does not support ssl",
        "the server has no TLS",
        "take sslmode out of the URL, or PGSSLMODE out of the environment, or turn TLS on there",
    ),
    ("definition of service", "the service is not defined", "check PGSERVICE and ~/.pg_service.conf"),
    (
        "session is not read-only",
        "the server takes writes, and a reading one is asked for",
        "check target_session_attrs of the URL, or PGTARGETSESSIONATTRS of the environment",
    ),
    ("certificate verify failed", "the server's certificate is not trusted", "name its authority: ?sslrootcert=FILE"),
    ("root certificate file", "the authority's certificate is missing", "name the file: ?sslrootcert=FILE"),
    ("unsupported startup parameter", "the pooler takes no `options`", "take options and PGOPTIONS away"),
    (
        "transaction blocks not allowed",
        "the pooler gives out single statements (pool_mode=statement)",
        "use one in transaction or session mode, or the server itself",
    ),
    ("no such database", "there is no such database", "create it: createdb NAME; a pooler needs it in its own list"),
    ("no such user", "the pooler does not know this user", "check the user in the URL, and the pooler's own list"),
    ("max_client_conn", "the pooler has no connection to spare", "close some, or raise max_client_conn"),
    ("query_wait_timeout", "the pooler had no connection in time", "close some, or raise its pool_size"),
    ("server_login_retry", "the pooler does not reach the server", "check that the server behind the pooler runs"),
    ("too many clients", "the server has no connection to spare", "close some, or raise max_connections"),
    ("remaining connection slots", "the server has no connection to spare", "close some, or raise max_connections"),
    ("too many connections for", "this user or database has no connection to spare", "close some, or raise its limit"),
    ("hot standby mode is disabled", "the server is a standby that answers nobody", "connect to the primary"),
    ("the database system is", "the server is starting or stopping", "try again in a moment"),
    ("session is read-only", "no host of the URL takes writes", "check the hosts, or target_session_attrs"),
    ("server is in hot standby mode", "no host of the URL takes writes", "check the hosts, or target_session_attrs"),
    ("no pg_hba.conf entry", "the server does not let this user in from here", "ask its administrator (pg_hba.conf)"),
)

READ_ONLY = ("this user may only read", "take default_transaction_read_only off the user or the database")
STANDBY = ("the server is a standby, which only reads", "connect to the primary: ?target_session_attrs=read-write")
_DENIED = "42501"
_GRANT = "grant this user the rights (GRANT SELECT to read; CREATE on the schema to upgrade), or be the owner"
_Remedy = tuple[str, str]
_SAID_MAX = 120
_NO_LETTERS = (
    "a text has no letters, but bytes that are not UTF-8, and cannot be stored",
    "rename the file or folder that it names",
)

_SQLSTATE_REMEDIES: dict[str, tuple[str, str]] = {
    "3D000": ("there is no such database", "create it: createdb NAME"),
    "28000": ("the server refused this user", "check the user in the URL, or ask the administrator"),
    "28P01": ("the password was refused", "check user and password, or ~/.pgpass"),
    "53100": ("the server's disk is full", "free some space there; devices keep what is not stored yet"),
    "53300": ("the server has no connection to spare", "close some, or raise max_connections"),
    "57P01": (
        "the server was shut down, or its administrator ended this session",
        "does it answer again? then repeat the command; devices keep what is not stored yet",
    ),
    "53200": ("the server is out of memory", "ask for less, or have its limits raised; the server's log says which"),
    "53400": ("the server's own limit ended a question", "ask for less, or have the limit raised: the server's log"),
    "57P03": ("the server is starting or stopping", "try again in a moment"),
    "25006": READ_ONLY,
    # A server in SQL_ASCII keeps any bytes, and checks them for a client of UTF-8.
    "22021": (_NOT_UTF8, f"{_NOT_UTF8_HINT}: SELECT convert_to(COLUMN, 'SQL_ASCII') shows the bytes"),
    "22P05": (
        "a text has a letter that the encoding of the database lacks",
        "nothing of it was stored; one with all: createdb -E UTF8 -T template0 --locale=C NEW; pg_dump OLD | psql NEW",
    ),
    "57014": (
        "the server's own time limit ended a question",
        "ask for less, or have the limit raised: ALTER ROLE NAME SET statement_timeout = '5min'",
    ),
    "25P03": ("the server's limit on idle transactions ended one", "have idle_in_transaction_session_timeout raised"),
    "25P04": ("the server's limit on transactions ended one", "have transaction_timeout raised"),
    "55P03": ("locked by another session", "wait for it to end"),
}


def from_driver(error: BaseException, database: str) -> StoreError:
    """Return an error of sqlite3 or psycopg as StoreError. The message holds neither passwords nor values.

    `database` names the database to people.
    """
    said = " ".join(str(error).split())
    what, hint = _by_kind(error) or _by_state(error) or _by_words(said.lower()) or (_first_line(error), None)
    return StoreError(f"{database}: {what}", hint)


def _by_kind(error: BaseException) -> _Remedy | None:
    if isinstance(error, UnicodeDecodeError):
        return _NOT_UTF8, _NOT_UTF8_HINT
    if isinstance(error, UnicodeError):
        return _NO_LETTERS
    is_lockless = getattr(error, "sqlite_errorcode", None) in _WITHOUT_LOCKS
    return (_NO_LOCKS, _NO_LOCKS_HINT) if is_lockless else None


def _by_state(error: BaseException) -> _Remedy | None:
    # The SQLSTATE before the words: a server's texts are in the server's language.
    state = getattr(error, "sqlstate", None)
    if state == _DENIED:
        # In every language the last word names the table or the schema.
        return f"permission denied for {_first_line(error).rpartition(' ')[2]}", _GRANT
    return _SQLSTATE_REMEDIES.get(state or "")


def _by_words(lowered: str) -> _Remedy | None:
    for text, what, hint in _REMEDIES:
        if text in lowered:
            return what, hint
    if "invalid connection option" in lowered:
        return _said(lowered, "invalid connection option"), "correct the query of the URL; libpq's manual has the names"
    if " value: " in lowered and "invalid " in lowered:
        return _said(lowered, "invalid "), "correct it in the URL, or in the environment (PG…)"
    if 'database "' in lowered and "does not exist" in lowered:
        return "there is no such database", "create it: createdb NAME"
    if 'role "' in lowered and "does not exist" in lowered:
        return "the server does not know this user", "check the user in the URL"
    return None


def _said(lowered: str, beginning: str) -> str:
    """Return what is said from some words on."""
    return lowered[lowered.index(beginning) :][:_SAID_MAX]


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    # The lines after the first may quote the values of the statement.
    return lines[0][:300] if lines else type(error).__name__


def refuse_other_than_file(path: Path) -> None:
    """Raise BadDatabaseUrl if the database is a folder, a device or a pipe. SQLite would report a failing disk."""
    if not os.access(path, os.F_OK):  # absent, or in a folder that one may not enter: opening tells
        return
    if path.is_dir():
        raise BadDatabaseUrl(f"the database {path} is a folder", f"name a file in it: {path / 'benchfleet.db'}")
    if not path.is_file():
        raise BadDatabaseUrl(f"the database {path} is a device, a pipe or a socket", "name a file")
