"""Answer SQL over a PostgreSQL database, in read-only transactions and in bounded memory.

A statement runs alone, by the extended protocol, in a READ ONLY transaction, which is rolled back in any case. The
transaction mode covers every change of the database: tables, sequences, large objects, temporary tables, roles, locks
of rows. The mode does not cover functions with effects outside of the database (`pg_read_file`, `lo_export`,
`pg_terminate_backend`, `COPY … TO PROGRAM`). PostgreSQL grants these to superusers and to members of certain roles.
Therefore only statements with rows as result are taken, and a superuser is first made a plain reader
(`pg_read_all_data`). The change of role prevents accidents. A superuser can still take the powers back. A dashboard,
where other people type, needs an account without possessions.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.store.console.wording import HINT, LOCKED_OUT, Names, too_long, wrong_statement
from orchestrator.store.sql.errors import from_driver
from orchestrator.store.sql.postgres_url import settings_of_transaction

if TYPE_CHECKING:
    import psycopg

ROW_BYTES_MAX = 16 << 20
"""The longest row, as text."""

_TOO_WIDE = "benchfleet: bytes of a row:"
_TOO_LONG = "benchfleet: bytes of an answer:"
_RETURNING_ROWS = ("select", "with", "values", "table", "explain", "show")
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_WHOLE = r"""
    (?P<end>;) | (?P<comment>/\*) | --[^\n]*
    | e'(?:\\.|''|[^'\\])*+' | '(?:''|[^'])*+' | "(?:""|[^"])*+" | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    | \w[\w$]* | .
"""
_TOKEN = re.compile(_WHOLE, re.DOTALL | re.IGNORECASE | re.VERBOSE)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_UTILITIES = ("explain", "show")
_JSON_OID = 114
_UNREADABLE = re.compile(r"permission denied for (table|view|materialized view|schema|relation) ")
_GRANT = "this user lacks a right: GRANT SELECT ON ALL TABLES IN SCHEMA public TO USER, which counts for views too"
_ENDED_BY_SERVER = frozenset({"25P03", "25P04"})
"""Time limits of idle transactions, and of transactions, in a class of errors of its own."""

_IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_NAMES = """
    SELECT table_name::text, column_name::text FROM information_schema.columns
    WHERE table_schema = ANY (current_schemas(false)) ORDER BY table_name, ordinal_position
"""

Rows = Generator[Sequence[Any], None, None]


class PostgresConsole:
    """Query a PostgreSQL database in read-only transactions."""

    def __init__(self, conninfo: str, shown: str, timeout_s: float) -> None:
        import psycopg

        self._shown = shown
        self._timeout_s = timeout_s
        self._rows = _none()
        try:
            # Statements prepared by name belong to a session, which a pooler shares out.
            self._connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
            self._connection.read_only = True
            superuser = self._connection.execute(_IS_SUPERUSER).fetchone()
        except psycopg.Error as error:
            raise from_driver(error, shown) from None
        # The role came with PostgreSQL 14.
        lowered = superuser and superuser[0] and self._connection.info.server_version >= 140000
        # For the transaction alone: behind a pooler the session is another one each time, and others have it next.
        self._settings = settings_of_transaction(
            "",
            statement_timeout=f"{int(timeout_s * 1000)}",
            timezone="UTC",
            **({"role": "pg_read_all_data"} if lowered else {}),
        )

    def query(
        self, statement: str, limit: int | None = None, values: Sequence[str] = ()
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return column names and rows; raise ConfigError for a wrong or writing statement."""
        if not _first_word(statement):
            raise ConfigError(f"{LOCKED_OUT}: begin with {', '.join(_RETURNING_ROWS).upper()}", HINT)
        self._rows.close()
        self._rows = self._stream(statement, limit, values)
        columns = next(self._rows)
        return list(columns), self._rows

    def close(self) -> None:
        """Disconnect."""
        self._rows.close()
        self._connection.close()

    def _stream(self, statement: str, limit: int | None, values: Sequence[str]) -> Rows:
        """Yield the column names, then the rows. The transaction is rolled back at the end of the iteration."""
        import psycopg

        try:
            with self._connection.transaction(force_rollback=True):
                # The first query fixes the mode: no later statement can turn the transaction into a writing one.
                self._connection.execute(self._settings)
                # A raw cursor: $1 is PostgreSQL's own, and a % of a person's statement stays one.
                with psycopg.RawCursor(self._connection) as cursor:
                    yield from _rows(cursor, statement, limit, values)
        except psycopg.errors.QueryCanceled:
            raise too_long(self._timeout_s) from None
        except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege) as error:
            if _UNREADABLE.match(error.diag.message_primary or ""):
                raise ConfigError(f"SQL: {error.diag.message_primary}", _GRANT) from None
            raise ConfigError(f"{LOCKED_OUT} ({error.diag.message_primary})", HINT) from None
        except psycopg.errors.FeatureNotSupported as error:
            # WITH … DELETE inside of the guard's query
            raise ConfigError(f"{LOCKED_OUT} ({error.diag.message_primary})", HINT) from None
        except (psycopg.OperationalError, psycopg.errors.CharacterNotInRepertoire, UnicodeError) as error:
            raise from_driver(error, self._shown) from None
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error)
            if error.sqlstate in _ENDED_BY_SERVER:
                raise StoreError(
                    f"{self._shown}: {said}", "ask again; a time limit of the server ends idle sessions"
                ) from None
            if _TOO_LONG in said:
                raise ConfigError(f"the answer is longer than {ROW_BYTES_MAX >> 20} MiB", "ask for less") from None
            if _TOO_WIDE in said:
                raise ConfigError(f"a row is longer than {ROW_BYTES_MAX >> 20} MiB", "ask for fewer columns") from None
            raise wrong_statement(said, statement, self._names) from None

    def _names(self) -> Names:
        """Return what a statement could have named. A database that does not say has no names."""
        import psycopg

        try:
            with self._connection.transaction(force_rollback=True):
                self._connection.execute(self._settings)
                columns = self._connection.execute(_NAMES).fetchall()
                functions = self._connection.execute("SELECT DISTINCT proname FROM pg_proc").fetchall()
        except psycopg.Error:
            return Names((), ())
        return Names(columns, [name for (name,) in functions])


