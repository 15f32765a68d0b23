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
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    "options": f"-clock_timeout={BUSY_TIMEOUT_S}s",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""Bounds on waiting: neither a silent server nor a lock never given back may hold up a run for ever."""
NAMES = ("postgresql", "postgres", "postgresql+psycopg")

# Only texts that mean the same to libpq, to SQLAlchemy and to readers: nothing escaped, no query.
_PLAIN = re.compile(
    rf"(?:{'|'.join(map(re.escape, NAMES))})://"
    r"(?:(?P<user>[A-Za-z0-9_.-]+)(?::(?P<password>[A-Za-z0-9_.~-]+))?@)?"
    r"(?P<place>[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9_.-]+)"
)


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
    shown_url = without_credentials(f"postgresql+psycopg://{shown}{place}")
    return f"postgresql://{login}{place}?{urlencode(sorted(DEFAULTS.items()))}", shown_url


def require_psycopg() -> None:
    """Raise StoreError without psycopg."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"PostgreSQL needs psycopg, which cannot be imported: {error}", "pip install 'benchfleet[postgres]'"
        ) from None
