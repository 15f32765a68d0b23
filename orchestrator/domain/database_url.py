"""Refuse mistyped database URLs. Taken for a file name, a mistyped URL would put the password on the disk."""

from __future__ import annotations

import re

from orchestrator.domain.errors import BadDatabaseUrl

_HINT = (
    "write postgresql://USER@HOST/NAME (~/.pgpass keeps its password), sqlite:///PATH or a path; "
    "./NAME and sqlite:////ABSOLUTE/NAME are files, whatever the name"
)
_FILE_URL = "sqlite:///"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NAMED_FOLDER = re.compile(r"\.{1,2}/")
_FORMS = (
    # Any key counts, because libpq's list grows and variables of the environment look alike.
    # Folders such as /data/run=3 are usual, so that a path from / or ~ needs a blank before the key.
    (re.compile(r"(?![/~]).*\w\s*=|.*\s\w+\s*=", re.DOTALL), "a connection string of libpq is not a database URL"),
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:"), "not quite a database URL: after the kind stands ://"),
    (re.compile(r".*?(?::.*@|@.*:)", re.DOTALL), "not quite a database URL: user and host stand after ://"),
)


def refuse_mistyped_url(text: str, origin: str = "the database") -> None:
    """Raise BadDatabaseUrl for a path like a URL or a connection string. The text is not shown."""
    text = text.strip()
    if text.startswith(_FILE_URL):
        # The settings write a file's URL with the absolute path, ./NAME included.
        path = text.removeprefix(_FILE_URL).partition("?")[0].strip()
        is_clear = path.startswith("/")
    else:
        path = text
        is_clear = _URL.match(text) is not None
    if is_clear or _NAMED_FOLDER.match(path):
        return
    for form, wrong in _FORMS:
        if form.match(path):
            raise BadDatabaseUrl(f"{origin}: {wrong}", _HINT)
