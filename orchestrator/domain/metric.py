"""Describe metrics: the unit, the better direction, and the smallest relevant change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Unit(StrEnum):
    """Name the units at the end of metric names. `1` is a plain number."""

    NANOSECONDS = "ns"
    SECONDS = "s"
    MILLIJOULES = "mj"
    MILLIWATTS = "mw"
    WATTS = "w"
    BYTES = "bytes"
    CELSIUS = "c"
    MEGAHERTZ = "mhz"
    PER_SECOND = "per_s"
    RATIO = "ratio"
    NUMBER = "1"


class Direction(StrEnum):
    """Name the better direction. `none`: neither is better."""

    LOWER = "lower"
    HIGHER = "higher"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Metric:
    """Describe a metric.

    Two sides with a relative change below `min_effect` count as equal. 0.01 is one per cent.
    """

    name: str
    unit: Unit
    direction: Direction
    min_effect: float = 0.01


_REGISTERED = (
    Metric("latency_ns", Unit.NANOSECONDS, Direction.LOWER),
    Metric("latency_ns_p90", Unit.NANOSECONDS, Direction.LOWER, 0.02),
    Metric("latency_ns_p99", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("query_latency_ns", Unit.NANOSECONDS, Direction.LOWER, 0.02),
    Metric("mlperf_p90_ns", Unit.NANOSECONDS, Direction.LOWER, 0.02),
    Metric("mlperf_p99_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("throughput_items_per_s", Unit.PER_SECOND, Direction.HIGHER),
    Metric("rate_max_per_s", Unit.PER_SECOND, Direction.HIGHER, 0.03),
    Metric("rate_per_s", Unit.PER_SECOND, Direction.NONE, 0.03),
    Metric("rate_probes", Unit.NUMBER, Direction.NONE),
    Metric("server_queue_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("server_compute_ns", Unit.NANOSECONDS, Direction.LOWER, 0.02),
    Metric("server_batch_items", Unit.NUMBER, Direction.NONE, 0.02),
    Metric("server_cache_hit_ratio", Unit.RATIO, Direction.NONE, 0.02),
    Metric("set_input_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("get_output_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("call_ns", Unit.NANOSECONDS, Direction.LOWER),
    Metric("process_start_ns", Unit.NANOSECONDS, Direction.LOWER, 0.10),
    Metric("import_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("load_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("allocate_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("first_inference_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("cold_start_ns", Unit.NANOSECONDS, Direction.LOWER, 0.05),
    Metric("energy_mj", Unit.MILLIJOULES, Direction.LOWER, 0.02),
    Metric("energy_gross_mj", Unit.MILLIJOULES, Direction.LOWER, 0.02),
    Metric("energy_u95_mj", Unit.MILLIJOULES, Direction.NONE, 0.10),
    Metric("energy_gross_u95_mj", Unit.MILLIJOULES, Direction.NONE, 0.10),
    Metric("power_mean_w", Unit.WATTS, Direction.LOWER, 0.02),
    Metric("power_max_w", Unit.WATTS, Direction.LOWER, 0.05),
    Metric("power_idle_w", Unit.WATTS, Direction.NONE, 0.05),
    Metric("rss_bytes_max", Unit.BYTES, Direction.LOWER),
    Metric("rss_model_bytes_max", Unit.BYTES, Direction.LOWER, 0.02),
    Metric("rss_steady_bytes", Unit.BYTES, Direction.LOWER),
    Metric("rss_interpreter_bytes", Unit.BYTES, Direction.NONE),
    Metric("rss_import_bytes", Unit.BYTES, Direction.LOWER, 0.02),
    Metric("rss_load_bytes", Unit.BYTES, Direction.LOWER, 0.02),
    Metric("rss_run_bytes", Unit.BYTES, Direction.LOWER, 0.02),
    Metric("size_bytes", Unit.BYTES, Direction.LOWER),
    Metric("warmup_runs", Unit.NUMBER, Direction.NONE),
    Metric("involuntary_switches", Unit.NUMBER, Direction.LOWER, 0.10),
    Metric("steady_ratio", Unit.RATIO, Direction.NONE),
    Metric("nodes", Unit.NUMBER, Direction.NONE),
    Metric("delegated_nodes", Unit.NUMBER, Direction.NONE),
    Metric("delegated_nodes_ratio", Unit.RATIO, Direction.NONE),
    Metric("accuracy_top1", Unit.RATIO, Direction.HIGHER),
    Metric("accuracy_top5", Unit.RATIO, Direction.HIGHER),
    Metric("accuracy_mean_iou", Unit.RATIO, Direction.HIGHER),
    Metric("accuracy_mean_absolute_error", Unit.NUMBER, Direction.LOWER),
    Metric("agreement_max_abs", Unit.NUMBER, Direction.LOWER),
    Metric("agreement_cosine", Unit.NUMBER, Direction.HIGHER),
    Metric("agreement_argmax", Unit.RATIO, Direction.HIGHER),
    Metric("agreement_within_tolerance", Unit.RATIO, Direction.HIGHER),
    Metric("energy_item_mj", Unit.MILLIJOULES, Direction.LOWER, 0.02),
    Metric("energy_gross_item_mj", Unit.MILLIJOULES, Direction.LOWER, 0.02),
    Metric("swap_bytes", Unit.BYTES, Direction.LOWER, 0.10),
)

ABOUT: Mapping[str, str] = {
    "latency_ns": "Time of one invocation, without input and output: the median of a trial's samples.",
    "latency_ns_p90": "The 90th percentile of a trial's samples of `latency_ns`, from 29 samples on.",
    "latency_ns_p99": "The 99th percentile of a trial's samples of `latency_ns`, from 299 samples on.",
    "query_latency_ns": "Median time of a query of a scenario; of `server`, from the scheduled arrival on.",
    "mlperf_p90_ns": "90th percentile of `query_latency_ns` as LoadGen counts it, of the scenario `single-stream`.",
    "mlperf_p99_ns": "99th percentile of `query_latency_ns` as LoadGen counts it, of `multi-stream` and `server`.",
    "throughput_items_per_s": "Items over the time of the timed invocations; where a sweep names a batch.",
    "rate_max_per_s": "The highest rate of queries whose p99 stayed under the bound that the sweep names.",
    "rate_per_s": "The rate at which a search ended: that of `query_latency_ns` and `mlperf_p99_ns`.",
    "rate_probes": "How many measurements a search took.",
    "server_queue_ns": "Mean time that a request waited in the queue of a server, as the server counts it.",
    "server_compute_ns": "Mean time of a request in the model of a server, copies included, as the server counts it.",
    "server_batch_items": "Items of an execution on the average, as the server counts them: how many it gathered.",
    "server_cache_hit_ratio": "The share of requests that a server answered from its cache.",
    "set_input_ns": "Median time of the copy into the input tensors.",
    "get_output_ns": "Median time of the copy out of the output tensors.",
    "call_ns": "A whole call: inputs set, inference, outputs read, between arrays of a program of the user's.",
    "process_start_ns": "From the fork until the first line of the trial: fork, exec, interpreter, worker's modules.",
    "import_ns": "Import of the runtime's package, and numpy with it.",
    "load_ns": "From the opening of the model file until the tensors are allocated, delegates applied.",
    "allocate_ns": "The part of `load_ns` that allocated the tensors.",
    "first_inference_ns": "The first invocation, inputs set.",
    "cold_start_ns": "From the fork until the first answer: process start, import, load and first inference.",
    "energy_mj": "Energy of an inference above what the device takes idle.",
    "energy_gross_mj": "Energy of an inference, idle power included.",
    "energy_u95_mj": "Half the width of the 95 % interval of `energy_mj`.",
    "energy_gross_u95_mj": "Half the width of the 95 % interval of `energy_gross_mj`.",
    "power_mean_w": "Mean power within the timed part.",
    "power_max_w": "The highest reading of power within the timed part.",
    "power_idle_w": "Power of the idle device: the mean of before and after the trial.",
    "rss_bytes_max": "The highest memory of the whole process, from the load until the end of the timed part.",
    "rss_model_bytes_max": "How far memory rose above what it was before the load: the model's own peak.",
    "rss_steady_bytes": "Memory of the whole process after the first inferences.",
    "rss_interpreter_bytes": "Memory of the interpreter with the worker's modules, before the runtime is imported.",
    "rss_import_bytes": "Memory that importing the runtime has added.",
    "rss_load_bytes": "Memory that loading the model has added.",
    "rss_run_bytes": "Memory that the first inferences have added.",
    "size_bytes": "Size of the artifact: known without any trial.",
    "warmup_runs": "Number of invocations before the timed part.",
    "involuntary_switches": "How often the kernel took the processor away while samples were taken.",
    "steady_ratio": "Median of the last third of the samples over that of the first: far from 1, nothing was steady.",
    "nodes": "Nodes of the model, as the runtime runs it.",
    "delegated_nodes": "Nodes that the delegate asked for runs; without one asked for, those of any delegate.",
    "delegated_nodes_ratio": "`delegated_nodes` over `nodes`.",
    "accuracy_top1": "Share of a data set's inputs whose highest output is the label, from the preflight.",
    "accuracy_top5": "Share of a data set's inputs whose label is among the five highest outputs, from the preflight.",
    "accuracy_mean_iou": "Intersection over union of classes in a map: the mean over classes, then over inputs.",
    "accuracy_mean_absolute_error": "Distance of outputs from labels: the mean over values, then over inputs.",
    "agreement_max_abs": "Largest absolute difference of an output value from the parent's, over all inputs.",
    "agreement_cosine": "Cosine between outputs of variant and parent, the mean over inputs; the worst output decides.",
    "agreement_argmax": "Share of places at which variant and parent have the same highest class.",
    "agreement_within_tolerance": "Share of output values that differ from the parent's by no more than the tolerance.",
    "energy_item_mj": "`energy_mj` over the items of an invocation; where a sweep names a batch.",
    "energy_gross_item_mj": "`energy_gross_mj` over the items of an invocation; where a sweep names a batch.",
    "swap_bytes": "Memory of the trial's process that was in swap at the end of the timed part.",
}
"""What each metric is, in a sentence: docs/metrics.md shows it."""

POWER_METRICS = frozenset(
    (
        "energy_mj",
        "energy_gross_mj",
        "energy_u95_mj",
        "energy_gross_u95_mj",
        "energy_item_mj",
        "energy_gross_item_mj",
        "power_mean_w",
        "power_max_w",
        "power_idle_w",
    )
)
"""Metrics of a device's power source. Figures of two sources are not comparable (docs/decisions/0015)."""

