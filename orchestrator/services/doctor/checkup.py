"""Look at an installation from the settings to the devices, and say what to do about what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.domain.checkup import Checkup, Finding, Health
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.meter import MeterKind
from orchestrator.domain.schema_status import SchemaStatus
from orchestrator.lab_folder import SETTINGS_FILE, find_lab
from orchestrator.services.base import FleetWiring
from orchestrator.services.devices.probe import probe
from orchestrator.services.doctor.cluster import check_cluster, wants_cluster
from orchestrator.services.doctor.packages import check_packages
from orchestrator.services.doctor.places import check_keys, check_room, check_secret, check_trusted
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.domain.cluster import Cluster
    from orchestrator.domain.device import Device
    from orchestrator.domain.inventory import Inventory
    from orchestrator.store.base import Roles

OFFSET_S_MAX = 5.0
"""Runs are ordered by the clocks of their controllers: people start runs further apart than this."""


class DoctorWiring(FleetWiring, Protocol):
    """Offer what can be looked at without a change."""

    def database_revision(self) -> SchemaStatus:
        """Return the revisions of the schema and of this release."""

    @property
    def reader(self) -> Roles:
        """Return the database opened for reading alone."""


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """Ask for a checkup. `devices`: connect to each selected device, too. `now` is this machine's clock.

    `look` returns the Ray cluster at an address, or raises RayUnavailable. Without it, no cluster is looked at.
    """

    devices: bool = False
    select: str = "all"
    config: Path | None = None
    home: Path = field(default_factory=Path.home)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    look: Callable[[str], Cluster] | None = None


def check(request: DoctorRequest, load: Callable[[], Settings], wire: Callable[[Settings], DoctorWiring]) -> Checkup:
    """Return what is found. Nothing is changed, except that the facts of devices are stored if devices are asked."""
    try:
        settings = load()
    except OrchestratorError as error:
        # Without settings nobody knows where the rest is.
        return Checkup([*check_packages(()), Finding.of_error("settings", error)])
    return Checkup(list(_Doctor(request, settings, wire(settings)).findings()))


@dataclass(slots=True)
class _Doctor:
    request: DoctorRequest
    settings: Settings
    wiring: DoctorWiring
    inventory: Inventory | None = None
    has_database: bool = False

    def findings(self) -> Iterator[Finding]:
        """Yield all findings: first what the others depend on."""
        found = list(self._inventory())
        yield from check_packages(self._extras())
        yield from self._settings()
        yield from found
        yield from list(self._keys()) or [Finding("keys", Health.FINE, "no others may use them, nor the known hosts")]
        yield from check_room(self._places())
        yield from self._database()
        if self.request.look is not None:
            yield from check_cluster(self.settings, self._all_devices(), self.request.look)
        if self.request.devices:
            yield from self._devices()

    def _extras(self) -> list[str]:
        """Return the extras that settings and inventory need."""
        extras = ["postgres"] if self.settings.db.startswith("postgres") else []
        devices = self._all_devices()
        if wants_cluster(self.settings, devices):
            extras.append("ray")
        if any(one.meter is not None and one.meter.kind is MeterKind.SNMP for one in devices):
            extras.append("snmp")
        return extras

    def _all_devices(self) -> list[Device]:
        return list(self.inventory.devices.values()) if self.inventory else []

    def _settings(self) -> Iterator[Finding]:
        file = self.request.config or find_lab(Path()) / SETTINGS_FILE
        if not file.exists():
            yield Finding("settings", Health.FINE, "no benchfleet.toml: the defaults count")
            return
        wrong = list(check_trusted("settings", [file]))
        yield from wrong or [Finding("settings", Health.FINE, str(file))]

    def _inventory(self) -> Iterator[Finding]:
        try:
            self.inventory = self.wiring.inventory()
        except OrchestratorError as error:
            yield Finding.of_error("inventory", error)
            return
        number = len(self.inventory.devices)
        yield Finding("inventory", Health.FINE, f"{number} device{'' if number == 1 else 's'}")
        yield from check_trusted("inventory", self.settings.inventory)

    def _keys(self) -> Iterator[Finding]:
        home, known = self.request.home, self.settings.known_hosts
        ssh = home / ".ssh"
        yield from check_trusted("known hosts", [known, known.parent, ssh, ssh / "known_hosts", ssh / "config"])
        devices = self.inventory.devices.values() if self.inventory else ()
        named = {Path(one.identity_file): one.name for one in devices if one.identity_file}
        yield from check_keys(named, sorted(set(ssh.glob("id_*")) - set(ssh.glob("*.pub"))))
        if self.settings.db.startswith("postgres"):
            # libpq takes no password from a file that others may read, and asks the server without one.
            yield from check_secret("keys", [home / ".pgpass"])

    def _places(self) -> dict[str, tuple[Path, str]]:
        cache = self.settings.cache_dir
        places = {"cache": (cache, f"remove {cache / 'bundles'} and {cache / 'blobs'}: what is needed is made again")}
        if self.settings.db.startswith("sqlite:///"):
            folder = Path(self.settings.db.removeprefix("sqlite:///")).parent
            places["database"] = (folder, "benchfleet db prune --keep-raw 90d --vacuum, or move the database")
        if self.settings.log_file is not None:
            places["log"] = (self.settings.log_file.parent, f"rotate {self.settings.log_file}")
        return places

    def _database(self) -> Iterator[Finding]:
        try:
            status = self.wiring.database_revision()
            if status.revision == status.wanted:
                yield Finding("database", Health.FINE, f"{status.database}: revision {status.revision}")
                self.has_database = True
                yield from self._clock()
            else:
                yield self._of_schema(status)
        except OrchestratorError as error:
            yield Finding.of_error("database", error)

    def _of_schema(self, status: SchemaStatus) -> Finding:
        is_file = self.settings.db.startswith("sqlite")
        if status.revision is None:
            health = Health.ADVICE if is_file else Health.WRONG
            words = f"{status.database}: there are no tables yet"
            self.has_database = is_file
        elif status.revision > status.wanted:
            words = f"{status.database}: revision {status.revision} is of a newer release than this, {status.wanted}"
            return Finding("database", Health.WRONG, words, "pip install --upgrade benchfleet")
        else:
            health = Health.WRONG
            words = f"{status.database}: revision {status.revision}, and this release wants {status.wanted}"
        return Finding("database", health, words, "benchfleet db upgrade")

    def _clock(self) -> Iterator[Finding]:
        before = self.request.now()
        told = self.wiring.reader.daemons.now()
        after = self.request.now()
        # The database may have told its time at any moment between the two.
        offset_s = max((before - told).total_seconds(), (told - after).total_seconds(), 0.0)
        if offset_s > OFFSET_S_MAX:
            words = (
                f"this machine's clock and the database's differ by {offset_s:.0f} s: runs would be in a wrong order"
            )
            yield Finding("clock", Health.WRONG, words, "timedatectl set-ntp true, on both machines")
        elif not self.settings.db.startswith("sqlite"):
            yield Finding("clock", Health.FINE, "as the database's")

    def _devices(self) -> Iterator[Finding]:
        if self.inventory is None or not self.has_database:
            words = "not asked: inventory and database come first"
            yield Finding("devices", Health.WRONG, words, "benchfleet doctor --devices, once they are in order")
            return
        try:
            answers = probe(self.request.select, self.wiring).answers
        except OrchestratorError as error:
            yield Finding.of_error("devices", error)
            return
        for name, answer in answers.items():
            if isinstance(answer, OrchestratorError):
                yield Finding.of_error("devices", answer)
            else:
                yield Finding("devices", Health.FINE, f"{name} answers")
