"""The composition root: settings in, wired parts out. The only module that knows implementations.

Everything heavy is imported by the function that needs it: a command that lists runs must not pay for SSH.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.blobs.bundles import UvResolver
    from orchestrator.blobs.cache import BlobCache
    from orchestrator.domain.facts import Facts
    from orchestrator.domain.inventory import Inventory
    from orchestrator.domain.lease import Holding
    from orchestrator.domain.recovery import Quarantine
    from orchestrator.domain.run import RunHeader, RunSummary
    from orchestrator.execution.base import Executor
    from orchestrator.reporting.base import RunDisplay
    from orchestrator.services.enroll import HostKeys
    from orchestrator.services.prepare import RecordedPlanner, SweepPlanner
    from orchestrator.services.tenant import Tenant
    from orchestrator.session.device_session import DeviceSessions
    from orchestrator.settings import Settings
    from orchestrator.specs.sweep import SweepFile
    from orchestrator.store.base import SqlConsole
    from orchestrator.store.store import Store
    from orchestrator.transport.settings import TransportSettings


def settings(**flags: object) -> Settings:
    """Return the settings of one command; `config` names the settings file, every other flag a setting."""
    from orchestrator.settings import load_settings

    config = flags.pop("config", None)
    return load_settings(flags, config=config if isinstance(config, Path) else None)


def journaled(settings: Settings, run: str, display: RunDisplay) -> RunDisplay:
    """Return the display; at log level info or debug one that also writes each event to the log."""
    from orchestrator.settings import LogLevel

    if settings.log_level not in (LogLevel.DEBUG, LogLevel.INFO):
        return display
    from orchestrator.reporting.journal import JournalDisplay

    return JournalDisplay(display, run, steps=settings.log_level is LogLevel.DEBUG)


def inventory(settings: Settings) -> Inventory:
    """Load every inventory file of the settings."""
    from orchestrator.inventory.files import load_inventory

    return load_inventory(settings.inventory)


def sweep_file(path: Path) -> SweepFile:
    """Load a sweep with its model; every artifact is hashed and compared."""
    from orchestrator.specs.sweep import load_sweep

    return load_sweep(path)


@contextmanager
def store(settings: Settings) -> Iterator[Store]:
    """Open the database for one command; SQLite is upgraded by itself, PostgreSQL asks for `db upgrade`."""
    from orchestrator.store.store import open_store

    opened = open_store(settings.db)
    try:
        yield opened
    finally:
        opened.close()


def known_facts(settings: Settings, names: Sequence[str]) -> Mapping[str, tuple[Facts, datetime]]:
    """Return what devices said of themselves, and when; nothing if there is no database yet, and none is made."""
    with _store_if_there(settings) as opened:
        return opened.latest_facts(names) if opened else {}


def known_use(settings: Settings, names: Sequence[str]) -> tuple[Mapping[str, Holding], Mapping[str, Quarantine]]:
    """Return who has which device, and which no run may use; nothing if there is no database yet, and none is made."""
    with _store_if_there(settings) as opened:
        return (opened.holdings(names), opened.quarantines(names)) if opened else ({}, {})


def tenant(settings: Settings, *, waits: bool = False, reservation: int | None = None) -> Tenant:
    """Return who this controller is to others that want the same devices."""
    from orchestrator.services.tenant import this_controller

    return this_controller(settings.lease_s, waits=waits, reservation=reservation)


@contextmanager
def _store_if_there(settings: Settings) -> Iterator[Store | None]:
    from orchestrator.store.readonly import sqlite_file

    file = sqlite_file(settings.db)
    if file is not None and not file.exists():
        yield None
        return
    with store(settings) as opened:
        yield opened


def list_runs(settings: Settings, limit: int) -> Sequence[RunSummary]:
    """Return the newest runs first, without the cost of opening the whole store."""
    from orchestrator.store.run_list import list_runs

    return list_runs(settings.db, limit)


def upgrade_database(settings: Settings) -> dict[str, str | None]:
    """Bring the schema to this version's revision; return where it stands."""
    from orchestrator.store.store import open_store

    open_store(settings.db, upgrade=True).close()
    return database_revision(settings)