SIZE_METRIC = "size_bytes"
"""The size of the artifact: known for certain, without any trial."""

COMPARED_METRICS = (
    "latency_ns", "latency_ns_p90", "latency_ns_p99", "rss_bytes_max", "rss_model_bytes_max", "energy_mj"
)  # fmt: skip
"""What a comparison is about unless somebody names metrics. Sizes and accuracies stand beside these."""

SIGNED_METRICS = frozenset(("rss_model_bytes_max", "rss_import_bytes", "rss_load_bytes", "rss_run_bytes"))
"""Differences of memory, which may be at or below zero for a small model: measured all the same, without a ratio."""

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _REGISTERED}

ALIASES: Mapping[str, str] = {
    "latency": "latency_ns",
    "p50": "latency_ns",
    "p90": "latency_ns_p90",
    "p99": "latency_ns_p99",
    "throughput": "throughput_items_per_s",
    "size": SIZE_METRIC,
    "load": "load_ns",
    "first_inference": "first_inference_ns",
    "cold_start": "cold_start_ns",
    "process_start": "process_start_ns",
    "import": "import_ns",
    "allocate": "allocate_ns",
    "energy": "energy_mj",
    "power": "power_mean_w",
    "memory": "rss_bytes_max",
    "rss": "rss_bytes_max",
    "model_memory": "rss_model_bytes_max",
    "steady_memory": "rss_steady_bytes",
    "accuracy": "accuracy_top1",
}

