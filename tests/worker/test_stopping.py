"""The rule by which a cell has enough trials: quantiles against a table, far trials, ties, and coverage."""

import math
import random

import pytest

from device_worker.protocol.fields import Fields
from device_worker.protocol.plan import StopRule
from device_worker.runner.stopping import LOOKS_FROM, look_at, student_level, student_quantile


def rule(ci_halfwidth=0.01, trials_max=60, device_s_max=None):
    return StopRule(
        Fields({"ci_halfwidth": ci_halfwidth, "trials_max": trials_max, "device_s_max": device_s_max}, "stop")
    )


# Two-sided quantiles, from any printed table.
TABLE = [
    (0.95, 1, 12.706),
    (0.95, 2, 4.303),
    (0.95, 4, 2.776),
    (0.95, 10, 2.228),
    (0.95, 30, 2.042),
    (0.98, 1, 31.821),
    (0.98, 3, 4.541),
    (0.98, 4, 3.747),
    (0.98, 9, 2.821),
    (0.98, 120, 2.358),
    (0.999, 5, 6.869),
]


@pytest.mark.parametrize(("level", "freedom", "quantile"), TABLE)
def test_quantiles_are_those_of_the_table(level, freedom, quantile):
    assert student_quantile(level, freedom) == pytest.approx(quantile, abs=6e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 8, 33, 200])
def test_a_quantile_has_its_level(freedom):
    for level in (0.5, 0.9, 0.98, 0.9999):
        assert student_level(student_quantile(level, freedom), freedom) == pytest.approx(level, abs=1e-9)


def test_too_few_trials_are_never_enough():
    for count in range(LOOKS_FROM):
        assert look_at([1_000_000.5] * count).reason_to_stop(rule(), 0) is None
    assert look_at([1_000_000.5] * LOOKS_FROM).reason_to_stop(rule(), 0) is not None


def test_a_far_trial_is_set_aside_and_two_levels_are_not():
    around = [100.0, 100.1, 99.9, 100.05, 99.95, 100.02]
    split = look_at([*around[:3], 150, 150.1, 149.9])
    plain, disturbed = look_at(around), look_at([*around, 180.0])
    assert (plain.kept, disturbed.kept) == (6, 6)
    assert disturbed.half_width == pytest.approx(plain.half_width)
    assert split.half_width is None or split.half_width > 0.2


def test_values_of_a_coarse_clock_are_no_surer_than_its_grid():
    """Five times the same whole number may be anything within a unit."""
    assert look_at([3.0] * 5).half_width > 0.05
    assert look_at([3_000_000.0] * 5).half_width < 1e-6


@pytest.mark.parametrize("values", [[], [5.0], [0.0] * 6, [1.0, -1.0, 1.0, 1.0, 1.0]])
def test_what_has_no_logarithm_or_no_scatter_is_never_enough(values):
    assert look_at(values).half_width is None


@pytest.mark.parametrize("device_s", [9.9, 10.0])
def test_device_time_ends_a_cell(device_s):
    reason = look_at([1.0, 2.0]).reason_to_stop(rule(device_s_max=10), device_s)
    assert (reason is not None) == (device_s >= 10)


def test_the_95_percent_interval_still_covers_after_the_looks():
    """A plain peek from the second trial on covers 0.88 to 0.90; this rule keeps its promise."""
    drawn = random.Random(20)
    covered, trials, runs = 0, 0, 400
    for _ in range(runs):
        values = []
        while True:
            values.append(1e6 * math.exp(drawn.gauss(0, 0.01)))
            if len(values) >= 60 or look_at(values).reason_to_stop(rule(), 0):
                break
        logs = [math.log(value / 1e6) for value in values]
        mean = sum(logs) / len(logs)
        sd = math.sqrt(sum((one - mean) ** 2 for one in logs) / (len(logs) - 1))
        covered += abs(mean) <= student_quantile(0.95, len(logs) - 1) * sd / math.sqrt(len(logs))
        trials += len(values)
    assert 0.91 <= covered / runs <= 0.98
    assert trials / runs < 11
