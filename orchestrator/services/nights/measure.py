"""Measure the orders of a night, each order as a run: begun, taken up again, or found complete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.night import LostDevice, NightRun, NightStage
from orchestrator.domain.night_record import NightRecord
from orchestrator.domain.run import DeviceRunState, RunState
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.run_words import NewWords
from orchestrator.driving.driver import DriverTools, Intent
from orchestrator.services.nights.candidate import NightSweep
from orchestrator.services.runs.metering import metering
from orchestrator.services.runs.pick_up import pick_up
from orchestrator.services.runs.show import details_of
from orchestrator.services.runs.start import new_run, run_sweep

if TYPE_CHECKING:
    from orchestrator.domain.device import Device
    from orchestrator.services.base import NightWiring, Shows

_BAD = (DeviceRunState.FAILED, DeviceRunState.STOPPED, DeviceRunState.CANCELLED)


@dataclass(slots=True)
class Runner:
    """Carry out the runs of a night, each once in a process: trials missing at a run's end are lost for the night."""

    night: NightRecord
    wiring: NightWiring
    shows: Shows
    waits: bool = False
    says: Callable[[str], None] = lambda _: None
    runs: dict[str, NightRun] = field(default_factory=dict)
    lost: dict[tuple[str, NightStage], LostDevice] = field(default_factory=dict)
    _details: dict[str, RunDetails] = field(default_factory=dict)

    def measure(
        self, stage: NightStage, sweep: NightSweep, devices: Iterable[Device], place: tuple[int, int] = (0, 0)
    ) -> RunDetails | None:
        """Return the run of a stage. `place` numbers sweep and look. None: no device is left for the run.

        A device lost in an earlier stage is left out. KeyboardInterrupt leaves the devices running.
        """
        number, look = place
        # For the whole night: a device that failed would cost each later stage the same time-outs.
        gone = {device for device, _ in self.lost}
        chosen = tuple(device for device in devices if device.name not in gone)
        if not chosen:
            return None
        run = self._run_id(stage, number, look)
        if run not in self._details:
            self.says(_words(stage, sweep, chosen, look))
            self.runs[run] = NightRun(stage, sweep.name, run, look)
            self._details[run] = self._carried_out(run, sweep, chosen)
            self._note_lost(stage, self._details[run])
        return self._details[run]

    def _carried_out(self, run: str, sweep: NightSweep, devices: tuple[Device, ...]) -> RunDetails:
        store = self.wiring.store
        # Before the run: a night that is cut off in between finds the run by its id.
        store.nights.add_run(self.night.id, self.runs[run])
        record = store.runs.find_run(run)
        identity = self.wiring.identity(waits=self.waits)
        if record is not None and record.header.sweep_document != sweep.file.text:
            raise ConfigError(
                f"run {run} of night {self.night.id} has measured something else than {sweep.path}",
                "begin another night with --again",
            )
        if record is not None and record.state is not RunState.ACTIVE:
            return details_of(store, run)
        planner = self.wiring.planner(sweep.file)
        with self.shows(run) as display:
            tools = DriverTools(store, self.wiring.executor(), display, planner, identity)
            with metering(run, devices, self.wiring, display.warned):
                if record is not None:
                    return pick_up(record, Intent.RESUME, self.wiring.inventory(), tools)
                names = " or ".join(device.name for device in devices)
                header = new_run(sweep.file, {"select": names})
                words = NewWords(identity.holder)
                return run_sweep(replace(header, run=run), sweep.file.models, devices, tools, words=words)

    def _run_id(self, stage: NightStage, number: int, look: int) -> str:
        """Return the id of an order, always the same. Another database has another id, even in the same second."""
        words = (self.wiring.store.leases.database_id(), self.night.id, stage.value, str(number), str(look))
        digest = hashlib.sha256("|".join(words).encode()).hexdigest()[:8]
        return f"{self.night.began_at:%Y%m%d-%H%M%S}-{digest}"

    def _note_lost(self, stage: NightStage, details: RunDetails) -> None:
        for entry in details.record.devices:
            if entry.state in _BAD or entry.device in details.taken_over:
                error = entry.error or f"{entry.device} was {entry.state} in run {details.record.header.run}"
                self.lost[entry.device, stage] = LostDevice(entry.device, stage, error, entry.hint, 0)


def _words(stage: NightStage, sweep: NightSweep, devices: Sequence[Device], look: int) -> str:
    """Tell people the next measurement."""
    count = f"{len(devices)} {'device' if len(devices) == 1 else 'devices'}"
    which = f" {look + 1}" if stage is NightStage.CONFIRMATION else ""
    return f"{stage.value}{which}: {sweep.name}, {sweep.file.sweep.trials} trials a cell, on {count}"
