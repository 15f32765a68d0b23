"""Run another tool's step detector over series: JSON in, JSON out. Runs in the environment of this folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

Detector = Callable[[list[float], float], list[int]]


def otava(series: list[float], min_effect: float) -> list[int]:
    """Return where Apache Otava finds a rise of `min_effect` or more, with the tool's own defaults."""
    from otava.analysis import compute_change_points

    found, _ = compute_change_points(series, window_len=50, max_pvalue=0.001, min_magnitude=min_effect)
    return [int(point.index) for point in found if point.stats.mean_2 > point.stats.mean_1]


def asv(series: list[float], min_effect: float) -> list[int]:
    """Return where asv finds a regression of `min_effect` or more."""
    from asv.step_detect import detect_regressions, detect_steps

    _, _, found = detect_regressions(detect_steps(series), threshold=min_effect)
    return [int(after) for _, after, _, _ in found or []]


DETECTORS: dict[str, Detector] = {"otava": otava, "asv": asv}


def main() -> None:
    """Answer one request: a detector, the least effect, and the series."""
    request = json.load(sys.stdin)
    detector = DETECTORS[request["detector"]]
    json.dump([detector(series, request["min_effect"]) for series in request["series"]], sys.stdout)


if __name__ == "__main__":
    main()
