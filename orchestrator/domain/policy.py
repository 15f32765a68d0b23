"""Hold the policy of verdicts: chosen values, the same for every metric."""

from __future__ import annotations

HEADLINE_METRIC = "latency_ns"
"""The metric shown in the details of a run."""

SIGNIFICANCE = 0.05
"""The level at which a single interval excludes 1. Remarks use the level, and no verdict depends on it."""

TRIALS_MAX = 500
"""Name no number of trials beyond this total: nobody runs as many."""

CONFIDENCE = 0.95
"""The coverage of the interval around a ratio."""

VERDICT_LEVEL = 0.0003
"""The largest p-value of a verdict "different". The level is the same for every comparison, alone or among hundreds.

At most one of 1,000 comparisons of identical things is called different: a third of that by the level. The rest is a
reserve for cells whose noise differs more than the prior thinks. docs/decisions/0022 has the rates that were seen.
"""

EQUIVALENCE_LEVEL = 0.05
"""The largest p-value of a verdict "equivalent", by two one-sided tests."""

VERDICT_TRIALS_MIN = 3
"""A verdict "different" asks for as many trials on each side: of two trials nobody can tell which one was disturbed."""
