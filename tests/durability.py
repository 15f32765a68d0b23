"""Let the SQLite databases of this process do without what only a power cut would tell: disks are slow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

_TOLD = "durability"


def do_without() -> None:
    """Wait for no disk at a commit, in every database that this process opens from now on.

    Processes that are killed lose nothing all the same: the kernel has what was committed.
    """
    event.listen(Pool, "checkout", _do_without)


@contextmanager
def kept() -> Iterator[None]:
    """Leave databases that are opened inside as the product opens them."""
    event.remove(Pool, "checkout", _do_without)
    try:
        yield
    finally:
        do_without()


def _do_without(connection: Any, record: Any, _proxy: object) -> None:
    # At the checkout: the product's own setting is made when a connection begins, after any listener of all pools.
    if isinstance(connection, sqlite3.Connection) and _TOLD not in record.info:
        connection.execute("PRAGMA synchronous = OFF")
        record.info[_TOLD] = True
