"""Bins, quantiles and thinned samples say what the samples say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.distribution import POINTS_MAX, histogram, quantiles, thinned

SAMPLES = st.lists(st.integers(min_value=1, max_value=2**62), min_size=1, max_size=50)


@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_every_sample_is_in_one_bin_or_beyond(trials: list[list[int]]) -> None:
    found = histogram(trials)
    assert found is not None
    assert [sum(counts) + above for counts, above in zip(found.counts, found.above, strict=True)] == [
        len(one) for one in trials
    ]


def test_no_samples_make_no_histogram() -> None:
    assert histogram([]) is None
    assert histogram([[]]) is None
    assert quantiles([]) == ()


def test_one_far_sample_leaves_the_others_apart() -> None:
    found = histogram([[*range(1000, 1100)] * 20 + [10**9]])
    assert found is not None
    assert found.edges[-1] < 1200
    assert found.above == (1,)
    assert sum(count > 0 for count in found.counts[0]) > 30


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
