"""Declare the wiring of use cases. `bootstrap.Wiring` plays every role, and a test may bring another wiring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.store.base import Roles

if TYPE_CHECKING:
    # Types alone: `runs show` and `compare` read, and would pay for the imports of the driver.
    from orchestrator.blobs.base import BundleTaker
    from orchestrator.domain.device import Device
    from orchestrator.domain.enrollment import Enrollment
    from orchestrator.domain.increment import Increment
    from orchestrator.domain.inventory import Inventory
    from orchestrator.domain.meter import Meter, MeterReading
    from orchestrator.domain.run import RunHeader
    from orchestrator.domain.window import Window
    from orchestrator.driving.identity import ControllerIdentity
    from orchestrator.execution.base import Executor
    from orchestrator.messages.base import Messenger
    from orchestrator.meters.base import OpenMeter
    from orchestrator.reporting.base import RunDisplay
    from orchestrator.services.nights.folder import NightBlobs
    from orchestrator.services.runs.prepare import RecordedPlanner, SweepPlanner
    from orchestrator.specs.nightly import NightlyFile
    from orchestrator.specs.reach import Reach
    from orchestrator.specs.sweep import SweepFile


Shows = Callable[[str], "RunDisplay"]
"""Makes the display of a run. Called once the run's id is known, since the display and Ctrl-C name the run."""


class Meters(Protocol):
    """Open meters, and say where recordings are kept."""

    def opener(self, meter: Meter) -> OpenMeter:
        """Return what opens a reader for the meter."""

    def read(self, path: Path) -> Sequence[MeterReading]:
        """Return the readings of a recording. Raise ConfigError."""

    def format_line(self, reading: MeterReading) -> str:
        """Return a reading as a line of a recording."""

    @property
    def folder(self) -> Path:
        """Return the folder of recordings."""


class HostKeys(Protocol):
    """Look at devices' host keys, and keep host keys."""

    def look(self, device: Device) -> Enrollment:
        """Fetch the key without logging in. Raise HostKeyChanged if another key is on record."""

    def record(self, device: Device) -> Enrollment:
        """Put the key seen by `look` on record. Return the enrolment with `recorded` set."""


class HasRecords(Protocol):
    """Hold the open database."""

    @property
    def store(self) -> Roles:
        """Return the database."""


class FleetWiring(HasRecords, Protocol):
    """Offer the database, the executor and the devices of an inventory."""

    def store_if_there(self) -> Roles | None:
        """Return the database, or None before its file exists. A PostgreSQL database counts as existing."""

    def inventory(self) -> Inventory:
        """Return the declared devices."""

    def executor(self) -> Executor:
        """Return the executor of sessions. The maker of the wiring closes the executor."""

    def identity(self, *, waits: bool = False, reservation: int | None = None) -> ControllerIdentity:
        """Return the identity under which this controller asks for leases.

        `waits`: queue for busy devices. `reservation`: the id of a reservation to use, of any holder.
        """

    def host_keys(self) -> HostKeys:
        """Return the reader and keeper of host keys."""

    def meters(self) -> Meters:
        """Return the power meters of the controller. Asked only where a device has one."""


class RunWiring(FleetWiring, Protocol):
    """Offer sweeps and planners too."""

    def sweep_file(self, path: Path, overrides: Sequence[str] = ()) -> SweepFile:
        """Load a sweep with its model. Raise ConfigError, with file and line, for a bad file.

        `overrides` are settings `KEY=VALUE` laid over the file.
        """

    def planner(
        self,
        file: SweepFile,
        on_progress: Callable[[str], None] | None = None,
        increment: Increment | None = None,
    ) -> SweepPlanner:
        """Return the planner of a sweep. `on_progress` gets a line for each runtime to be resolved or packed.

        With an `increment`, plans lack the cells that have a result.
        """

    def planner_of(self, header: RunHeader) -> RecordedPlanner:
        """Return the planner of a recorded run."""


class QueueWiring(RunWiring, Protocol):
    """Offer the contents of submissions too."""

    def cache(self) -> NightBlobs:
        """Return the keeper of contents by hash."""

    def windows(self, inventory: Inventory) -> Sequence[Window]:
        """Return the windows of the settings, each with its devices in an inventory.

        Raise ConfigError for a selector without a device.
        """

    def submissions_folder(self) -> Path:
        """Return the folder below which submissions are unpacked."""


class TellingWiring(Protocol):
    """Send messages to people."""

    def messenger(self) -> Messenger:
        """Return the sender of messages."""


class NightWiring(RunWiring, TellingWiring, Protocol):
    """Offer nightly files and the contents of earlier nights too."""

    def nightly_file(self, path: Path) -> NightlyFile:
        """Load a nightly file. Raise ConfigError, with file and line, for a bad file."""

    def cache(self) -> NightBlobs:
        """Return the keeper of contents by hash."""


class ReplayWiring(HasRecords, Protocol):
    """Offer the contents of recorded runs, to be taken to another controller."""

    def cache(self) -> NightBlobs:
        """Return the keeper of contents by hash."""

    def bundles_at(self, folder: Path, clock: Callable[[], float]) -> BundleTaker:
        """Return a taker of bundles into a cache folder other than this controller's."""


class RerunWiring(RunWiring, Protocol):
    """Offer the sweep and contents of a recorded run, to be measured again."""

    def reach(self) -> Reach:
        """Return the folders whose files may be sent to devices."""

    def recorded_sweep(self, header: RunHeader) -> SweepFile:
        """Return the sweep of a recorded run, with the model as the files are now.

        Raise ConfigError for files gone or changed since.
        """

    def cache(self) -> NightBlobs:
        """Return the keeper of contents by hash."""
