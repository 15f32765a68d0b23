"""Readings of devices are written with units, and whatever else a device says does no harm."""

from __future__ import annotations

import pytest

from orchestrator.web.readings import change, fact, reading


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("cpu_pressure_percent", 99.81065859782207, "99.8 %"),
        ("clock_unix_ns", 1_796_042_861_610_740_116, "2026-11-30 12:47:41Z"),
        ("clock_unix_ns", 10**40, "–"),
        ("memory_available_bytes", 23_442_870_272, "23.4 GB"),
        ("cpu_mhz", 2445.422, "2.45 GHz"),
        ("temperature_c", 48.5, "48.5 °C"),
        ("load_1m", 6.47, "6.47"),
        ("threads", 1, "1"),
        ("big", 10**400, "–"),
        ("odd_bytes", float("nan"), "–"),
        ("throttled", False, "no"),
        ("governor", "performance", "performance"),
        ("governor", None, "–"),
        (
            "placement",
            {"padding_bytes": 2241, "renewed_bytes": 62_706_174, "seed": None},
            "padding_bytes: 2.24 kB, renewed_bytes: 62.7 MB",
        ),
        ("providers", ["cpu", "cuda"], "cpu, cuda"),
        ("nothing", {"kernels": None}, "–"),
    ],
)
def test_a_reading_has_the_unit_of_its_name(name: str, value: object, text: str) -> None:
    assert reading(value, name) == text


def test_a_reading_that_stays_is_written_once() -> None:
    assert change(99.81065859782207, 96.59695139049717, "cpu_pressure_percent") == "99.8 % → 96.6 %"
    assert change(2445.422, 2445.422, "cpu_mhz") == "2.45 GHz"
    assert change(None, None, "temperature_c") == "–"
    assert change(None, 50, "temperature_c") == "– → 50.0 °C"


def test_a_fact_without_a_unit_keeps_every_digit() -> None:
    assert fact("8000000000", "memory_bytes") == "8.00 GB"
    assert fact("2.40", "libc_version") == "2.40"
    assert fact("6.1.21 and 6.6.31", "kernel") == "6.1.21 and 6.6.31"
    assert fact("unknown", "cpu_mhz_max") == "unknown"
