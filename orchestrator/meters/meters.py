"""Play the role of meters for services: open readers, and read recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.meter import Meter, MeterReading
from orchestrator.meters import recording
from orchestrator.meters.base import OpenMeter
from orchestrator.meters.table import OPENERS


class MeterRoom:
    """The meters of a controller, with the folder of recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def opener(self, meter: Meter) -> OpenMeter:
        """Return what opens a reader for the meter."""
        try:
            return OPENERS[meter.kind]
        except KeyError:
            raise ConfigError(f"{meter.name}: nobody reads such a meter", "benchfleet power import") from None

    def read(self, path: Path) -> Sequence[MeterReading]:
        """Return the readings of a recording. Raise ConfigError."""
        return recording.read_recording(path)

    def format_line(self, reading: MeterReading) -> str:
        """Return a reading as a line of a recording."""
        return recording.format_line(reading)