def _none() -> Rows:
    yield from ()


def _rows(cursor: psycopg.RawCursor[Any], statement: str, limit: int | None, values: Sequence[str]) -> Rows:
    columns = _columns(cursor, statement)
    names = [name for name, _ in columns]
    yield names
    is_utility = _first_word(statement) in _UTILITIES
    asked = _collected(cursor, statement, columns) if is_utility else _bounded(statement, len(names))
    stream = cast(Rows, cursor.stream(asked, values or None))
    with closing(stream):
        for place, row in enumerate(stream, 1):
            if limit is not None and place > limit:
                return
            # After the statement's own columns may come the guard's.
            yield row[: len(names)]


def _columns(cursor: psycopg.RawCursor[Any], statement: str) -> Sequence[tuple[str, int]]:
    """Return names and types of a statement's columns. The statement is parsed, and not executed.

    Raise psycopg.Error for a wrong statement.
    """
    from psycopg.errors import error_from_result
    from psycopg.pq import ExecStatus

    connection = cursor.connection.pgconn
    for result in (connection.prepare(b"", statement.encode()), described := connection.describe_prepared(b"")):
        if result.status != ExecStatus.COMMAND_OK:
            raise error_from_result(result)
    return [
        ((described.fname(place) or b"").decode(errors="backslashreplace"), described.ftype(place))
        for place in range(described.nfields)
    ]


def _bounded(statement: str, width: int) -> bytes:
    """Return a statement with failure on the server at a row longer than ROW_BYTES_MAX.

    The client has no such limit: libpq takes a row of any length into memory, several times.
    """
    if not width:
        return statement.encode()
    names = [f"benchfleet_{place}" for place in range(width)]
    length = " + ".join(f"coalesce(octet_length({name}::text)::bigint, 0)" for name in names)
    # A cast that fails tells of the row: a statement that only reads has no other way to raise an error of its own.
    # The text of the cast depends on the row, or the planner would compute the cast for every statement.
    guard = f"CASE WHEN {length} > {ROW_BYTES_MAX:d} THEN ('{_TOO_WIDE} ' || ({length}))::integer END"
    columns = ", ".join(names)
    # A line of its own, because the statement may end with a comment.
    own = _without_end(statement)
    return f"SELECT {columns}, {guard} FROM (\n{own}\n) AS benchfleet ({columns})".encode()  # noqa: S608 - read-only


def _collected(cursor: psycopg.RawCursor[Any], statement: str, columns: Sequence[tuple[str, int]]) -> bytes:
    """Execute EXPLAIN or SHOW, neither of which can be a subquery, and return the query for the answer.

    The server keeps the answer for the time of the transaction, and fails at an answer longer than ROW_BYTES_MAX.
    """
    from psycopg.sql import SQL, Literal

    body = SQL("""
        DECLARE
            one record;
            answer json[] := '{{}}';
            length bigint := 0;
        BEGIN
            FOR one IN EXECUTE {statement} LOOP
                answer := answer || to_json(one);
                length := length + octet_length(one::text);
                IF length > {most} THEN
                    RAISE EXCEPTION '%', {words} || length;
                END IF;
            END LOOP;
            PERFORM set_config('benchfleet.answer', array_to_json(answer)::text, true);
        END
    """).format(statement=Literal(statement), most=Literal(ROW_BYTES_MAX), words=Literal(_TOO_LONG))
    cursor.execute(SQL("DO {}").format(Literal(body.as_string(cursor))))
    # JSON stays JSON, and all else that EXPLAIN and SHOW answer is text.
    values = [SQL("one -> {}" if kind == _JSON_OID else "one ->> {}").format(Literal(name)) for name, kind in columns]
    rows = SQL("SELECT {} FROM json_array_elements(current_setting('benchfleet.answer')::json) AS one")
    return rows.format(SQL(", ").join(values)).as_bytes(cursor)


def _without_end(statement: str) -> str:
    """Return a single statement, up to the semicolon at the end."""
    place = 0
    while token := _TOKEN.match(statement, place):
        if token.lastgroup == "end":
            return statement[:place]
        place = _end_of_comment(statement, place) if token.lastgroup == "comment" else token.end()
    return statement


def _end_of_comment(statement: str, place: int) -> int:
    """Return the place after a comment, inner comments included."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(statement, place):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(statement)


def _first_word(statement: str) -> str:
    """Return the first word of a statement, in lower case, or an empty text for a statement without rows as result."""
    begun = _COMMENTS.sub("", statement, count=1).lstrip("( \n\t").lower()
    return next((word for word in _RETURNING_ROWS if begun.startswith(word)), "")
