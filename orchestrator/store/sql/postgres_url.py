"""Read plain PostgreSQL URLs without SQLAlchemy, whose import takes longer than most answers."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from orchestrator.domain.credentials import HIDDEN, without_credentials
from orchestrator.domain.errors import StoreError

BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
DEFAULTS = {
    "application_name": "benchfleet",
    # libpq would take PGCLIENTENCODING or the server's: SQL_ASCII has no texts, and LATIN1 not all of them.
    "client_encoding": "utf8",
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""Bounds on waiting for a silent server, and the encoding of texts. Poolers take these keys, and no `options`."""
OF_A_HOST = {"hostaddr": ""}
"""libpq would take PGHOSTADDR, which leads to another server than the host of the URL."""
NAMES = ("postgresql", "postgres", "postgresql+psycopg")
SHOWN_NAME = NAMES[0]
"""What people see: nobody types the name of a driver."""

# Only texts that mean the same to libpq, to SQLAlchemy and to readers: nothing escaped, no query.
_PLAIN = re.compile(
    rf"(?:{'|'.join(map(re.escape, NAMES))})://"
    r"(?:(?P<user>[A-Za-z0-9_.-]+)(?::(?P<password>[A-Za-z0-9_.~-]+))?@)?"
    r"(?P<place>[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9_.-]+)"
)


# What roles, databases and PGOPTIONS may set otherwise: how moments, numbers, bytes and quotes are written.
_FORMS = {
    "datestyle": "ISO, MDY",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}


def settings_of_transaction(options: str, **further: str) -> str:
    """Return the statement that sets what a transaction depends on, for the transaction alone.

    A pooler gives each transaction a session of the server that others use too: what a session sets is lost there, or
    changes other people's work. `options` are those of the URL, whose own `lock_timeout` is kept.
    """
    wait = {} if "lock_timeout" in options else {"lock_timeout": f"{BUSY_TIMEOUT_S}s"}
    parts = [f"set_config('{name}', '{value}', true)" for name, value in {**_FORMS, **wait, **further}.items()]
    return f"SELECT {', '.join(parts)}"


def plain_conninfo(text: str) -> tuple[str, str] | None:
    """Return libpq's URL of a plain URL, completed by our defaults, and the URL for people to see.

    Return None for any other URL, to be parsed by SQLAlchemy.
    """
    found = _PLAIN.fullmatch(text)
    if found is None:
        return None
    user, password, place = found["user"], found["password"], found["place"]
    login, shown = "", ""
    if user is not None:
        login = f"{user}@" if password is None else f"{user}:{password}@"
        shown = f"{user}@" if password is None else f"{user}:{HIDDEN}@"
    shown_url = without_credentials(f"{SHOWN_NAME}://{shown}{place}")
    return f"postgresql://{login}{place}?{urlencode(sorted({**DEFAULTS, **OF_A_HOST}.items()))}", shown_url


def require_psycopg() -> None:
    """Raise StoreError without psycopg."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"PostgreSQL needs psycopg, which cannot be imported: {error}", "pip install 'benchfleet[postgres]'"
        ) from None
