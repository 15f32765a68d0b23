"""Bound the work caused by the bytes of a record. Few bytes may stand for millions of samples, all to be sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_worker.protocol.limits import ATTEMPT_SAMPLES_MAX, SAMPLED_METRICS_MAX
from device_worker.protocol.samples import SAMPLES_MAX
from orchestrator.store.ingest.summary import BINS_MAX
from orchestrator.store.values.hygiene import Unfit


@dataclass(frozen=True, slots=True)
class Work:
    """Bound or count the work of records: bytes of lines, samples to unpack and summarise, and rows to write."""

    size: int
    samples: int
    rows: int

    def __add__(self, other: Work) -> Work:
        return Work(self.size + other.size, self.samples + other.samples, self.rows + other.rows)

    def exceeds(self, bound: Work) -> bool:
        """Return True if any is more than the bound's."""
        return self.size > bound.size or self.samples > bound.samples or self.rows > bound.rows


NOTHING = Work(0, 0, 0)
SHORT = Work(1 << 20, 500_000, 10_000)
"""The most work of one log in a transaction that is shared with other logs: some tens of milliseconds."""


def work_of(line: bytes, event: Mapping[str, Any] | None) -> Work:
    """Return the work of a record. Without the event, the samples are unknown and taken for none."""
    metrics = None if event is None else event.get("metrics")
    counts = _claimed_samples(metrics)
    # A measurement for each metric, and with samples a block and a histogram.
    rows = (len(metrics) if isinstance(metrics, list) else 0) + sum(1 + min(count, BINS_MAX) for count in counts)
    return Work(len(line), sum(counts), rows + _claimed_operators(event))


def _claimed_operators(event: Mapping[str, Any] | None) -> int:
    profile = None if event is None else event.get("profile")
    operators = profile.get("operators") if isinstance(profile, dict) else None
    return len(operators) if isinstance(operators, list) else 0


def refuse_heavy(metrics: Sequence[Any]) -> None:
    """Raise Unfit for more samples in a report than the protocol allows, before any is unpacked."""
    counts = _claimed_samples(metrics)
    if len(counts) > SAMPLED_METRICS_MAX:
        raise Unfit(f"{len(counts)} metrics with samples, more than {SAMPLED_METRICS_MAX}")
    if sum(counts) > ATTEMPT_SAMPLES_MAX:
        raise Unfit(f"{sum(counts)} samples of all metrics, more than {ATTEMPT_SAMPLES_MAX}")


def _claimed_samples(metrics: Any) -> list[int]:
    """Return the claimed count of samples of each metric with samples, where the count may be right."""
    counts = []
    for item in metrics if isinstance(metrics, list) else ():
        # Most metrics are a single number, without samples.
        block = item.get("samples") if type(item) is dict else None
        if type(block) is not dict:
            continue
        count = block.get("count")
        if type(count) is int and 0 <= count <= SAMPLES_MAX:
            counts.append(count)
    return counts
