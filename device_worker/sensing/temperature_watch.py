"""Read, while a trial runs, how hot the CPU gets: a peak between two readings is else seen by nobody."""

from __future__ import annotations

import time

from device_worker.sensing.conditions.temperature import read_temperature_c
from device_worker.system.patient_reader import PatientReader


class TemperatureWatch:
    """The highest temperature of the hottest CPU sensor, None before the first reading and without a sensor.

    A reading takes some 0.4 ms beside the trial. A sensor that hangs costs one wait of the reader, and ends the watch.
    """

    period_s = 2.0  # a chip's case takes seconds to warm up

    def __init__(self) -> None:
        self._reader = PatientReader(in_runner=True)
        self._due = time.monotonic() + self.period_s
        self._has_sensor = True
        self.peak_c: float | None = None
        self.overhead_cpu_ns = 0

    def observe(self, _pid: int) -> None:
        """Read the temperature, if the last reading is a period ago."""
        if not self._has_sensor or time.monotonic() < self._due:
            return
        begin = time.process_time_ns()  # of the process, since the reader has a thread of its own
        values, _reasons = self._reader.read({"temperature_c": read_temperature_c})
        found = values["temperature_c"]
        # One reading that fails in the middle is no reason to miss the heat that follows.
        self._has_sensor = found is not None or self.peak_c is not None
        if found is not None:
            self.peak_c = found if self.peak_c is None else max(self.peak_c, found)
        self._due = time.monotonic() + self.period_s
        self.overhead_cpu_ns += time.process_time_ns() - begin
