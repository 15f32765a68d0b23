"""Readings of a meter and times of trials: which figures follow, and why there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.analysis.metered import MeterRecord, shifted
from orchestrator.domain.joined_power import MeteredAttempt
from orchestrator.domain.meter import ClockOffset, Meter, MeterKind, MeterReading, best_offset

S = 1_000_000_000
EPOCH = 1_772_353_800 * S
MONO = 5_000 * S
CLOCK = ClockOffset(EPOCH - MONO, 1_000_000, EPOCH)
METER = Meter(MeterKind.SHELLY, "http://plug-3.lab", accuracy_ratio=0.01)
ATTEMPT = MeteredAttempt(
    attempt=7,
    window=(MONO + 70 * S, MONO + 140 * S),
    inferences=1_000,
    invoked_ns=70 * S,
    idle_before=(MONO + 5 * S, MONO + 65 * S),
    idle_after=(MONO + 145 * S, MONO + 205 * S),
    finished_unix_ns=EPOCH + 206 * S,
)


def watts_at(second: int) -> float:
    """A device of 4 W that takes 10 W from the 68th to the 142nd second, by the mean of the second before."""
    return 10.0 if 68 < second <= 142 else 4.0


def record(seconds: range = range(220), meter: Meter = METER) -> MeterRecord:
    return MeterRecord(meter, [MeterReading(EPOCH + one * S, watts_at(one)) for one in seconds])


def test_a_plug_gives_figures_above_the_idle_power_before_and_after() -> None:
    joined = record().join(ATTEMPT, [CLOCK])
    assert joined.figures["energy_gross_mj"] == pytest.approx(700.0)
    assert joined.figures["energy_mj"] == pytest.approx(420.0)
    assert joined.figures["power_idle_w"] == pytest.approx(4.0)
    assert 0 < joined.figures["energy_u95_mj"] < 0.05 * 420.0
    account = joined.account
    assert (account["source"], account["kind"], account["period_s"]) == ("shelly plug-3.lab", "power-gauge", 1.0)
    assert (account["energy_reason"], account["caution"]) == (None, None)
    assert account["clock_offset_ns"] == EPOCH - MONO
    assert account["clock_uncertainty_ns"] == 1_000_000 + round(140 * S * 50e-6)
    assert joined.trace is not None
    assert joined.trace["begin_mono_ns"] == MONO + 2 * S


def test_a_recording_is_joined_whatever_its_clock_said() -> None:
    ahead = MeterRecord(METER, [MeterReading(EPOCH + 3 * S + one * S, watts_at(one)) for one in range(220)])
    joined = ahead.join(ATTEMPT, shifted([CLOCK], 3.0, 0.5))
    assert joined.figures["energy_mj"] == pytest.approx(420.0)
    assert joined.account["clock_uncertainty_ns"] > 500_000_000


@pytest.mark.parametrize(
    ("seconds", "attempt", "clocks", "reason"),
    [
        (range(220), ATTEMPT, [], "nobody has compared the device's clock"),
        (range(220), replace(ATTEMPT, window=None), [CLOCK], "the trial reported no window"),
        (range(500, 700), ATTEMPT, [CLOCK], "no reading of that time"),
        (range(100), ATTEMPT, [CLOCK], "not within the time that was watched"),
        (range(0, 220, 9), ATTEMPT, [CLOCK], "holds 8 readings, fewer than 20"),
        (range(220), replace(ATTEMPT, finished_unix_ns=EPOCH + 90_000 * S), [CLOCK], "booted again"),
    ],
    ids=["no clock", "no window", "another day", "cut off", "too slow", "after a boot"],
)
def test_without_a_figure_there_is_a_reason(
    seconds: range, attempt: MeteredAttempt, clocks: list[ClockOffset], reason: str
) -> None:
    joined = record(seconds).join(attempt, clocks)
    assert dict(joined.figures) == {}
    assert reason in joined.account["reason"]


def test_a_meter_that_was_silent_within_the_window_gives_no_figure() -> None:
    seconds = [one for one in range(220) if not 90 <= one < 97]
    silent = MeterRecord(METER, [MeterReading(EPOCH + one * S, watts_at(one)) for one in seconds])
    assert silent.join(ATTEMPT, [CLOCK]).account["reason"] == "the meter was silent for 8 s within the window"


def test_without_idle_times_there_is_gross_energy_alone() -> None:
    joined = record().join(replace(ATTEMPT, idle_before=None, idle_after=None), [CLOCK])
    assert joined.figures["energy_gross_mj"] == pytest.approx(700.0)
    assert "energy_mj" not in joined.figures
    assert joined.account["energy_reason"].startswith("no idle time was kept for a meter")


def test_the_nearest_comparison_of_clocks_counts() -> None:
    wrong = replace(CLOCK, offset_ns=CLOCK.offset_ns + 60 * S, asked_unix_ns=EPOCH - 86_400 * S)
    assert record().join(ATTEMPT, [wrong, CLOCK]).figures["energy_mj"] == pytest.approx(420.0)


def test_the_shortest_round_trip_tells_the_offset() -> None:
    rounds = [(1_000, 50, 9_000), (20_000, 10_500, 20_400), (30_000, 0, 90_000)]
    assert best_offset(rounds, "boot-1") == ClockOffset(9_700, 200, 20_000, "boot-1")
    assert best_offset([], None) is None
