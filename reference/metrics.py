"""Write the page of metrics from the table of metrics."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.metric import (
    ABOUT,
    ALIASES,
    COMPARED_METRICS,
    INFERRED_UNITS,
    METRICS,
    POWER_METRICS,
    Direction,
    Metric,
)

_HEAD = """\
# Metrics

Every figure is a metric with a name, a unit and a better direction. The unit ends the name (`latency_ns`). In SQL the
table `metric` has all three, and `v_cell`, `v_latest`, `v_history` and `v_variant_compare` have the direction in the
column `better`. `benchfleet compare RUN --metric NAME` takes any name or short name below;
without `--metric` it compares {compared}, with sizes and accuracies beside.

    benchfleet compare last --metric latency --metric size
    benchfleet sql "SELECT run, device, variant, value FROM v_cell \
WHERE metric = 'rss_model_bytes_max' AND kind = 'measure'"

*Relevant from* is the smallest relative change that counts: two sides that certainly differ by less are *equivalent*.
[What the numbers mean](numbers.md) says how differences are judged, and [measuring.md](measuring.md) how each figure is
taken, what taking it costs and when not to trust it. A figure that could not be measured is a row of `absent_metric`
with the reason.

<!-- Written by `python -m reference` from the table of metrics. -->

| metric | short | better | relevant from | what it is |
|---|---|---|---|---|
"""
_POWER = """
Figures of power come from a device's own source (RAPL, INA monitors): {names}. Figures of two sources are never
compared with each other.
"""
_OTHERS = """
## Metrics of your own

A program of an `exec` runtime reports any metric (docs/worker-protocol.md). The end of its name says the unit and the
better direction; `max`, `min`, `mean`, `median`, `p50`, `p90` and `p99` may follow the unit (`heap_bytes_max`). A
relative change below 1 % does not count.

| the name ends in | unit | better |
|---|---|---|
"""
_BETTER = {Direction.LOWER: "lower", Direction.HIGHER: "higher", Direction.NONE: "neither"}


def metrics_page() -> str:
    """Return the text of docs/metrics.md."""
    names = ", ".join(f"`{name}`" for name in METRICS if name in POWER_METRICS)
    rows = "".join(f"{row}\n" for row in map(_row, METRICS.values()))
    compared = ", ".join(f"`{name}`" for name in COMPARED_METRICS)
    return (
        _HEAD.format(compared=compared)
        + rows
        + _POWER.format(names=names)
        + _OTHERS
        + "".join(f"{row}\n" for row in _endings())
    )


def _row(metric: Metric) -> str:
    short = " ".join(f"`{alias}`" for alias, name in ALIASES.items() if name == metric.name)
    return (
        f"| `{metric.name}` | {short} | {_BETTER[metric.direction]} | {metric.min_effect:.0%} | {ABOUT[metric.name]} |"
    )


def _endings() -> Iterator[str]:
    for ending, (unit, direction) in INFERRED_UNITS.items():
        yield f"| `_{ending}` | {unit.value} | {_BETTER[direction]} |"
    yield "| `_per_s` | per second | higher |"
    yield "| anything else | none | neither |"
    yield "| begins with `accuracy_` | a share from 0 to 1 | higher |"
