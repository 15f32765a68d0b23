"""Which interval for a ratio of trial values can be believed: a seeded simulation.

`python -m tests.unit.analysis.calibration` prints the table of docs/decisions/0003 (about a minute).
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.ratio import ratio_of_trials

Values = NDArray[np.float64]
Interval = tuple[float, float]
Method = Callable[[Values, Values], Interval]

SEED = 20_240_601
RESAMPLES = 1000


@dataclass(frozen=True)
class Noise:
    """How trial values scatter: a coefficient of variation for each side, and how often a trial is an outlier."""

    name: str
    base_cv: float
    other_cv: float
    outlier_share: float = 0.0

    def draw(self, random: np.random.Generator, cv: float, shape: tuple[int, ...]) -> Values:
        """Draw trial values of a side whose truth is 1; an outlier is a trial that ran 1.1 to 1.5 times as long."""
        values = np.exp(random.normal(0.0, np.sqrt(np.log1p(cv**2)), shape))
        outliers = random.random(shape) < self.outlier_share
        return np.where(outliers, values * random.uniform(1.1, 1.5, shape), values)


NOISES = (
    Noise("lognormal, CV 1 %", 0.01, 0.01),
    Noise("lognormal, CV 2.5 %", 0.025, 0.025),
    Noise("CV 1 % against 2.5 %", 0.01, 0.025),
    Noise("CV 1 %, 5 % outlier trials", 0.01, 0.01, 0.05),
)


def welch(base: Values, other: Values) -> Interval:
    """Return what the product computes."""
    estimate = ratio_of_trials(base.tolist(), other.tolist())
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def bootstrap_of_medians(random: np.random.Generator) -> Method:
    """Return the percentile bootstrap of the ratio of medians, over trials."""

    def interval(base: Values, other: Values) -> Interval:
        base_medians = np.median(base[random.integers(0, len(base), (RESAMPLES, len(base)))], axis=1)
        other_medians = np.median(other[random.integers(0, len(other), (RESAMPLES, len(other)))], axis=1)
        low, high = np.quantile(other_medians / base_medians, (0.025, 0.975))
        return float(low), float(high)

    return interval


def hodges_lehmann(base: Values, other: Values) -> Interval:
    """Return the exact rank interval of the shift of logs: unbounded where n is too small for 95 %."""
    differences = np.sort((np.log(other)[:, None] - np.log(base)[None, :]).ravel())
    k = _rank(len(base), len(other))
    return (float(np.exp(differences[k - 1])), float(np.exp(differences[-k]))) if k else (0.0, np.inf)


@functools.cache
def _rank(base_n: int, other_n: int) -> int:
    """Return how many of the sorted differences lie outside the interval on each side, plus one; 0 if none may."""
    table: dict[tuple[int, int], Values] = {}
    for i, j in itertools.product(range(base_n + 1), range(other_n + 1)):
        counts = np.zeros(base_n * other_n + 1)
        if i == 0 or j == 0:
            counts[0] = 1.0
        else:
            counts[j:] += table[i - 1, j][: len(counts) - j]
            counts += table[i, j - 1]
        table[i, j] = counts
    distribution = table[base_n, other_n] / table[base_n, other_n].sum()
    return int(np.searchsorted(np.cumsum(distribution), 0.025, side="right"))


@dataclass(frozen=True)
class Score:
    """How a method did: share of A/A pairs called different, median width of interval, share of 3 % effects found."""

    false_positives: float
    width: float
    power: float


def score(method: Method, noise: Noise, n: int, pairs: int, random: np.random.Generator) -> Score:
    """Try a method on many pairs of sides, without and with an effect; its coverage is 1 - false positives."""
    base, other = noise.draw(random, noise.base_cv, (pairs, n)), noise.draw(random, noise.other_cv, (pairs, n))
    same = np.array([method(b, o) for b, o in zip(base, other, strict=True)])
    # Every candidate scales with its data, so a 3 % effect moves the interval by 3 %.
    return Score(
        float(np.mean((same[:, 0] > 1) | (same[:, 1] < 1))),
        float(np.median(same[:, 1] - same[:, 0])),
        float(np.mean(same[:, 0] * 1.03 > 1)),
    )


def main() -> None:
    """Print false positives, width and power for each noise, n and method."""
    bootstrap = bootstrap_of_medians(np.random.default_rng(SEED + 1))
    methods: tuple[tuple[str, Method, int], ...] = (
        ("Welch on logs", welch, 20_000),
        ("bootstrap of medians", bootstrap, 4_000),
        ("Hodges-Lehmann", hodges_lehmann, 20_000),
    )
    out = sys.stdout.write
    out("| noise | n a side | " + " | ".join(name for name, _, _ in methods) + " |\n|---|---|" + "---|" * 3 + "\n")
    for noise, n in itertools.product(NOISES, (2, 3, 5, 10)):
        scores = (score(method, noise, n, pairs, np.random.default_rng(SEED)) for _, method, pairs in methods)
        cells = (
            f"{s.false_positives:.1%} / {s.width:.1%} / {s.power:.0%}" if np.isfinite(s.width) else "none"
            for s in scores
        )
        out(f"| {noise.name} | {n} | " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    main()
