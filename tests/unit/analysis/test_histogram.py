"""Raw samples in bins: each sample once, each trial apart, far samples at the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orchestrator.analysis.histogram import BINS, histogram

PARTS = st.lists(
    arrays(np.uint32, st.integers(0, 60), elements=st.integers(0, 2**32 - 1)) | arrays(np.uint32, 9, fill=st.just(7)),
    max_size=4,
)


@given(PARTS)
def test_every_sample_of_every_trial_is_in_one_bin(parts: list[np.ndarray]) -> None:
    samples = dict(enumerate(parts, 1))
    found = histogram("latency_ns", samples)
    known = {trial: part for trial, part in samples.items() if len(part)}
    if found is None:
        assert known == {}
        return
    assert found.trials == tuple(known)
    assert found.count == sum(one.count for one in found.bins) == sum(map(len, known.values()))
    for place, part in enumerate(known.values()):
        assert sum(one.counts[place] for one in found.bins) == len(part)
    assert found.bins[0].low == min(map(min, known.values()))
    assert found.bins[-1].high == max(map(max, known.values()))
    assert all(one.high == after.low for one, after in zip(found.bins, found.bins[1:], strict=False))


def test_counts_are_those_of_a_plain_count() -> None:
    samples = {1: np.arange(100, 200), 2: np.array([100, 100, 199])}
    found = histogram("latency_ns", samples)
    assert found is not None
    assert len(found.bins) == BINS
    for one in found.bins:
        ends = [one.high] if one is found.bins[-1] else []
        within = [sum(one.low <= value < one.high or value in ends for value in part) for part in samples.values()]
        assert list(one.counts) == within


def test_a_far_sample_is_in_the_last_bin_and_does_not_flatten_the_others() -> None:
    found = histogram("latency_ns", {1: np.array([*range(1000, 1100), 10**7])})
    assert found is not None
    assert (found.bins[-1].count, found.bins[-1].high) == (1, 10**7)
    assert sum(one.count > 0 for one in found.bins) >= 5


@pytest.mark.parametrize(("count", "known"), [(5, (0, 0, 0)), (6, (1, 0, 0)), (29, (1, 1, 0)), (299, (1, 1, 1))])
def test_too_few_samples_have_no_quantile(count: int, known: tuple[int, ...]) -> None:
    found = histogram("latency_ns", {1: np.arange(count)})
    assert found is not None
    assert tuple(value is not None for value in (found.p50, found.p90, found.p99)) == tuple(map(bool, known))
    if known[2]:
        assert found.p90 == pytest.approx(0.9 * (count - 1))
