"""Write numbers for people: three significant digits, and a unit of suitable size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.domain import moments
from orchestrator.domain.metric import Unit
from orchestrator.reporting.text import ABSENT

_Scale = tuple[tuple[float, str], ...]

_SECONDS: _Scale = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_SCALES: Mapping[Unit, tuple[float, _Scale]] = {
    Unit.NANOSECONDS: (1e-9, _SECONDS),
    Unit.SECONDS: (1.0, _SECONDS),
    Unit.MILLIJOULES: (1e-3, ((1e-6, "µJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"))),
    Unit.MILLIWATTS: (1e-3, ((1e-3, "mW"), (1.0, "W"), (1e3, "kW"))),
    Unit.WATTS: (1.0, ((1e-3, "mW"), (1.0, "W"), (1e3, "kW"))),
    Unit.BYTES: (1.0, ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB"))),
    Unit.CELSIUS: (1.0, ((1.0, "°C"),)),
    Unit.MEGAHERTZ: (1e6, ((1e6, "MHz"), (1e9, "GHz"))),
    Unit.PER_SECOND: (1.0, ((1.0, "/s"), (1e3, "k/s"), (1e6, "M/s"))),
    Unit.NUMBER: (1.0, ((1.0, ""),)),
}


def quantity(value: float | None, unit: Unit) -> str:
    """Return a value with unit, scaled: 41.9 µs, 2.31 ms, 13.6 MB."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if unit is Unit.RATIO:
        return f"{value:.3f}"
    base, scale = _SCALES[unit]
    amount = value * base
    # Whole bytes: 13.0 B would promise a precision that makes no sense.
    if unit is Unit.BYTES and abs(value) < 1000:
        return f"{value:.0f} B"
    for factor, name in scale[:-1]:
        # A number that would be rounded up to 1000 belongs to the next unit.
        if abs(amount) / factor < 999.5:
            return f"{digits(amount / factor)} {name}"
    factor, name = scale[-1]
    return f"{digits(amount / factor)} {name}".rstrip()


def digits(value: float) -> str:
    """Return three significant digits, never an exponent below a million."""
    if value == 0:
        return "0"
    # A mean of equal values differs from them in the sixteenth digit, and may then fall to the other side of a half.
    value = float(f"{value:.12g}")
    # Rounded first: 9.996 has as many digits before the point as 10.0.
    magnitude = math.floor(math.log10(abs(float(f"{value:.2e}"))))
    if magnitude >= 6 or magnitude < -6:
        return f"{value:.2e}"
    return f"{value:.{max(2 - magnitude, 0)}f}"


def nanoseconds(value: float | None) -> str:
    """Return a duration measured in nanoseconds."""
    return quantity(value, Unit.NANOSECONDS)


def size(value: float | None) -> str:
    """Return a number of bytes, in powers of a thousand."""
    return quantity(value, Unit.BYTES)


def factor(value: float | None) -> str:
    """Return a ratio: x0.480, x12.3."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"×{_ratio_digits(value, value)}"


def interval(low: float | None, high: float | None) -> str:
    """Return the interval of a ratio, both ends with the same decimals.

    An end beside 1 is never written as 1: a reader must see whether the interval holds 1.
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    ends = [_ratio_digits(end, high) for end in (low, high)]
    decimals = 3
    while decimals < 9 and any(float(text) == 1 != end for text, end in zip(ends, (low, high), strict=True)):
        decimals += 1
        ends = [f"{end:.{decimals}f}" for end in (low, high)]
    return f"[{ends[0]}–{ends[1]}]"


def _ratio_digits(value: float, scale: float) -> str:
    """Return three decimals around 1, where a per cent matters, and fewer decimals for large ratios."""
    # The limits are where rounding adds a digit: 0.0995 is 0.100, 9.995 is 10.00.
    if 0 < value < 0.0995:
        return digits(value)
    if scale >= 1e4:
        return digits(value)
    return f"{value:.{3 if scale < 9.995 else 2 if scale < 99.95 else 1}f}"


def percent(share: float) -> str:
    """Return a share in per cent: 1 %, 2.5 %."""
    return f"{share * 100:.3g} %"


def signed(value: float | None) -> str:
    """Return a difference with the sign: +0.004."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:+.3f}"
    # Rounded to nothing: "-0.000" would look like a loss.
    return "±0.000" if float(text) == 0 else text


def duration(seconds: float | None) -> str:
    """Return a duration in the two largest units: 45 s, 3 min 12 s, 2 h 05 min."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if 0 < seconds < 1:
        return quantity(seconds, Unit.SECONDS)
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def told(when: datetime | None) -> str:
    """Return a time for the reader of a terminal: in local time, and how far away."""
    return ABSENT if when is None else moments.told(when)


def utc(when: datetime | None) -> str:
    """Return a time to the minute, in UTC, for pages and files: others read these, elsewhere and later."""
    if when is None:
        return ABSENT
    # A database without time zones keeps UTC.
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
