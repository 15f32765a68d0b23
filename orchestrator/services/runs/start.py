"""Start a run: record the run, drive its devices, and read the run back."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.domain.device import Device
from orchestrator.domain.errors import ExitCode
from orchestrator.domain.increment import Increment
from orchestrator.domain.model import Model
from orchestrator.domain.run import OVERRIDES, DeviceRunState, RunHeader, RunModel
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.run_words import NewWords
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.services.devices.collect import collect_ended, collecting
from orchestrator.services.devices.needed import ALL, needed_devices
from orchestrator.services.devices.reserve import require_reservation
from orchestrator.services.runs.commit import commit_of
from orchestrator.services.runs.incremental import left_to_run
from orchestrator.services.runs.metering import metering
from orchestrator.services.runs.show import details_of

if TYPE_CHECKING:
    from orchestrator.services.base import RunWiring, Shows
    from orchestrator.specs.sweep import SweepFile


_NO_WORDS = NewWords()


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Ask for a run of a sweep on selected devices.

    `detach`: return as soon as every device runs. `waits`: queue for busy devices. `reservation`: the id of a
    reservation for the run, of any holder. `overrides` are settings `KEY=VALUE` laid over the sweep file.
    `words`: what the run is called and why it is made. `increment`: without the cells that have a result.
    `origin`: the folder whose git commit is noted, where it is not the sweep's.
    """

    sweep: Path
    select: str = "all"
    detach: bool = False
    waits: bool = False
    reservation: int | None = None
    overrides: tuple[str, ...] = ()
    words: NewWords = _NO_WORDS
    increment: Increment | None = None
    origin: Path | None = None

    @property
    def intent(self) -> Intent:
        """Return the driver's intent."""
        return Intent.DETACH if self.detach else Intent.RUN

    def exit_code(self, details: RunDetails) -> ExitCode:
        """Return the exit code for the run. A detach is fine unless a device failed to begin, or was taken over."""
        states = {device.state for device in details.record.devices}
        if self.detach and not details.taken_over and DeviceRunState.FAILED not in states:
            return ExitCode.FINE
        return details.exit_code


def start(
    request: StartRequest, wiring: RunWiring, shows: Shows, idle: Callable[[str], None] = lambda _: None
) -> RunDetails:
    """Run a sweep. Return the run in full at the end, or once every device runs.

    `shows` makes the run's display. `idle` is told of devices on which an increment leaves nothing to run.
    Raise ConfigError, with nothing recorded, for a wrong request, inventory or sweep, and NothingToRun if an increment
    leaves nothing at all. A missing release raises NoSuchRelease at the end, with every device on record. A device's
    failure is a value in the result. KeyboardInterrupt leaves the devices running.
    """
    wiring.inventory().select(request.select)
    file = wiring.sweep_file(request.sweep, request.overrides)
    need = file.sweep.need if request.select == ALL else None
    devices = needed_devices(need, request.select, wiring)
    given = {OVERRIDES: list(file.overrides)} if file.overrides else {}
    increment = {} if request.increment is None else request.increment.settings
    asked = {} if need is None else need.settings
    header = new_run(file, {"select": request.select, **given, **increment, **asked})
    identity = wiring.identity(waits=request.waits, reservation=request.reservation)
    store = wiring.store
    # Before the display: reading large files has a progress of its own.
    planner = wiring.planner(file, increment=request.increment)
    if request.increment is not None:
        left = left_to_run(devices, planner, wiring)
        devices = left.devices
        if left.idle:
            idle(left.sentence)
    with shows(header.run) as display:
        tools = DriverTools(store, wiring.executor(), display, planner, identity)

        def told(device: str, run: str) -> None:
            display.step(device, "collect", f"run {run} had ended there")

        # Looked at whether due or not: a run that failed early must not keep its devices for the time of its plan.
        collect_ended(devices, wiring, told, only_due=False)
        origin = request.origin or request.sweep.absolute().parent
        words = replace(request.words, who=identity.holder, commit=commit_of(origin))
        metered = metering(header.run, devices, wiring, display.warned, is_detached=request.detach)
        with collecting(devices, wiring, told) if request.waits else nullcontext(), metered:
            details = run_sweep(header, file.models, devices, tools, request.intent, words=words)
        # Read again: a meter's figures are there once the run has ended.
        return details_of(store, header.run, details.taken_over) if any(one.meter for one in devices) else details


def new_run(file: SweepFile, settings: Mapping[str, Any]) -> RunHeader:
    """Return the header of a new run."""
    now = datetime.now(UTC)
    sweep, model = file.sweep, file.model
    return RunHeader(
        run=new_run_id(now),
        sweep=sweep.name,
        sweep_document=file.text,
        sweep_source=sweep.source,
        model=model.name,
        model_directory=model.directory,
        seed=sweep.order.seed,
        started_at=now,
        controller=f"benchfleet {__version__} on {socket.gethostname()}",
        settings=settings,
        further=tuple(RunModel(one.name, one.directory) for one in file.further),
    )


def new_run_id(now: datetime) -> str:
    """Return the id of a new run. Ids sort by time."""
    # The time makes ids sort, the four random digits keep apart two runs of the same second.
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def run_sweep(
    header: RunHeader,
    models: Sequence[Model],
    devices: Sequence[Device],
    tools: DriverTools,
    intent: Intent = Intent.RUN,
    *,
    words: NewWords = _NO_WORDS,
) -> RunDetails:
    """Record the run and drive the run to its end (RUN), or only until every runner has started (DETACH)."""
    # Before the run is on record: a mistyped id must not leave a failed run behind.
    require_reservation(tools.identity, [device.name for device in devices], tools.store.leases)
    tools.store.runs.create_run(header, models[0], devices, words, models[1:])
    taken_over = Driver(header.run, intent, tools).drive(devices)
    return details_of(tools.store, header.run, taken_over)
