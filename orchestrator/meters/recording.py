"""Read and write recordings of power: lines of `unix_time watts`, or a CSV file of another tool."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.meter import MeterReading

_TIME_NAMES = ("unix_time", "time", "timestamp", "unix", "t", "time_s")
_WATT_NAMES = ("watts", "power_w", "power", "w", "watt")
_MILLIWATT_NAMES = ("milliwatts", "power_mw", "mw")
_LATEST_UNIX_S = 1e11
_WATTS_MAX = 1e6
_NS_PER_S = 1_000_000_000
_FILE_BYTES_MAX = 1 << 30
_READINGS_MAX = 20_000_000


def parse_line(line: str) -> MeterReading | None:
    """Return the reading in a line `unix_time watts`, or None for any other line."""
    words = line.replace(",", " ").split()
    return _reading(words[0], words[1]) if len(words) == 2 else None


def format_line(reading: MeterReading) -> str:
    """Return a reading as a line that `parse_line` reads, with all digits of the time."""
    seconds, rest = divmod(reading.unix_ns, _NS_PER_S)
    return f"{seconds}.{rest:09d} {reading.watts!r}\n"


def read_recording(path: Path) -> Sequence[MeterReading]:
    """Return the readings of a file, in the order of times.

    The file has a time in seconds since the epoch and a power in watts in each line, with a comma, a semicolon, a tab
    or blanks between. A line of names may come first, and says which columns are meant. Raise ConfigError, with file
    and line.
    """
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {_FILE_BYTES_MAX >> 20} MiB", "cut the recording to the run")
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            readings = list(_readings(path, file))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if not readings:
        raise ConfigError(f"{path}: no readings in it", "a line has a time in seconds since the epoch, and watts")
    # A recording of two writers, or of a clock that was set, need not be in order. Of equal times the last one stays.
    return sorted({reading.unix_ns: reading for reading in readings}.values(), key=lambda reading: reading.unix_ns)


def _readings(path: Path, lines: Iterator[str]) -> Iterator[MeterReading]:
    columns, scale = (0, 1), 1.0
    is_first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = _words(line)
        if is_first and (named := _named_columns(words)) is not None:
            columns, scale = named
            is_first = False
            continue
        is_first = False
        reading = _reading(words[columns[0]], words[columns[1]], scale) if max(columns) < len(words) else None
        if reading is None:
            raise ConfigError(
                f"{path}:{number}: no time in seconds since the epoch and power in watts",
                "name the columns in the first line: unix_time, watts",
            )
        if number > _READINGS_MAX:
            raise ConfigError(f"{path}: more than {_READINGS_MAX} lines", "cut the recording to the run")
        yield reading


def _words(line: str) -> list[str]:
    for separator in (";", "\t", ","):
        if separator in line:
            return [word.strip() for word in next(csv.reader([line.strip()], delimiter=separator))]
    return line.split()


def _named_columns(words: Sequence[str]) -> tuple[tuple[int, int], float] | None:
    """Return the columns of time and power with the watts of a unit, or None for a line that is not of names."""
    names = [word.lower() for word in words]
    times = [names.index(name) for name in _TIME_NAMES if name in names]
    for known, scale in ((_WATT_NAMES, 1.0), (_MILLIWATT_NAMES, 0.001)):
        powers = [names.index(name) for name in known if name in names]
        if times and powers:
            return (times[0], powers[0]), scale
    return None


def _reading(time: str, watts: str, scale: float = 1.0) -> MeterReading | None:
    whole, _, fraction = time.partition(".")
    try:
        power = float(watts) * scale
        seconds = float(time)
        # By whole numbers where digits allow: a float of today's seconds is off by 100 ns and more.
        exact = whole.isdigit() and fraction.isdigit() and whole.isascii() and fraction.isascii()
        unix_ns = (
            int(whole) * _NS_PER_S + int(fraction[:9].ljust(9, "0")) if exact else round(Decimal(time) * _NS_PER_S)
        )
    except (ValueError, ArithmeticError):
        return None
    if not math.isfinite(power) or not 0 <= power < _WATTS_MAX or not 0 < seconds < _LATEST_UNIX_S:
        return None
    return MeterReading(unix_ns, power)