# The unit and direction of an unregistered metric, by the ending of the name. No direction is guessed for a state
# such as a temperature.
INFERRED_UNITS: Mapping[str, tuple[Unit, Direction]] = {
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
_PERCENTILES = ("p90", "p99")
_QUALIFIERS = frozenset({"max", "min", "mean", "median", "p50", "p90", "p99"})


def metric_named(name: str) -> Metric:
    """Return the metric of a name or alias. The ending of an unregistered name decides the unit."""
    name = ALIASES.get(name, name)
    return METRICS.get(name) or _inferred(name)


def sampled_quantile(name: str) -> tuple[str, str] | None:
    """Return the sampled metric and the percentile meant by a name such as `latency_ns_p90`, or None."""
    metric, _, percentile = name.rpartition("_")
    return (metric, percentile) if metric and percentile in _PERCENTILES else None


def is_accuracy(name: str) -> bool:
    """Return True for the name of an accuracy: a single value a cell, compared by inputs."""
    return name.startswith("accuracy_")


def accuracy_loss(metric: str | None, base: float, other: float) -> float:
    """Return how much worse the other side is: by a difference of shares, or of an error by its relative growth.

    An error has the unit of its labels, and no difference would mean the same for two models.
    """
    if metric is None or metric_named(metric).direction is not Direction.LOWER:
        return base - other
    if base == 0:
        return 0.0 if other == 0 else math.copysign(math.inf, other)
    return (other - base) / base


# Asked for each stored figure. Bounded, since programs of users choose names.
@lru_cache(maxsize=1024)
def unit_named(name: str) -> str:
    """Return the unit of a metric's name or alias, as stored and printed."""
    return metric_named(name).unit.value


def is_registered(name: str) -> bool:
    """Return True for the name or alias of a metric reported by our own worker."""
    return name in METRICS or name in ALIASES


def _inferred(name: str) -> Metric:
    words = name.split("_")
    # The unit comes before a qualifier: rss_bytes_max is in bytes.
    while len(words) > 1 and words[-1] in _QUALIFIERS:
        words.pop()
    if words[-2:] == ["per", "s"]:
        return Metric(name, Unit.PER_SECOND, Direction.HIGHER)
    # Accuracies end in the name of their metric, such as accuracy_top1, and are shares.
    if len(words) > 1 and words[0] == "accuracy" and words[-1] == "error":
        return Metric(name, Unit.NUMBER, Direction.LOWER)
    if len(words) > 1 and words[0] == "accuracy":
        return Metric(name, Unit.RATIO, Direction.HIGHER)
    unit, direction = INFERRED_UNITS.get(words[-1], (Unit.NUMBER, Direction.NONE)) if len(words) > 1 else _PLAIN
    return Metric(name, unit, direction)


_PLAIN = (Unit.NUMBER, Direction.NONE)
