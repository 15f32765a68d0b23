"""Simulate comparisons of many cells, and what the verdicts, intervals and ranges make of them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from orchestrator.analysis.location import cells_of
from orchestrator.analysis.prior import Prior
from orchestrator.analysis.ratio import RatioEstimate, measured, ratio_of_trials, ratios
from orchestrator.analysis.settling import trials_to_settle
from orchestrator.analysis.stopping import next_look, own_history
from orchestrator.analysis.verdict import is_real, judge
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction

Floats = NDArray[np.float64]
CV, TRIALS, MIN_EFFECT = 0.01, 5, 0.01
KINDS = ("iid", "outliers", "hetero", "heavy tails", "rounded", "two levels")
METRICS, PERCENTILES = 5, 3
"""Latency with two percentiles, memory and energy: what a comparison is about unless metrics are named."""
FIXED_PLAN = 13
"""The trials of a fixed plan in which 90 % of the cells of a fleet, CV 0.34 to 1.6 %, get an interval of 1 %."""


def draw(random: np.random.Generator, kind: str, shape: tuple[int, int, int]) -> Floats:
    """Return logarithms of trials: pairs, sides, trials.

    Of 3,552 real trials at one thread, 4.7 % lay more than 5 % off their cell's median: outliers take 1.1 to 1.5 times
    as long. Hetero: the noise of cells differs. Two levels: a fifth of the cells takes 1.3 times as long now and then.
    """
    logs: Floats = random.normal(0.0, CV, shape)
    if kind == "hetero":
        logs = logs * np.exp(random.normal(0.0, 0.5, (shape[0], 1, 1)))
    elif kind == "outliers":
        logs = np.where(random.random(shape) < 0.05, logs + np.log(random.uniform(1.1, 1.5, shape)), logs)
    elif kind == "heavy tails":
        logs = random.standard_t(3, shape) * CV / math.sqrt(3)
    elif kind == "rounded":
        logs = np.round(logs / (2 * CV)) * 2 * CV
    elif kind == "two levels":
        jumps = (random.random(shape) < 0.3) & (random.random((shape[0], 1, 1)) < 0.2)
        logs = np.where(jumps, logs + math.log(1.3), logs)
    return logs


def family(logs: Floats) -> list[RatioEstimate]:
    """Compare all pairs of one device."""
    pairs = len(logs)
    values = np.exp(np.concatenate([logs[:, 0], logs[:, 1]])).tolist()
    return ratios(measured(values, ["device"] * (2 * pairs)), [(pair, pairs + pair) for pair in range(pairs)])


def compare_figures(seed: int, pairs: int) -> list[Figure]:
    """Return rates of false verdicts, coverage and power. `pairs` is the number of identical pairs for each rate."""
    random = np.random.default_rng(seed)
    figures = []
    for cells in (6, 60, 600):
        for changed in (0.0, 0.1, 0.3):
            # Small families cost as much as large ones, and have fewer pairs.
            count = pairs if cells > 6 else pairs // 4
            rates = {kind: _false(random, kind, cells, changed, count) for kind in KINDS}
            worst = max(rates, key=rates.__getitem__)
            name = f"compare: false per 1,000, family of {cells}, {changed:.0%} changed (worst: {worst})"
            figures.append(Figure(name, 1000 * rates[worst], "", at_most=1.0))
    in_any = {kind: _false_in_any(random, kind, pairs // 2) for kind in KINDS}
    worst = max(in_any, key=in_any.__getitem__)
    name = f"compare: false per 1,000 in any of {METRICS} metrics, family of 60 (worst: {worst})"
    figures.append(Figure(name, 1000 * in_any[worst], "", at_most=float(METRICS)))
    for kind in KINDS:
        name = f"compare: coverage of 95 % intervals, {kind}"
        # Values on a grid of two standard deviations, and cells that jump, have wider intervals on purpose.
        most = 0.97 if kind not in ("rounded", "two levels") else None
        figures.append(Figure(name, _coverage(random, kind, pairs), "", at_most=most, at_least=0.93))
    for cells in (60, 600):
        for kind, least in (("iid", 0.95), ("outliers", 0.9)):
            name = f"compare: isolated 5 % step found among {cells}, n = 5, CV 1 %, {kind}"
            figures.append(Figure(name, _found(random, kind, cells, 0.05, pairs // 100), "", at_least=least))
    return figures


def _false(random: np.random.Generator, kind: str, cells: int, changed: float, pairs: int) -> float:
    """Return the share of identical pairs that are called different."""
    false = tried = 0
    truly = round(changed * cells)
    while tried < pairs:
        logs = draw(random, kind, (cells, 2, TRIALS))
        logs[:truly, 1] += math.log(1.05)
        verdicts = [judge(estimate, Direction.LOWER, MIN_EFFECT) for estimate in family(logs)[truly:]]
        false += sum(verdict in (Verdict.REGRESSED, Verdict.IMPROVED) for verdict in verdicts)
        tried += len(verdicts)
    return false / tried


def _false_in_any(random: np.random.Generator, kind: str, pairs: int) -> float:
    """Return the share of identical pairs that are called different in any metric.

    Three of the metrics are percentiles of the same trials, and share most of their noise. The others have their own.
    """
    false = tried = 0
    while tried < pairs:
        shared = draw(random, kind, (60, 2, TRIALS))
        wrong = np.zeros(60, dtype=bool)
        for number in range(METRICS):
            own = draw(random, kind, (60, 2, TRIALS))
            logs = math.sqrt(0.7) * shared + math.sqrt(0.3) * own if number < PERCENTILES else own
            verdicts = [judge(estimate, Direction.LOWER, MIN_EFFECT) for estimate in family(logs)]
            wrong |= [verdict in (Verdict.REGRESSED, Verdict.IMPROVED) for verdict in verdicts]
        false += int(wrong.sum())
        tried += len(wrong)
    return false / tried


def _coverage(random: np.random.Generator, kind: str, pairs: int) -> float:
    estimates = [e for _ in range(max(1, pairs // 60)) for e in family(draw(random, kind, (60, 2, TRIALS)))]
    return float(np.mean([e.low <= 1 <= e.high for e in estimates if e.low is not None and e.high is not None]))


def _found(random: np.random.Generator, kind: str, cells: int, step: float, families: int) -> float:
    """Return how often a step in one cell is found. With fixed levels each cell of a family may serve in turn."""
    found = []
    # As many tries as make the figure certain to a half per cent: with a tenth of them it wandered by four.
    for _ in range(max(2, families * 75 // cells)):
        logs = draw(random, kind, (cells, 2, TRIALS))
        # A step moves no other cell's verdict and no variance: a tenth of the family is tried at once.
        logs[::10, 1] += math.log1p(step)
        found += [judge(e, Direction.LOWER, MIN_EFFECT) is Verdict.REGRESSED for e in family(logs)[::10]]
    return float(np.mean(found))


def advice_figures(seed: int, cells: int) -> list[Figure]:
    """Return how often the number of trials that would settle a comparison is true when followed to its upper end."""
    random = np.random.default_rng(seed)
    figures = []
    for truth, kind in ((0.0, "iid"), (0.005, "iid"), (0.01, "iid"), (0.02, "iid"), (0.0, "outliers")):
        settled = [_followed(draw(random, kind, (1, 2, 150))[0], truth) for _ in range(cells)]
        known = [one for one in settled if one is not None]
        name = f"trials that settle it: true when followed, truth {truth:.1%}, {kind}"
        figures.append(Figure(name, float(np.mean(known)), "", at_least=0.8))
    return figures


def _followed(logs: Floats, truth: float) -> bool | None:
    """Return whether the advice of five trials came true, None where five trials settled it."""
    logs = logs + np.array([[0.0], [math.log1p(truth)]])
    prior = Prior(CV**2, 12.0)
    first = _estimate(logs, TRIALS, prior)
    trials = None if _settled(first) else trials_to_settle(first, MIN_EFFECT)
    return None if trials is None else _settled(_estimate(logs, trials.most, prior))


def _estimate(logs: Floats, trials: int, prior: Prior) -> RatioEstimate:
    base, other = np.exp(logs[:, :trials]).tolist()
    return ratio_of_trials(base, other, prior)


def _settled(estimate: RatioEstimate) -> bool:
    return is_real(estimate) or judge(estimate, Direction.LOWER, MIN_EFFECT) is not Verdict.INCONCLUSIVE


def stopping_figures(seed: int, cells: int) -> list[Figure]:
    """Return coverage and device time of cells that stop once their interval is within 1 %."""
    random = np.random.default_rng(seed)
    figures = []
    for name, kind, cvs in (
        ("CV 1 %", "iid", (0.01, 0.01)),
        ("CV 2 %", "iid", (0.02, 0.02)),
        ("fleet", "iid", (0.0034, 0.016)),
        ("fleet, outliers", "outliers", (0.0034, 0.016)),
    ):
        ended = [_stopped(random, kind, math.exp(random.uniform(*np.log(cvs)))) for _ in range(cells)]
        covered, trials = np.mean(ended, axis=0)
        figures.append(Figure(f"stopping: coverage, {name}", float(covered), "", at_most=0.97, at_least=0.93))
        if name == "fleet":
            share = float(trials) / FIXED_PLAN
            figures.append(Figure("stopping: device time of a fixed plan's, fleet", share, "", at_most=0.55))
    return figures


def _stopped(random: np.random.Generator, kind: str, cv: float) -> tuple[bool, int]:
    nights = draw(random, kind, (14, 1, TRIALS))[:, 0] * cv / CV
    located = cells_of(np.exp(nights).tolist(), [""] * len(nights)).located
    history = own_history(located.variance.tolist(), (located.kept - 1).tolist())
    values: Sequence[float] = np.exp(draw(random, kind, (1, 1, 60))[0, 0] * cv / CV).tolist()
    trials = 1
    while (look := next_look(values[:trials], history, 0.01, len(values))).trials_next is not None:
        trials = look.trials_next
    return look.low is not None and look.high is not None and look.low <= 1 <= look.high, trials


def speed_figure(seed: int) -> Figure:
    """Time 1,000 comparisons of 5 + 5 trials, verdicts included."""
    logs = draw(np.random.default_rng(seed), "outliers", (1000, 2, TRIALS))
    begun = time.perf_counter()
    for estimate in family(logs):
        judge(estimate, Direction.LOWER, MIN_EFFECT)
    return Figure("1,000 comparisons of 5 + 5 trials", time.perf_counter() - begun, "s", at_most=2.0)
