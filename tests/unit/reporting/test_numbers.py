from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.metric import Unit
from orchestrator.reporting.tables import numbers


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (41_873.0, Unit.NANOSECONDS, "41.9 µs"),
        (2_310_000.0, Unit.NANOSECONDS, "2.31 ms"),
        (7.0, Unit.NANOSECONDS, "7.00 ns"),
        (999_600.0, Unit.NANOSECONDS, "1.00 ms"),
        (999_400.0, Unit.NANOSECONDS, "999 µs"),
        (9.996, Unit.NANOSECONDS, "10.0 ns"),
        (120e9, Unit.NANOSECONDS, "120 s"),
        (0.0, Unit.NANOSECONDS, "0 ns"),
        (13_600_000.0, Unit.BYTES, "13.6 MB"),
        (512.0, Unit.BYTES, "512 B"),
        (0.0, Unit.BYTES, "0 B"),
        (8e9, Unit.BYTES, "8.00 GB"),
        (0.5, Unit.MILLIJOULES, "500 µJ"),
        (1200.0, Unit.MILLIJOULES, "1.20 J"),
        (1500.0, Unit.MILLIWATTS, "1.50 W"),
        (1500.0, Unit.MEGAHERTZ, "1.50 GHz"),
        (51.2, Unit.CELSIUS, "51.2 °C"),
        (0.9741, Unit.RATIO, "0.974"),
        (12.0, Unit.NUMBER, "12.0"),
        (-1500.0, Unit.NANOSECONDS, "-1.50 µs"),
        (None, Unit.NANOSECONDS, "–"),
        (math.nan, Unit.BYTES, "–"),
        (math.inf, Unit.RATIO, "–"),
    ],
)
def test_quantities_have_three_digits_and_the_unit_that_suits(value: float | None, unit: Unit, text: str) -> None:
    assert numbers.quantity(value, unit) == text


@given(st.floats(1e-3, 1e15), st.sampled_from(list(Unit)))
def test_a_quantity_is_never_off_by_more_than_its_last_digit(value: float, unit: Unit) -> None:
    text = numbers.quantity(value, unit)

    assert text != "–"
    assert len(text) <= 21


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.48, 0.4609, 0.5021, "×0.480 [0.461–0.502]"),
        (1.0123, 1.0034, 1.0211, "×1.012 [1.003–1.021]"),
        (12.34, 11.9, 12.8, "×12.34 [11.90–12.80]"),
        (123.4, 99.0, 150.0, "×123.4 [99.0–150.0]"),
        (0.01234, 0.0119, 0.0128, "×0.0123 [0.0119–0.0128]"),
    ],
)
def test_ratios_keep_the_decimals_that_matter(value: float, low: float, high: float, text: str) -> None:
    assert f"{numbers.factor(value)} {numbers.interval(low, high)}" == text


def test_a_missing_interval_is_nothing_and_a_missing_ratio_absent() -> None:
    assert numbers.interval(None, None) == ""
    assert numbers.factor(None) == numbers.factor(math.nan) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.25, "250 ms"),
        (45.4, "45 s"),
        (59.6, "1 min 00 s"),
        (192.0, "3 min 12 s"),
        (3599.6, "1 h 00 min"),
        (7500.0, "2 h 05 min"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_differences_have_a_sign_unless_they_are_none() -> None:
    assert [numbers.signed(value) for value in (0.004, -0.197, 0.0001, -0.0001, None)] == [
        "+0.004",
        "-0.197",
        "±0.000",
        "±0.000",
        "–",
    ]


def test_times_are_shown_in_utc_wherever_they_come_from() -> None:
    east = timezone(timedelta(hours=2))

    assert numbers.utc(datetime(2024, 6, 1, 5, 15, tzinfo=east)) == "2024-06-01 03:15Z"
    assert numbers.utc(datetime(2024, 6, 1, 3, 15, tzinfo=UTC).replace(tzinfo=None)) == "2024-06-01 03:15Z"
    assert numbers.utc(None) == "–"


def test_shares_are_per_cent() -> None:
    assert [numbers.percent(share) for share in (0.01, 0.025, 0.95)] == ["1 %", "2.5 %", "95 %"]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.996, 0.99964, "[0.9960–0.9996]"),
        (1.00004, 1.012, "[1.00004–1.01200]"),
        (0.996, 1.0, "[0.996–1.000]"),
        (0.995, 1.005, "[0.995–1.005]"),
    ],
)
def test_an_interval_that_leaves_out_1_is_not_rounded_to_hold_it(low: float, high: float, text: str) -> None:
    assert numbers.interval(low, high) == text


@pytest.mark.parametrize("value", [3945.0, 3955.0, 0.1235, 1.005])
def test_the_mean_of_equal_values_reads_as_the_values_do(value: float) -> None:
    # 3,945 ns, and the same by way of logarithms, were 3.95 µs and 3.94 µs in one line.
    assert numbers.digits(statistics.geometric_mean([value])) == numbers.digits(value)
