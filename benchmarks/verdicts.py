"""Whether verdicts keep what they promise: comparisons, nights, stopping and steps, simulated on fresh seeds.

The peers are Apache Otava and asv, on the same series. BENCHFLEET_SAP_SMALL may name a folder with SAP's labelled
series, "HANA small 2021".
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.figures import Figure
from benchmarks.looks_back import prepare_peers, sap_figures, step_figures
from benchmarks.looks_back import speed_figure as steps_speed
from benchmarks.nights import WARM_UP, Nights, World, live
from benchmarks.pairs import advice_figures, compare_figures, stopping_figures
from benchmarks.pairs import speed_figure as pairs_speed

SEED = 20_261_201
"""Not used for tuning: that saw seeds below 200, and 20_261_129 for the level and the allowance for drift."""
JUDGED = 90

WORLDS = (
    Nights("iid, CV 1 %", 0.01),
    Nights("iid, CV 2 %", 0.02),
    Nights("spiky, CV 1 %", 0.01, spiky=True),
    Nights("spiky, CV 2 %", 0.02, spiky=True),
    Nights("own drift, CV 1 %", 0.01, drift=1.0),
    Nights("own drift, CV 2 %", 0.02, drift=1.0),
    Nights("shared drift, CV 1 %", 0.01, drift=1.0, shared=0.75),
)


def measure(*, quick: bool = False) -> list[Figure]:
    """Simulate everything. `quick` tries the paths on few cells, and its figures say little."""
    share = 0.02 if quick else 1.0
    peers = not quick and prepare_peers()
    figures = [pairs_speed(SEED), steps_speed(SEED)]
    figures += compare_figures(SEED + 1, round(24_000 * share))
    figures += advice_figures(SEED + 2, round(200 * share) + 4)
    figures += stopping_figures(SEED + 3, round(1_000 * share) + 10)
    for index, world in enumerate(WORLDS):
        figures += _nights(world, SEED + 10 + index, round(1_500 * share) // 30 * 30)
    figures += step_figures(SEED + 4, round(200 * share) + 4, with_peers=peers)
    return figures + sap_figures(with_peers=peers)


def _nights(nights: Nights, seed: int, cells: int) -> list[Figure]:
    """Return false alarms and extra time of quiet nights, and how soon steps are confirmed."""
    quiet = live(World(nights, cells, np.random.default_rng(seed)), WARM_UP + JUDGED)
    confirmed, extra = quiet.confirmed[:, WARM_UP:], quiet.spent[:, WARM_UP:].mean()
    drifting, wild = nights.drift > 0, nights.cv > 0.01
    figures = [
        Figure(f"nights: confirmed false per 1,000, {nights.name}", 1000 * confirmed.mean(), "", at_most=0.1),
        Figure(
            f"nights: false series in {JUDGED} nights, {nights.name}", confirmed.any(axis=1).mean(), "", at_most=0.01
        ),
        Figure(f"nights: extra device time, {nights.name}", extra, "", at_most=0.2 if drifting else 0.15),
    ]
    for step in (0.03, 0.05):
        first, within = _found(nights, seed + 500, max(30, cells // 3), step)
        small = step < 0.05
        goal_first = None if small or (drifting and wild) else 0.95
        goal_within = None if not small or drifting else (0.8 if wild else 0.95)
        name = f"nights: {step:.0%} step confirmed"
        figures += [
            Figure(f"{name} the first night, {nights.name}", first, "", at_least=goal_first),
            Figure(f"{name} within three nights, {nights.name}", within, "", at_least=goal_within),
        ]
    return figures


def _found(nights: Nights, seed: int, cells: int, step: float) -> tuple[float, float]:
    """Return how often a step is confirmed on the first night, and within three. Fifteen judged nights go before."""
    night = WARM_UP + 15
    outcome = live(World(nights, cells, np.random.default_rng(seed)), night + 3, math.log1p(step), night)
    confirmed = outcome.confirmed[:, night:]
    return float(confirmed[:, 0].mean()), float(confirmed.any(axis=1).mean())
