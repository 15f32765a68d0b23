"""Wire implementations together: settings in, wiring out. No other module knows implementations.

Each member imports heavy modules itself: a list of runs must not pay for SSH.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.blobs.base import BundleTaker
    from orchestrator.blobs.bundles import UvResolver
    from orchestrator.blobs.cache import BlobCache
    from orchestrator.domain.increment import Increment
    from orchestrator.domain.inventory import Inventory
    from orchestrator.domain.run import RunHeader, RunSummary
    from orchestrator.domain.run_filter import RunFilter
    from orchestrator.domain.schema_status import DatabaseCopy, Relation, SchemaStatus
    from orchestrator.domain.window import Window
    from orchestrator.driving.identity import ControllerIdentity
    from orchestrator.execution.base import Executor
    from orchestrator.messages.base import Messenger
    from orchestrator.meters.meters import MeterRoom
    from orchestrator.reporting.base import RunDisplay
    from orchestrator.services.base import HostKeys
    from orchestrator.services.runs.prepare import RecordedPlanner, SweepPlanner
    from orchestrator.session.device_session import DeviceSessions
    from orchestrator.settings import Settings
    from orchestrator.specs.nightly import NightlyFile
    from orchestrator.specs.reach import Reach
    from orchestrator.specs.sweep import SweepFile
    from orchestrator.store.base import SqlConsole
    from orchestrator.store.store import Reader, Store
    from orchestrator.transport.settings import TransportSettings


def schema_reference(names: Sequence[str] = ()) -> str:
    """Return the reference of views and tables, or of the named ones. Raise ConfigError for an unknown name."""
    from orchestrator.store.schema.document import schema_document

    return schema_document(names)


class Wiring:
    """Make the members of a set of settings, for a command, a page or a daemon.

    Each member is made at the first use. Enter the object as a context to have opened members closed at the end.
    `needs_database` has the context refuse a database that is not there: a command for results would otherwise make it.
    """

    def __init__(self, settings: Settings, *, needs_database: bool = False) -> None:
        self.settings = settings
        self._needs_database = needs_database
        self._opened = ExitStack()
        self._store: Store | None = None
        self._reader: Reader | None = None
        self._executor: Executor | None = None
        self._cache: BlobCache | None = None

    def __enter__(self) -> Self:
        if self._needs_database:
            self.require_database()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # In reverse order: use cases open the database first, so that sessions end while it is still open.
        self._store = self._reader = self._executor = None
        # The database is told of an error: it may be the one that failed, and is then left alone.
        self._opened.__exit__(kind, error, traceback)

    def inventory(self) -> Inventory:
        """Load every inventory file of the settings; outside of any lab, the inventory that a new lab has."""
        from orchestrator.inventory.files import load_inventory
        from orchestrator.resources import shipped

        return load_inventory(self.settings.inventory or (shipped("inventory") / "local.yaml",))

    def sweep_file(self, path: Path, overrides: Sequence[str] = ()) -> SweepFile:
        """Load a sweep with the model, and compare the hash of every artifact."""
        from orchestrator.specs.sweep import load_sweep

        return load_sweep(path, reach=self.reach(), overrides=overrides)

    def nightly_file(self, path: Path) -> NightlyFile:
        """Load a nightly file."""
        from orchestrator.specs.nightly import load_nightly

        return load_nightly(path, self.reach())

    @property
    def store(self) -> Store:
        """Return the database. SQLite is upgraded here, PostgreSQL asks for `db upgrade`."""
        if self._store is None:
            from orchestrator.store.store import open_store

            self._store = open_store(self.settings.db)
            self._opened.push(self._store)
        return self._store

    def empty_store(self, clock: Callable[[], datetime]) -> Store:
        """Return the database with all tables, and with `clock` for its own. Raise ConfigError if any row is there."""
        from orchestrator.domain.errors import ConfigError
        from orchestrator.store.schema.emptiness import tables_with_rows
        from orchestrator.store.sql.engine import Database, parse_url
        from orchestrator.store.store import open_store

        database = Database(parse_url(self.settings.db))
        try:
            # Before the upgrade, which would change a database that is to be left alone.
            if found := tables_with_rows(database):
                raise ConfigError(
                    f"{database.shown}: the database is not empty: rows in {', '.join(found)}",
                    "name another one by --db; nothing was changed",
                )
        finally:
            database.close()
        self._store = open_store(self.settings.db, upgrade=True, clock=clock)
        self._opened.push(self._store)
        return self._store

    @property
    def database(self) -> str:
        """Return the URL of the database without the password."""
        from orchestrator.store.sql.engine import Database, parse_url

        database = Database(parse_url(self.settings.db))
        database.close()
        return str(database.shown)

    def store_if_there(self) -> Store | None:
        """Return the database, or None before the file exists."""
        from orchestrator.store.console.readonly import sqlite_file
        from orchestrator.store.sql.sqlite_access import is_there

        file = sqlite_file(self.settings.db)
        return self.store if file is None or is_there(file) else None

    def require_database(self) -> None:
        """Upgrade an SQLite file if need be. Raise ConfigError before there is a database."""
        from orchestrator.domain.errors import ConfigError

        # Opened, SQLite would make the missing file, and a mistyped name would pass for an empty lab.
        if self.store_if_there() is None:
            raise ConfigError(
                f"{self.database}: there is no such database", "benchfleet run makes it, or --db names another"
            )

    @property
    def reader(self) -> Reader:
        """Return the database opened for reading alone, for many threads at once."""
        if self._reader is None:
            from orchestrator.store.store import open_reader

            self._reader = open_reader(self.settings.db)
            self._opened.callback(self._reader.close)
        return self._reader

    def writer(self) -> Wiring:
        """Return the wiring for decisions of people."""
        return self

    def page_console(self) -> SqlConsole:
        """Open the database for one statement of a person at a page. The caller closes the console."""
        from orchestrator.store.console.readonly import PAGE_TIMEOUT_S, open_console

        return open_console(self.settings.db, PAGE_TIMEOUT_S)

    def relations(self) -> Sequence[Relation]:
        """Return what SQL can read: views first, then tables."""
        from orchestrator.store.schema.relations import relations

        return relations()

    def list_runs(self, limit: int, wanted: RunFilter | None = None) -> Sequence[RunSummary]:
        """Return the newest runs first, without the cost of opening the whole store."""
        from orchestrator.store.console.run_list import list_runs

        return list_runs(self.settings.db, limit, wanted)

    def upgrade_database(self) -> SchemaStatus:
        """Upgrade the schema to the revision of this release, and return the schema's status."""
        from orchestrator.store.store import open_store

        open_store(self.settings.db, upgrade=True).close()
        return self.database_revision()

    def copy_database(self, target: str, on_table: Callable[[str], None]) -> DatabaseCopy:
        """Copy all rows of the database into an empty one, and compare them there.

        Raise ConfigError for a target with rows, and while a run has a device. Raise StoreError for a database at
        another schema: what is read is not changed.
        """
        from orchestrator.domain.errors import ConfigError
        from orchestrator.domain.schema_status import DatabaseCopy
        from orchestrator.store.schema.copying import copy_rows, refuse_rows
        from orchestrator.store.sql.engine import Database, parse_url
        from orchestrator.store.store import open_reader, open_store

        with open_reader(self.settings.db) as source:
            goal = Database(parse_url(target))
            try:
                if goal.url == source.database.url:
                    raise ConfigError(f"{goal.shown}: is the database that is copied", "name another one")
                refuse_rows(goal)
            finally:
                goal.close()
            with open_store(target, upgrade=True) as filled:
                tables = copy_rows(source.database, filled.database, on_table)
                filled.keep_statistics()
                return DatabaseCopy(str(source.database.shown), str(filled.database.shown), tuple(tables))

    def database_revision(self) -> SchemaStatus:
        """Return the revisions of the schema and of this release, without a change."""
        from orchestrator.domain.schema_status import SchemaStatus
        from orchestrator.store.schema.migrations import HEAD, revision
        from orchestrator.store.sql.engine import Database, parse_url
        from orchestrator.store.sql.sqlite_access import is_there

        database = Database(parse_url(self.settings.db))
        try:
            found = None
            # A look must not make the file: SQLite creates a missing database when a connection opens.
            if not database.is_sqlite or is_there(Path(str(database.url.database))):
                with database.read() as connection:
                    found = revision(connection)
            return SchemaStatus(str(database.shown), found, HEAD)
        finally:
            database.close()

    def sql_console(self) -> SqlConsole:
        """Open the database for reading alone, enforced by the database engine."""
        from orchestrator.store.console.readonly import open_console

        console = open_console(self.settings.db)
        self._opened.callback(console.close)
        return console

    def identity(self, *, waits: bool = False, reservation: int | None = None) -> ControllerIdentity:
        """Return the name and terms of this controller for leases."""
        from orchestrator.driving.identity import this_controller

        return this_controller(self.settings.lease_s, waits=waits, reservation=reservation)

    def planner(
        self,
        file: SweepFile,
        on_progress: Callable[[str], None] | None = None,
        increment: Increment | None = None,
    ) -> SweepPlanner:
        """Return the planner of a sweep, with the sweep's files in the controller's cache."""
        from orchestrator.services.runs.incremental import knowing
        from orchestrator.services.runs.prepare import make_planner

        planner = make_planner(file.sweep, file.model, self.resolver(on_progress), self.cache(), file.further)
        return planner if increment is None else replace(planner, known=knowing(increment, self.store))

    def planner_of(self, header: RunHeader) -> RecordedPlanner:
        """Return the planner of a recorded run. The sweep is read again only for a device without a plan."""
        from orchestrator.domain.increment import increment_of
        from orchestrator.services.runs.prepare import RecordedPlanner

        increment = increment_of(header.settings)
        return RecordedPlanner(self.cache(), lambda: self.planner(self.recorded_sweep(header), increment=increment))

    def recorded_sweep(self, header: RunHeader) -> SweepFile:
        """Return the sweep of a recorded run, with the model as the files are now."""
        from orchestrator.specs.sweep import parse_sweep

        path, reach = Path(header.sweep_path), self.reach()
        return parse_sweep(header.sweep_document, path, reach=reach, overrides=header.overrides)

    def reach(self) -> Reach:
        """Return the folders whose files may be sent to devices."""
        from orchestrator.specs.reach import Reach

        return Reach(self.settings.models, self.settings.allow_files)

    def host_keys(self) -> HostKeys:
        """Return the reader and keeper of host keys."""
        from orchestrator.transport.host_keys import SshHostKeys
        from orchestrator.transport.ssh import connector

        return SshHostKeys(connector(self._transport()))

    def executor(self) -> Executor:
        """Return the executor named by the settings. Every run of this wiring shares the executor."""
        if self._executor is None:
            self._executor = self._make_executor()
            self._opened.callback(self._executor.close)
        return self._executor

    def _make_executor(self) -> Executor:
        from orchestrator.settings import ExecutorKind

        sessions = self._sessions()
        if self.settings.executor is ExecutorKind.RAY:
            from orchestrator.execution.ray import RayExecutor

            return RayExecutor(sessions, self.settings.ray_address)
        from orchestrator.execution.threads import ThreadExecutor

        return ThreadExecutor(sessions)

    def cache(self) -> BlobCache:
        """Return the controller's content-addressed cache. One object checks each file once."""
        if self._cache is None:
            from orchestrator.blobs.cache import BlobCache

            self._cache = BlobCache(self.settings.cache_dir / "blobs")
        return self._cache

    def windows(self, inventory: Inventory) -> Sequence[Window]:
        """Return the windows of the settings, each with its devices in an inventory."""
        from orchestrator.domain.errors import ConfigError

        found = []
        for one in self.settings.windows:
            try:
                names = tuple(sorted(device.name for device in inventory.select(one.select)))
            except ConfigError as error:
                raise ConfigError(f"window {one.name}: {error}", error.hint) from None
            found.append(replace(one, devices=names))
        return found

    def submissions_folder(self) -> Path:
        """Return the folder below which submissions are unpacked."""
        return self.settings.cache_dir / "submissions"

    def resolver(self, on_progress: Callable[[str], None] | None = None) -> UvResolver:
        """Return the resolver of pinned runtimes into bundles."""
        from orchestrator.blobs.bundles import UvResolver

        return UvResolver(self.cache(), self.settings.cache_dir / "bundles", on_progress=on_progress)

    def bundles_at(self, folder: Path, clock: Callable[[], float]) -> BundleTaker:
        """Return a taker of bundles into a cache folder other than this controller's."""
        from orchestrator.blobs.bundles import UvResolver
        from orchestrator.blobs.cache import BlobCache

        return UvResolver(BlobCache(folder / "blobs"), folder / "bundles", clock=clock)

    def meters(self) -> MeterRoom:
        """Return the power meters of the controller, with the folder of recordings."""
        from orchestrator.meters.meters import MeterRoom

        return MeterRoom(self.settings.cache_dir / "meters")

    def messenger(self) -> Messenger:
        """Return the sender of messages to people."""
        from orchestrator.messages.apprise_messenger import AppriseMessenger

        return AppriseMessenger()

    def journaled(self, run: str, display: RunDisplay) -> RunDisplay:
        """Return the display. At log level info or debug, and into a log file, each event is logged too."""
        from orchestrator.settings import LogLevel

        level, file = self.settings.log_level, self.settings.log_file
        is_told = level in (LogLevel.DEBUG, LogLevel.INFO)
        if not is_told and file is None:
            return display
        from orchestrator.reporting.live.journal import JournalDisplay

        steps = level is LogLevel.DEBUG
        if file is not None:
            display = JournalDisplay(display, run, steps=steps, file=file)
        return JournalDisplay(display, run, steps=steps) if is_told else display

    def _sessions(self) -> DeviceSessions:
        from orchestrator.blobs.worker import loader_source, worker_archive
        from orchestrator.power.command_switch import CommandSwitch
        from orchestrator.session.device_session import DeviceSessions
        from orchestrator.session.link import LinkPolicy
        from orchestrator.session.worker_client import WorkerProgram
        from orchestrator.transport.admission import gate_of_this_process
        from orchestrator.transport.table import Connectors

        archive, sha256 = worker_archive()
        worker = WorkerProgram(archive, sha256, loader_source())
        policy = LinkPolicy(heartbeat_s=self.settings.heartbeat_s)
        return DeviceSessions(
            Connectors(self._transport()), worker, self.cache(), CommandSwitch(), policy, gate=gate_of_this_process()
        )

    def _transport(self) -> TransportSettings:
        from orchestrator.transport.settings import TransportSettings

        known_hosts, ssh_config = self.settings.known_hosts, self.settings.ssh_config
        return TransportSettings(known_hosts, ssh_config, self.settings.connect_timeout_s, self.settings.ray_address)
