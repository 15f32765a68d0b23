"""Count raw samples in bins, each trial apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.cell_distribution import Bin, Histogram

BINS = 20
LEAST = {0.5: 6, 0.9: 29, 0.99: 299}
"""A quantile of fewer samples would be a guess: the summary of a trial leaves it out too."""
_FAR = 5.0
"""The last bin begins so many times as far from the median as the 90th percentile lies."""


def histogram(metric: str, samples: Mapping[int, NDArray[Any]], bins: int = BINS) -> Histogram | None:
    """Return the distribution of samples, given by the number of the trial. None: there is no sample.

    Every sample is in one bin. Bins are equally wide but for the last one, so that a few far samples do not press all
    others into the first bin.
    """
    known = {trial: part for trial, part in samples.items() if len(part)}
    if not known:
        return None
    everything = np.concatenate(list(known.values()))
    quantiles = np.quantile(everything, list(LEAST)).tolist()
    edges = _edges(float(everything.min()), quantiles, float(everything.max()), bins)
    counts = [np.histogram(part, edges)[0].tolist() for part in known.values()]
    places = range(len(edges) - 1)
    return Histogram(
        metric,
        tuple(known),
        tuple(Bin(float(edges[at]), float(edges[at + 1]), tuple(own[at] for own in counts)) for at in places),
        len(everything),
        *(value if len(everything) >= least else None for value, least in zip(quantiles, LEAST.values(), strict=True)),
    )


def _edges(low: float, quantiles: Sequence[float], high: float, bins: int) -> NDArray[np.float64]:
    if high == low:
        return np.array([low, high])
    median, most, _ = quantiles
    far = median + _FAR * (most - median)
    if far <= low:  # equal samples but for a few: those have the second bin
        return np.array([low, np.nextafter(low, high), high])
    return np.linspace(low, high, bins + 1) if far >= high else np.append(np.linspace(low, far, bins), high)
