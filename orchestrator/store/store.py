"""Open a store: one object that plays every role of `orchestrator.store.base` but the read-only console."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from orchestrator.domain.errors import StoreError
from orchestrator.store.devices import DeviceTable
from orchestrator.store.engine import Database, parse_url
from orchestrator.store.leases import LeaseTable
from orchestrator.store.migrations import ensure_current
from orchestrator.store.progress import ProgressTable
from orchestrator.store.recovery import RecoveryTable
from orchestrator.store.results import ResultTable
from orchestrator.store.runs import RunTable


class Store(DeviceTable, RunTable, ProgressTable, ResultTable, LeaseTable, RecoveryTable):
    """A database of benchmark results; one thread may write while others read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.database = database
        self.location = str(database.shown)

    def close(self) -> None:
        """Drop every connection."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def open_store(url: str, *, upgrade: bool | None = None) -> Store:
    """Open a database by URL or path.

    `upgrade` says whether an empty or older database is brought to the present schema: by default an SQLite file is,
    made if need be, and a PostgreSQL database, which others share, is not: `benchfleet db upgrade` makes its tables.
    """
    database = Database(parse_url(url))
    may_upgrade = database.is_sqlite if upgrade is None else upgrade
    if database.is_sqlite:
        _prepare_folder(Path(str(database.url.database)), create=may_upgrade)
    try:
        ensure_current(database, upgrade=may_upgrade)
    except BaseException:
        database.close()
        raise
    return Store(database)


def _prepare_folder(file: Path, *, create: bool) -> None:
    if create:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{file}: its folder cannot be made: {error.strerror}", "check the path") from None
    elif not file.exists():
        raise StoreError(f"{file}: there is no such database", "check the path; benchfleet run makes it")
