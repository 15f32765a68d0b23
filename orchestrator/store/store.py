"""Open a database in all roles of `orchestrator.store.base` except the read-only console."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from orchestrator.domain.errors import StoreError
from orchestrator.store.records.conditions import ConditionTable
from orchestrator.store.records.devices import DeviceTable
from orchestrator.store.records.leases import LeaseTable
from orchestrator.store.records.plans import PlanTable
from orchestrator.store.records.power import PowerTable
from orchestrator.store.records.progress import ProgressTable
from orchestrator.store.records.recovery import RecoveryTable
from orchestrator.store.records.results import ResultTable
from orchestrator.store.records.run_words import RunWordTable
from orchestrator.store.records.runs import RunTable
from orchestrator.store.schema.migrations import ensure_current
from orchestrator.store.schema.statistics import keep_statistics
from orchestrator.store.sql.database_clock import Clock
from orchestrator.store.sql.engine import Database, parse_url
from orchestrator.store.sql.sqlite_access import is_there

if TYPE_CHECKING:
    from orchestrator.store.ingest.ingest import LogIngest
    from orchestrator.store.pages.cells import CellTable
    from orchestrator.store.pages.fleet import FleetTable
    from orchestrator.store.pages.lineages import LineageTable
    from orchestrator.store.pages.runs import WatchTable
    from orchestrator.store.records.annotations import AnnotationTable
    from orchestrator.store.records.baselines import BaselineTable
    from orchestrator.store.records.builds import BuildTable
    from orchestrator.store.records.counted_jobs import CountedJobTable
    from orchestrator.store.records.daemons import DaemonTable
    from orchestrator.store.records.exports import ExportTable
    from orchestrator.store.records.metered import MeteredTable
    from orchestrator.store.records.nights import NightTable
    from orchestrator.store.records.regressions import RegressionTable
    from orchestrator.store.records.retention import RetentionTable
    from orchestrator.store.records.schedules import ScheduleTable
    from orchestrator.store.records.scored import ScoredTable
    from orchestrator.store.records.series_runs import SeriesTable
    from orchestrator.store.records.submissions import SubmissionTable
    from orchestrator.store.records.vault import VaultTable


class Store:
    """Have every role over an open database. A thread may write while others read."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.location = str(database.shown)
        self.devices = DeviceTable(database)
        self.runs = RunTable(database)
        self.words = RunWordTable(database)
        self.plans = PlanTable(database)
        self.progress = ProgressTable(database)
        self.results = ResultTable(database)
        self.power = PowerTable(database)
        self.conditions = ConditionTable(database)
        self.leases = LeaseTable(database)
        self.recovery = RecoveryTable(database)

    @cached_property
    def logs(self) -> LogIngest:
        """Return the role for device logs."""
        # Imported late, as the roles below: no command waits for the imports of a role which it does not use.
        from orchestrator.store.ingest.ingest import LogIngest

        return LogIngest(self.database)

    @cached_property
    def baselines(self) -> BaselineTable:
        """Return the role for baselines."""
        from orchestrator.store.records.baselines import BaselineTable

        return BaselineTable(self.database)

    @cached_property
    def metered(self) -> MeteredTable:
        """Return the role for meters of the controller."""
        from orchestrator.store.records.metered import MeteredTable

        return MeteredTable(self.database)

    @cached_property
    def retention(self) -> RetentionTable:
        """Return the role for what is kept of raw samples."""
        from orchestrator.store.records.retention import RetentionTable

        return RetentionTable(self.database)

    @cached_property
    def scored(self) -> ScoredTable:
        """Return the role for metrics of users."""
        from orchestrator.store.records.scored import ScoredTable

        return ScoredTable(self.database)

    @cached_property
    def nights(self) -> NightTable:
        """Return the role for nights."""
        from orchestrator.store.records.nights import NightTable

        return NightTable(self.database)

    @cached_property
    def regressions(self) -> RegressionTable:
        """Return the role for regressions."""
        from orchestrator.store.records.regressions import RegressionTable

        return RegressionTable(self.database)

    @cached_property
    def annotations(self) -> AnnotationTable:
        """Return the role for annotations."""
        from orchestrator.store.records.annotations import AnnotationTable

        return AnnotationTable(self.database)

    @cached_property
    def series(self) -> SeriesTable:
        """Return the role for series over time."""
        from orchestrator.store.records.series_runs import SeriesTable

        return SeriesTable(self.database)

    @cached_property
    def builds(self) -> BuildTable:
        """Return the role for what runs measured on."""
        from orchestrator.store.records.builds import BuildTable

        return BuildTable(self.database)

    @cached_property
    def counted(self) -> CountedJobTable:
        """Return the role for cells with results."""
        from orchestrator.store.records.counted_jobs import CountedJobTable

        return CountedJobTable(self.database)

    @cached_property
    def cells(self) -> CellTable:
        """Return the role for single cells of a run."""
        from orchestrator.store.pages.cells import CellTable

        return CellTable(self.database)

    @cached_property
    def exports(self) -> ExportTable:
        """Return the role for exports."""
        from orchestrator.store.records.exports import ExportTable

        return ExportTable(self.database)

    @cached_property
    def vault(self) -> VaultTable:
        """Return the role for contents in chunks."""
        from orchestrator.store.records.vault import VaultTable

        return VaultTable(self.database)

    @cached_property
    def submissions(self) -> SubmissionTable:
        """Return the role for submissions."""
        from orchestrator.store.records.submissions import SubmissionTable

        return SubmissionTable(self.database)

    @cached_property
    def daemons(self) -> DaemonTable:
        """Return the role for daemons."""
        from orchestrator.store.records.daemons import DaemonTable

        return DaemonTable(self.database)

    @cached_property
    def schedules(self) -> ScheduleTable:
        """Return the role for schedules."""
        from orchestrator.store.records.schedules import ScheduleTable

        return ScheduleTable(self.database)

    def keep_statistics(self) -> None:
        """Let the database look at tables that grew, so that the next questions need not wait."""
        keep_statistics(self.database)

    def close(self) -> None:
        """Drop every connection."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        """Drop every connection. A block that stored records and ended well leaves statistics for the next questions.

        After an error nothing is asked of the database, which may be the one that failed.
        """
        try:
            if kind is None and "logs" in self.__dict__:
                keep_statistics(self.database)
        finally:
            self.close()


def open_store(url: str, *, upgrade: bool | None = None, clock: Clock | None = None) -> Store:
    """Open a database by URL or path.

    `upgrade` decides whether an empty or older database is brought to the present schema, and a missing SQLite file
    created. `clock` tells the time to a database for history written down later. Raise BadDatabaseUrl for a wrong
    URL, and StoreError for a database at another schema, or for a file or a server out of reach.
    """
    database = Database(parse_url(url), clock)
    # By default only a file is upgraded. Others share a PostgreSQL database, so its schema changes by a person's
    # decision: `benchfleet db upgrade`.
    may_upgrade = database.is_sqlite if upgrade is None else upgrade
    if database.is_sqlite:
        _prepare_folder(Path(str(database.url.database)), create=may_upgrade)
    try:
        ensure_current(database, upgrade=may_upgrade and (upgrade is True or database.may_write))
    except BaseException:
        database.close()
        raise
    return Store(database)


class Reader(Store):
    """Have every role over a database opened for reading, and those that read for pages."""

    @cached_property
    def fleet(self) -> FleetTable:
        """Return the role for the fleet."""
        from orchestrator.store.pages.fleet import FleetTable

        return FleetTable(self.database)

    @cached_property
    def watch(self) -> WatchTable:
        """Return the role for runs that go on."""
        from orchestrator.store.pages.runs import WatchTable

        return WatchTable(self.database)

    @cached_property
    def lineages(self) -> LineageTable:
        """Return the role for the origins of models."""
        from orchestrator.store.pages.lineages import LineageTable

        return LineageTable(self.database)


def open_reader(url: str) -> Reader:
    """Open a database for reading alone, for many threads at once. Every write raises StoreError.

    Raise BadDatabaseUrl for a wrong URL, and StoreError for a database that is not there, out of reach, or at another
    schema: a reader changes no schema.
    """
    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        _prepare_folder(Path(str(parsed.database)), create=False)
    database = Database(parsed, read_only=True)
    try:
        ensure_current(database, upgrade=False)
    except BaseException:
        database.close()
        raise
    return Reader(database)


def _prepare_folder(file: Path, *, create: bool) -> None:
    if create:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{file}: its folder cannot be made: {error.strerror}", "check the path") from None
    elif not is_there(file):
        raise StoreError(f"{file}: there is no such database", "check the path; benchfleet run makes it")
