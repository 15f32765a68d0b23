"""Summaries against numpy, scipy and known values."""

import itertools

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.ingest.summary import BINS_MAX, CONFIDENCE, histogram, interval_ranks, summarise

LEAST = {0.5: 6, 0.9: 29, 0.99: 299, 0.999: 2995}
SAMPLES = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=60)


@pytest.mark.parametrize(("quantile", "least"), LEAST.items())
def test_intervals_begin_where_samples_suffice(quantile: float, least: int) -> None:
    assert interval_ranks(least - 1, quantile) is None
    assert interval_ranks(least, quantile) is not None
    assert interval_ranks(0, quantile) is None


@pytest.mark.long
@given(st.sampled_from(sorted(LEAST)), st.integers(6, 50_000))
def test_intervals_cover_what_they_promise(quantile: float, n: int) -> None:
    ranks = interval_ranks(n, quantile)
    if ranks is None:
        assert n < LEAST[quantile]
        return
    low, high = ranks
    assert 1 <= low < high <= n
    covered = scipy.stats.binom.cdf(high - 1, n, quantile) - scipy.stats.binom.cdf(low - 1, n, quantile)
    assert covered >= CONFIDENCE - 1e-12


@pytest.mark.parametrize("quantile", sorted(LEAST))
@pytest.mark.parametrize("n", [5_000, 100_000, 4_000_000])
def test_intervals_are_no_wider_than_needed(quantile: float, n: int) -> None:
    ranks = interval_ranks(n, quantile)
    assert ranks is not None
    low, high = ranks
    assert scipy.stats.binom.cdf(low, n, quantile) > (1 - CONFIDENCE) / 2
    assert scipy.stats.binom.cdf(high - 2, n, quantile) < 1 - (1 - CONFIDENCE) / 2


def test_known_ranks() -> None:
    assert interval_ranks(6, 0.5) == (1, 6)
    assert interval_ranks(20, 0.5) == (6, 15)
    assert interval_ranks(100, 0.5) == (40, 61)


@pytest.mark.parametrize(("name", "quantile", "n"), [("p50", 0.5, 30), ("p90", 0.9, 60), ("p99", 0.99, 400)])
def test_intervals_hold_the_true_percentile_as_often_as_they_say(name: str, quantile: float, n: int) -> None:
    rng = np.random.default_rng(11)
    truth = 1e6 * -np.log(1 - quantile)
    hits = 0
    for _ in range(600):
        percentile = getattr(summarise(rng.exponential(1e6, n).astype(np.uint32)), name)
        hits += percentile.low <= truth <= percentile.high
    assert hits / 600 > 0.93


@given(SAMPLES)
def test_a_summary_agrees_with_numpy(values: list[int]) -> None:
    samples = np.array(values, dtype=np.uint64)
    summary = summarise(samples)
    floats = samples.astype(np.float64)
    assert summary.n == len(values)
    assert summary.median == pytest.approx(np.median(floats))
    assert summary.mean == pytest.approx(floats.mean())
    assert summary.mad == pytest.approx(np.median(np.abs(floats - np.median(floats))))
    assert (summary.min, summary.max) == (floats.min(), floats.max())
    if len(values) > 1:
        assert summary.sd == pytest.approx(floats.std(ddof=1))
    for name, quantile in (("p50", 0.5), ("p90", 0.9)):
        percentile = getattr(summary, name)
        assert (percentile is None) == (len(values) < LEAST[quantile])
        if percentile is not None:
            assert percentile.value == pytest.approx(np.percentile(floats, quantile * 100))
            assert percentile.low <= percentile.value <= percentile.high


@given(SAMPLES)
def test_a_histogram_holds_every_sample_in_its_bin(values: list[int]) -> None:
    ordered = np.sort(np.array(values, dtype=np.uint64))
    bins = histogram(ordered)
    assert sum(count for _, _, count in bins) == len(values)
    assert [low for low, _, _ in bins] == sorted({low for low, _, _ in bins})
    for low, high, count in bins:
        assert count == sum(low <= value < high or value == high == 2**63 - 1 for value in values)
        assert high - low <= max(1, low // 16)
    for (_, high, _), (low, _, _) in itertools.pairwise(bins):
        assert high <= low


def test_samples_far_apart_make_no_more_rows_than_are_bearable() -> None:
    """Such samples are few bytes: each bin of a histogram is a row, and all devices wait for their writing."""
    spread = np.sort(
        np.unique(np.outer(2 ** np.arange(58, dtype=np.uint64), np.arange(16, 32, dtype=np.uint64)))
    ).ravel()
    bins = histogram(spread)
    assert BINS_MAX // 4 < len(bins) <= BINS_MAX
    assert sum(count for _, _, count in bins) == len(spread)
    assert all(np.log2(high / low) <= 1 for low, high, _ in bins)


def test_known_bins() -> None:
    ordered = np.array([0, 1, 15, 16, 31, 32, 33, 34, 42_000], dtype=np.uint32)
    assert histogram(ordered) == [
        (0, 1, 1), (1, 2, 1), (15, 16, 1), (16, 17, 1), (31, 32, 1), (32, 34, 2), (34, 36, 1), (40_960, 43_008, 1),
    ]  # fmt: skip
