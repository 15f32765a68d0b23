"""Watch the temperature of the CPU."""

from __future__ import annotations

from functools import partial

from device_worker.sensing.conditions.base import Condition
from device_worker.sensing.plausible import TEMPERATURE_C, sift
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator

    from device_worker.sensing.conditions.base import Reading, TrialSeen

_CPU_ZONE_WORDS = ("cpu", "soc", "pkg", "core", "k10temp", "bcm2835", "mpu")
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "scpi_sensors")
_INPUT = "_input"
_WHOLE_DEGREES_MIN = 15
_SENSORS_MAX = 64
_NAME_MAX = 60


class Temperature(Condition):
    """The temperature of the hottest CPU sensor, in degrees Celsius. The runner waits for a hot device."""

    reading = "temperature_c"
    limit = "temperature_c_max"
    invalid = "too-hot"
    unanswered = "temperature-unknown"
    is_waited_for = True

    def __init__(self) -> None:
        self._last: dict[str, float | None] = {}
        self._peak_c: float | None = None

    def note(self, seen: TrialSeen) -> None:
        """Keep the highest temperature that was read while the last trial ran."""
        self._peak_c = seen.temperature_peak_c

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True for a temperature above the limit before, after or during the trial."""
        return super().is_breached(before, after, limit) or super().is_breached(None, self._peak_c, limit)

    def read(self) -> float | None:
        """Return the present temperature."""
        discarded: list[str] = []
        self.discarded, self._last = discarded, {}
        return read_temperature_c(discarded, self._last)

    def further(self) -> dict[str, Callable[[], object]]:
        """Return the temperatures of all sensors: those of the last reading are not asked a second time.

        After a trial that was long enough to see one, the peak during the trial is there too.
        """
        found: dict[str, Callable[[], object]] = {"temperatures_c": lambda: read_temperatures_c(self._last)}
        return found if self._peak_c is None else dict(found, temperature_peak_c=lambda: self._peak_c)

    def explain_unknown(self) -> str:
        """Return the reason for a missing temperature."""
        found = "; ".join(self.discarded)
        nowhere = "no sensor in /sys/class/thermal or /sys/class/hwmon gives a plausible temperature of a CPU"
        return f"{nowhere}: {found}" if found else nowhere


def read_temperature_c(discarded: list[str] | None = None, seen: dict[str, float | None] | None = None) -> float | None:
    """Return the temperature of the hottest CPU sensor in degrees Celsius, or None without a plausible sensor.

    Implausible temperatures go to `discarded`, and what was read to `seen`, by its file.
    """
    seen = {} if seen is None else seen
    plausible = sift(_zones(seen), TEMPERATURE_C, discarded) or sift(
        _sensors(discarded, seen), TEMPERATURE_C, discarded
    )
    return max(plausible, default=None)


def read_temperatures_c(known: dict[str, float | None] | None = None) -> dict[str, float] | None:
    """Return the plausible temperature of every sensor of the device by name, or None without any.

    A zone has the name of its kind, a chip its own with the label of the channel. Of equal names the later ones are
    numbered, in the kernel's order. What was read a moment ago is `known` by its file: a sensor may be slow.
    """
    known = known or {}
    found: dict[str, float] = {}
    for name, path, read in (*_all_zones(), *_all_channels()):
        value = known[path] if path in known else read()
        if value is None or value not in TEMPERATURE_C or len(found) >= _SENSORS_MAX:
            continue
        numbers = (f"{name} {number}" for number in range(2, _SENSORS_MAX + 2))
        found[next(one for one in (name, *numbers) if one not in found)] = value
    return found or None


def _all_zones() -> Iterator[tuple[str, str, Callable[[], float | None]]]:
    for zone in system_files.list_folder("/sys/class/thermal", "thermal_zone"):
        kind = system_files.read_text(f"{zone}/type") or zone.rpartition("/")[2]
        yield kind[:_NAME_MAX], f"{zone}/temp", partial(_read_zone, zone)


def _all_channels() -> Iterator[tuple[str, str, Callable[[], float | None]]]:
    for chip in system_files.list_folder("/sys/class/hwmon", "hwmon"):
        name = system_files.read_text(f"{chip}/name") or chip.rpartition("/")[2]
        for path in system_files.list_folder(chip, "temp"):
            if path.endswith(_INPUT):
                stem = path[: -len(_INPUT)]
                label = system_files.read_text(f"{stem}_label") or stem.rpartition("/")[2]
                yield f"{name} {label}"[:_NAME_MAX], path, partial(_read_channel, path)


def _zones(seen: dict[str, float | None]) -> Iterator[tuple[str, float | None]]:
    for zone in system_files.list_folder("/sys/class/thermal", "thermal_zone"):
        kind = system_files.read_text(f"{zone}/type") or ""
        if any(word in kind.lower() for word in _CPU_ZONE_WORDS):
            seen[f"{zone}/temp"] = None  # before: a sensor that hangs is not asked a second time
            seen[f"{zone}/temp"] = value = _read_zone(zone)
            yield f"{zone} ({kind})", value


def _sensors(discarded: list[str] | None, seen: dict[str, float | None]) -> Iterator[tuple[str, float | None]]:
    for sensor in system_files.list_folder("/sys/class/hwmon", "hwmon"):
        if system_files.read_text(f"{sensor}/name") in _CPU_SENSORS:
            for path in _inputs(sensor):
                seen[path] = None
                seen[path] = value = _read_channel(path, discarded)
                yield path, value


def _read_zone(zone: str) -> float | None:
    return _celsius(system_files.read_int(f"{zone}/temp"), partial(_limits_of_zone, zone))


def _read_channel(path: str, discarded: list[str] | None = None) -> float | None:
    """Return the temperature of a channel, or None for one that is off or reports a fault."""
    stem = path[: -len(_INPUT)]
    if system_files.read_int(f"{stem}_fault") == 1:
        if discarded is not None:
            discarded.append(f"{path}: the driver reports a fault of the sensor")
        return None
    if system_files.read_int(f"{stem}_enable") == 0:
        return None
    return _celsius(system_files.read_int(path), partial(_limits_of_sensor, stem))


def _inputs(sensor: str) -> list[str]:
    """Return the files of a sensor's temperatures, without those that steer the fan."""
    inputs = [path for path in system_files.list_folder(sensor, "temp") if path.endswith(_INPUT)]
    labels = {path: system_files.read_text(f"{path[: -len(_INPUT)]}_label") for path in inputs}
    # Source: Documentation/hwmon/k10temp.rst: Tctl of some processors is Tdie and 10 to 27 degrees more.
    return [path for path in inputs if labels[path] != "Tctl" or "Tdie" not in labels.values()]


def _celsius(value: int | None, bounds: Callable[[], Iterable[int | None]]) -> float | None:
    """Return a reading in degrees. The kernel gives thousandths; kernels of vendors have given tenths and degrees.

    `bounds` gives the sensor's own limits, which are in the unit of the reading.
    """
    if value is None:
        return None
    if not _WHOLE_DEGREES_MIN <= value <= TEMPERATURE_C.high * 10:
        return value / 1000.0
    # Without limits the reading itself tells: a CPU that runs is at 15 to 150 degrees a thousand times as likely as
    # within those of a thousandth.
    largest = max((bound for bound in bounds() if bound is not None and bound > 0), default=value)
    if largest > TEMPERATURE_C.high * 10:
        return value / 1000.0
    return value / 10.0 if largest > TEMPERATURE_C.high else float(value)


def _limits_of_zone(zone: str) -> Iterator[int | None]:
    for path in system_files.list_folder(zone, "trip_point"):
        if path.endswith("_temp"):
            yield system_files.read_int(path)


def _limits_of_sensor(stem: str) -> Iterator[int | None]:
    for end in ("crit", "max", "emergency"):
        yield system_files.read_int(f"{stem}_{end}")
