"""Record the meters of devices while a run is driven, and join the readings with the trials."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.analysis.metered import MeterRecord, shifted
from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, OrchestratorError
from orchestrator.domain.meter import Meter, MeterKind

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring, HasRecords, Meters

    Warned = Callable[[str, str, str | None], None]

_END_S_MAX = 20.0


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Ask for a recording to be joined with the trials of a device in a run.

    `offset_s` is how far the recording's clock is ahead of the controller's, `uncertainty_s` by how much that may be
    wrong. `name` is the meter's name for figures, None for the inventory's.
    """

    run: str
    file: Path
    device: str
    offset_s: float = 0.0
    uncertainty_s: float = 0.0
    name: str | None = None
    accuracy_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """Tell what a join did: trials with figures, trials without, and trials left with figures of another source."""

    source: str
    with_figures: int
    without: int
    left: int


def import_recording(request: ImportRequest, run: str, meters: Meters, wiring: FleetWiring) -> Joined:
    """Join a recording with a device's trials. Raise ConfigError for a bad file, or for no trial of the device."""
    if not math.isfinite(request.offset_s) or not 0 <= request.uncertainty_s < math.inf:
        raise ConfigError("an offset is a number of seconds, and its uncertainty is not below 0")
    declared = wiring.inventory().devices.get(request.device)
    meter = declared.meter if declared is not None and declared.meter is not None else None
    meter = meter or Meter(MeterKind.CSV, "recording", update_s=0.0, resolution_w=0.001)
    if request.accuracy_percent is not None:
        meter = replace(meter, accuracy_ratio=request.accuracy_percent / 100)
    record = MeterRecord(meter, meters.read(request.file), request.name)
    joined = join(run, request.device, record, wiring, (request.offset_s, request.uncertainty_s))
    if not joined.with_figures + joined.without + joined.left:
        raise ConfigError(
            f"run {run} has no measured trial of {request.device}", f"benchfleet runs show {run} lists its devices"
        )
    return joined


def join(
    run: str, device: str, record: MeterRecord, wiring: HasRecords, shift: tuple[float, float] = (0.0, 0.0)
) -> Joined:
    """Compute the figures of a device's trials from a meter's readings, and write them.

    Trials with figures of another source are left alone: two sources would give one trial two figures.
    """
    store = wiring.store.metered
    clocks = shifted(store.clocks(run, device), *shift)
    attempts = store.metered_attempts(run, device)
    own = [one for one in attempts if one.source in (None, record.source)]
    found = [record.join(one, clocks) for one in own]
    if found:
        store.join(run, device, found)
    measured = sum(bool(one.figures) for one in found)
    return Joined(record.source, measured, len(found) - measured, len(attempts) - len(own))


@contextmanager
def metering(
    run: str, devices: Sequence[Device], wiring: FleetWiring, warned: Warned, *, is_detached: bool = False
) -> Iterator[None]:
    """Read the meters of the devices as long as the context lasts, and join the readings at its end.

    The readings are in a file as soon as they are read: after an interruption, or an error, `power import` joins them.
    """
    metered = [device for device in devices if device.meter is not None and device.meter.kind is not MeterKind.CSV]
    if is_detached:
        for device in metered:
            warned(device.name, "a detached run: nobody reads its meter", "runs without --detach are metered")
        metered = []
    if not metered:
        yield
        return
    meters = wiring.meters()
    meters.folder.mkdir(parents=True, exist_ok=True)
    recorders = [_Recorder(device, meters, meters.folder / f"{run}-{device.name}.txt") for device in metered]
    for recorder in recorders:
        recorder.begin()
    try:
        yield
    finally:
        for recorder in recorders:
            recorder.end()
    for recorder in recorders:
        _join_recorded(run, recorder, meters, wiring, warned)


def _join_recorded(run: str, recorder: _Recorder, meters: Meters, wiring: HasRecords, warned: Warned) -> None:
    device = recorder.device
    assert device.meter is not None
    if recorder.error is not None:
        warned(device.name, recorder.error, "check `power` in the inventory")
    try:
        readings = meters.read(recorder.path) if recorder.path.exists() and recorder.path.stat().st_size else ()
        join(run, device.name, MeterRecord(device.meter, readings), wiring)
    except OrchestratorError as error:
        hint = f"benchfleet power import {run} {recorder.path} --device {device.name}"
        warned(device.name, f"its meter's readings could not be joined: {error.message}", hint)


class _Recorder:
    """Reads a meter in a thread, and appends each reading to a file."""

    def __init__(self, device: Device, meters: Meters, path: Path) -> None:
        assert device.meter is not None
        self.device = device
        self.path = path
        self.error: str | None = None
        self._meter = device.meter
        self._meters = meters
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"meter of {device.name}", daemon=True)

    def begin(self) -> None:
        """Begin to read."""
        self._thread.start()

    def end(self) -> None:
        """Read no more. A meter that does not answer is left behind."""
        self._is_over.set()
        self._thread.join(_END_S_MAX)

    def _run(self) -> None:
        try:
            with self._meters.opener(self._meter)(self._meter) as reader, self.path.open("a", encoding="ascii") as file:
                due = time.monotonic()
                is_last = False
                while not is_last:
                    due = max(due + self._meter.period_s, time.monotonic())  # no burst after a late answer
                    is_last = self._is_over.wait(due - time.monotonic())  # and once more, behind the last trial
                    try:
                        file.writelines(self._meters.format_line(reading) for reading in reader.read())
                    except OrchestratorError as error:  # the next reading may come
                        self.error = error.message
                    file.flush()
        except OrchestratorError as error:
            self.error = error.message
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"
