"""Simulate two runs between which a device has moved as a whole, and what a comparison over time blames on builds."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.figures import Figure
from benchmarks.pairs import MIN_EFFECT, TRIALS, draw, family
from orchestrator.analysis.movement import movement_of
from orchestrator.analysis.verdict import judge
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction

MOVEMENTS = (1.0, 1.05, 1.25)
"""How much slower a device may be in the other run. The last is a shared core of a virtual machine."""
UNCHANGED = (1, 3, 9)
OWN_SHARE = 0.25
"""How much cells differ in what moves them, as a share of it: a standard deviation."""


def movement_figures(seed: int, tries: int) -> list[Figure]:
    """Return false verdicts on a rebuilt cell without a change, and how often a true change is found."""
    random = np.random.default_rng(seed)
    figures = []
    for factor in MOVEMENTS:
        for unchanged in UNCHANGED:
            logs = [_runs(random, factor, unchanged) for _ in range(tries)]
            rates = [sum(_regressed(one, step) for one in logs) / tries for step in (0.0, 0.05, 0.2, 1.0)]
            name = f"over time: device x{factor:g}, {unchanged} unchanged cells"
            # One cell says too little of how unlike cells move, and no more is explained than twice its movement.
            bound = _bound(tries) if unchanged > 1 else None
            figures.append(Figure(f"{name}: false per 1,000", 1000 * rates[0], "", at_most=bound))
            for step, rate in zip(("5 %", "20 %", "100 %"), rates[1:], strict=True):
                figures.append(Figure(f"{name}: {step} slower found", rate, ""))
    return figures


def _bound(tries: int) -> float:
    """Return the most false verdicts per 1,000: 10 of a moved device, with what chance adds to so few tries."""
    return 10.0 + 3 * math.sqrt(10.0 * 1000 / tries)


def _runs(random: np.random.Generator, factor: float, unchanged: int) -> np.ndarray:
    """Return logarithms of trials: cells, sides, trials. The last cell is of another build."""
    logs = draw(random, "iid", (unchanged + 1, 2, TRIALS))
    logs[:, 1] += math.log(factor) * (1 + OWN_SHARE * random.standard_normal((unchanged + 1, 1)))
    return logs


def _regressed(logs: np.ndarray, step: float) -> bool:
    changed = logs.copy()
    changed[-1, 1] += math.log1p(step)
    *unchanged, own = family(changed)
    movement = movement_of(unchanged, MIN_EFFECT)
    found = judge(own, Direction.LOWER, MIN_EFFECT)
    return found is Verdict.REGRESSED and (movement is None or not movement.explains(own))
