"""Learn from a device's canaries how far the device as a whole has drifted tonight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.analysis.nightly import NIGHTS_MIN, shared_drift


def canary_drift(canaries: Sequence[tuple[Sequence[float], float]]) -> tuple[float | None, str | None]:
    """Return the drift as a logarithm, or None with the reason.

    Each canary has the values of earlier nights, the newest last and NaN for none, and tonight's value.
    """
    if not canaries:
        return None, "no canary has a value"
    nights = max(len(before) for before, _ in canaries)
    history = np.full((len(canaries), nights), np.nan)
    for row, (before, _) in zip(history, canaries, strict=True):
        row[nights - len(before) :] = before
    known = int(np.count_nonzero(~np.isnan(history), axis=1).min()) if nights else 0
    if known < NIGHTS_MIN:
        return None, f"{known} of {NIGHTS_MIN} nights of history"
    return shared_drift(history, np.array([now for _, now in canaries])), None
