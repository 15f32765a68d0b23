"""Whether the rates that verdicts promise are kept, on small simulations. `benchmarks verdicts` has large ones."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.location import Floats
from orchestrator.analysis.ratio import RatioEstimate, measured, ratios
from orchestrator.analysis.verdict import judge
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction
from tests.effort import examples

CV, FAMILIES = 0.01, examples(40)
DIFFERENT = (Verdict.REGRESSED, Verdict.IMPROVED)


def draw(random: np.random.Generator, kind: str, shape: tuple[int, int, int]) -> Floats:
    """Return the logarithms of trials: cells, sides, trials. An outlier ran 1.1 to 1.5 times as long."""
    logs: Floats = random.normal(0.0, CV, shape)
    if kind == "hetero":
        logs *= np.exp(random.normal(0.0, 0.5, (shape[0], 1, 1)))
    if kind == "outliers":
        logs = np.where(random.random(shape) < 0.05, logs + np.log(random.uniform(1.1, 1.5, shape)), logs)
    if kind == "rounded":
        logs = np.round(logs / (2 * CV)) * 2 * CV
    return logs


def compared(logs: Floats) -> list[RatioEstimate]:
    cells = logs.shape[0]
    values = np.exp(np.concatenate([logs[:, 0], logs[:, 1]])).tolist()
    return ratios(measured(values, ["pi"] * (2 * cells)), [(cell, cells + cell) for cell in range(cells)])


@pytest.mark.parametrize("kind", ["iid", "hetero", "outliers", "rounded"])
@pytest.mark.parametrize("trials", [2, 3, 5, 10])
def test_identical_sides_are_hardly_ever_called_different(kind: str, trials: int) -> None:
    random = np.random.default_rng(101)
    estimates = [e for _ in range(FAMILIES) for e in compared(draw(random, kind, (60, 2, trials)))]
    verdicts = [judge(estimate, Direction.LOWER, 0.01) for estimate in estimates]
    covered = [e.low <= 1 <= e.high for e in estimates if e.low is not None and e.high is not None]

    # 2.4 expected of 2,400 at the promised rate of 1 per 1,000
    assert sum(verdict in DIFFERENT for verdict in verdicts) <= max(2, 0.003 * len(verdicts))
    assert np.mean(covered) >= 0.93


@pytest.mark.parametrize(("kind", "least"), [("iid", 0.95), ("outliers", 0.9)])
@pytest.mark.parametrize("cells", [60, 600])
def test_an_isolated_five_per_cent_step_is_found_in_a_large_family(kind: str, least: float, cells: int) -> None:
    random = np.random.default_rng(102)
    found, tried = 0, 0
    for _ in range(FAMILIES * 60 // cells):
        logs = draw(random, kind, (cells, 2, 5))
        # an eighth of the cells is slower by a step: what is truly changed does not change what is found elsewhere
        logs[::8, 1] += np.log(1.05)
        verdicts = [judge(estimate, Direction.LOWER, 0.01) for estimate in compared(logs)]
        found += sum(verdict is Verdict.REGRESSED for verdict in verdicts[::8])
        tried += len(verdicts[::8])

    assert found / tried >= least
