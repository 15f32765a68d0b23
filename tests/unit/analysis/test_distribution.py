"""Quantiles and thinned samples say what the samples say."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.distribution import POINTS_MAX, quantiles, thinned


def test_no_samples_have_no_quantile() -> None:
    assert quantiles([]) == ()


def test_quantiles_are_those_of_numpy() -> None:
    values = [5, 1, 9, 7]
    found = quantiles(values)
    assert (found[0], found[100], found[-1]) == (1, float(np.median(values)), 9)
    assert list(found) == sorted(found)


@pytest.mark.parametrize("number", [1, POINTS_MAX, POINTS_MAX + 1, 10 * POINTS_MAX])
def test_a_drawing_gets_every_so_many_samples(number: int) -> None:
    step, values = thinned(np.arange(number))
    assert len(values) <= POINTS_MAX
    assert values == tuple(range(0, number, step))
