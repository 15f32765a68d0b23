"""Say a verdict in a word for the metric and the kind of comparison."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.comparison import Kind, Verdict
from orchestrator.domain.metric import Direction, Metric, Unit, is_accuracy

LESS_ACCURATE = "less accurate"
"""The word for a worse accuracy, and for a better value that was bought with accuracy."""

_TIME, _ENERGY = ("slower", "faster"), ("hungrier", "thriftier")
_WORSE_AND_BETTER: Mapping[Unit, tuple[str, str]] = {
    Unit.NANOSECONDS: _TIME,
    Unit.SECONDS: _TIME,
    Unit.MILLIJOULES: _ENERGY,
    Unit.MILLIWATTS: _ENERGY,
    Unit.WATTS: _ENERGY,
    Unit.BYTES: ("larger", "smaller"),
}


def verdict_word(verdict: Verdict, metric: Metric, kind: Kind) -> str:
    """Return the word for a verdict: `regressed` over time is `slower`, `larger` or `hungrier` between things."""
    if kind is Kind.OVER_TIME or verdict not in (Verdict.REGRESSED, Verdict.IMPROVED):
        return verdict.value.replace("-", " ")
    worse, better = _words(metric)
    return worse if verdict is Verdict.REGRESSED else better


def _words(metric: Metric) -> tuple[str, str]:
    if is_accuracy(metric.name):
        return LESS_ACCURATE, "more accurate"
    # A metric in seconds of which more is better is no duration.
    if metric.direction is Direction.LOWER and metric.unit in _WORSE_AND_BETTER:
        return _WORSE_AND_BETTER[metric.unit]
    return ("more", "fewer") if metric.direction is Direction.LOWER else ("lower", "higher")
