"""What a number means: its unit, which way is better, and by how much it must move before anyone should care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Units that metric names end in; `1` is a plain number."""

    NANOSECONDS = "ns"
    SECONDS = "s"
    MILLIJOULES = "mj"
    MILLIWATTS = "mw"
    WATTS = "w"
    BYTES = "bytes"
    CELSIUS = "c"
    MEGAHERTZ = "mhz"
    RATIO = "ratio"
    NUMBER = "1"


class Direction(StrEnum):
    """Which way is better; `none` where neither is."""

    LOWER = "lower"
    HIGHER = "higher"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; `min_effect` is the relative change below which two sides count as equal (0.01 is one per cent)."""

    name: str
    unit: Unit
    direction: Direction
    min_effect: float = 0.01


_REGISTERED = (
    Metric("latency_ns", Unit.NANOSECONDS, Direction.LOWER),
    Metric("set_input_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("get_output_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("load_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("first_inference_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("energy_mj", Unit.MILLIJOULES, Direction.LOWER, 0.02),
    Metric("energy_gross_mj", Unit.MILLIJOULES, Direction.LOWER, 0.02),
    Metric("power_mean_w", Unit.WATTS, Direction.LOWER, 0.02),
    Metric("power_idle_w", Unit.WATTS, Direction.NONE, 0.05),
    Metric("rss_bytes_max", Unit.BYTES, Direction.LOWER),
    Metric("warmup_runs", Unit.NUMBER, Direction.NONE),
    Metric("involuntary_switches", Unit.NUMBER, Direction.LOWER, 0.10),
    Metric("steady_ratio", Unit.RATIO, Direction.NONE),
    Metric("accuracy_top1", Unit.RATIO, Direction.HIGHER),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _REGISTERED}

ALIASES: Mapping[str, str] = {
    "latency": "latency_ns",
    "load": "load_ns",
    "first_inference": "first_inference_ns",
    "cold_start": "first_inference_ns",
    "energy": "energy_mj",
    "power": "power_mean_w",
    "memory": "rss_bytes_max",
    "rss": "rss_bytes_max",
    "accuracy": "accuracy_top1",
}

# A name's ending (or, for bytes, any part of it) says what an unregistered metric is counted in.
_INFERRED: Mapping[str, tuple[Unit, Direction]] = {
    "ns": (Unit.NANOSECONDS, Direction.LOWER),
    "s": (Unit.SECONDS, Direction.LOWER),
    "mj": (Unit.MILLIJOULES, Direction.LOWER),
    "mw": (Unit.MILLIWATTS, Direction.LOWER),
    "w": (Unit.WATTS, Direction.LOWER),
    "bytes": (Unit.BYTES, Direction.LOWER),
    "c": (Unit.CELSIUS, Direction.NONE),
    "mhz": (Unit.MEGAHERTZ, Direction.NONE),
    "ratio": (Unit.RATIO, Direction.NONE),
}
_QUALIFIERS = frozenset({"max", "min", "mean", "median", "p50", "p90", "p99"})


def metric_named(name: str) -> Metric:
    """Return the metric of this name or alias; an unregistered name says its unit by its ending."""
    name = ALIASES.get(name, name)
    return METRICS.get(name) or _inferred(name)


def is_registered(name: str) -> bool:
    """Say whether the name (or alias) is one that the worker's own runtimes or meters report."""
    return name in METRICS or name in ALIASES


def _inferred(name: str) -> Metric:
    words = name.split("_")
    while len(words) > 1 and words[-1] in _QUALIFIERS:
        words.pop()
    if len(words) > 1 and words[0] == "accuracy":
        return Metric(name, Unit.RATIO, Direction.HIGHER)
    unit, direction = _INFERRED.get(words[-1], (Unit.NUMBER, Direction.NONE)) if len(words) > 1 else _PLAIN
    return Metric(name, unit, direction)


_PLAIN = (Unit.NUMBER, Direction.NONE)