def database_revision(settings: Settings) -> dict[str, str | None]:
    """Return the schema's revision and the one that this version wants; changes nothing."""
    from orchestrator.store.engine import Database, parse_url
    from orchestrator.store.migrations import HEAD, revision

    database = Database(parse_url(settings.db))
    try:
        found = None
        if not database.is_sqlite or Path(str(database.url.database)).exists():
            with database.read() as connection:
                found = revision(connection)
        return {"database": str(database.shown), "revision": found, "wanted": HEAD}
    finally:
        database.close()


@contextmanager
def sql_console(settings: Settings) -> Iterator[SqlConsole]:
    """Open the database so that nothing can be written, by its engine's own means."""
    from orchestrator.store.readonly import open_console

    console = open_console(settings.db)
    try:
        yield console
    finally:
        console.close()


def planner(settings: Settings, file: SweepFile, on_progress: Callable[[str], None] | None = None) -> SweepPlanner:
    """Return the planner of a sweep, with its files in the controller's cache."""
    from orchestrator.services.prepare import make_planner

    return make_planner(file.sweep, file.model, resolver(settings, on_progress), cache(settings))


def planner_of(settings: Settings, header: RunHeader) -> RecordedPlanner:
    """Return the planner of a recorded run; its sweep is read again only if a device has no plan yet."""
    from orchestrator.services.prepare import RecordedPlanner
    from orchestrator.specs.sweep import parse_sweep

    def load() -> SweepPlanner:
        source = Path(header.sweep_source.rpartition(":")[0] or header.sweep_source)
        return planner(settings, parse_sweep(header.sweep_document, source))

    return RecordedPlanner(cache(settings), load)


def host_keys(settings: Settings) -> HostKeys:
    """Return what looks at devices' host keys and keeps them."""
    from orchestrator.transport.host_key_desk import HostKeyDesk
    from orchestrator.transport.ssh import connector

    return HostKeyDesk(connector(_transport(settings)))


def executor(settings: Settings) -> Executor:
    """Return the executor that the settings name, ready to launch sessions once."""
    from orchestrator.settings import ExecutorKind

    sessions = _sessions(settings)
    if settings.executor is ExecutorKind.RAY:
        from orchestrator.execution.ray import RayExecutor

        return RayExecutor(sessions, settings.ray_address)
    from orchestrator.execution.threads import ThreadExecutor

    return ThreadExecutor(sessions)


def _sessions(settings: Settings) -> DeviceSessions:
    from orchestrator.blobs.worker import loader_source, worker_archive
    from orchestrator.meters.command_switch import CommandSwitch
    from orchestrator.session.device_session import DeviceSessions
    from orchestrator.session.link import LinkPolicy
    from orchestrator.session.worker_client import WorkerProgram
    from orchestrator.transport.table import Connectors

    archive, sha256 = worker_archive()
    worker = WorkerProgram(archive, sha256, loader_source())
    policy = LinkPolicy(heartbeat_s=settings.heartbeat_s)
    return DeviceSessions(Connectors(_transport(settings)), worker, cache(settings), CommandSwitch(), policy)


def _transport(settings: Settings) -> TransportSettings:
    from orchestrator.transport.settings import TransportSettings

    return TransportSettings(settings.known_hosts, settings.ssh_config, settings.connect_timeout_s)


def cache(settings: Settings) -> BlobCache:
    """Return the controller's content-addressed cache."""
    from orchestrator.blobs.cache import BlobCache

    return BlobCache(settings.cache_dir / "blobs")


def resolver(settings: Settings, on_progress: Callable[[str], None] | None = None) -> UvResolver:
    """Return what turns pinned runtimes into bundles."""
    from orchestrator.blobs.bundles import UvResolver

    return UvResolver(cache(settings), settings.cache_dir / "bundles", on_progress=on_progress)
