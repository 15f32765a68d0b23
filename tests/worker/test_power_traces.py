"""The energy of a window, from traces whose energy is known exactly."""

import pytest

from device_worker.protocol.power_trace import NoFigure, Trace
from device_worker.protocol.samples import decode_block
from device_worker.protocol.vocabulary import SourceKind

MS = 1000000


def trace_of(kind, readings):
    trace = Trace(kind)
    for stamp_ns, value in readings:
        trace.add(stamp_ns, value)
    return trace


def counter(watts, period_ms=40, count=100):
    """A counter that has risen evenly."""
    readings = [(index * period_ms * MS, int(watts * index * period_ms * 1000)) for index in range(count)]
    return trace_of(SourceKind.ENERGY_COUNTER, readings)


def gauge(watts_of, period_ms=40, count=100):
    readings = [(index * period_ms * MS, int(1e6 * watts_of(index * period_ms / 1000.0))) for index in range(count)]
    return trace_of(SourceKind.POWER_GAUGE, readings)


@pytest.mark.parametrize(("begin_ms", "end_ms"), [(0, 3960), (400, 1400), (401, 1399), (413.7, 2000.1)])
@pytest.mark.parametrize("make", [counter, lambda watts: gauge(lambda _s: watts)], ids=["counter", "gauge"])
def test_constant_power_is_exact_wherever_the_borders_lie(make, begin_ms, end_ms):
    energy_uj = make(7.5).energy_uj(int(begin_ms * MS), int(end_ms * MS))
    assert energy_uj == pytest.approx(7.5 * (end_ms - begin_ms) * 1000, rel=1e-9)


def test_a_counter_is_interpolated_between_the_readings_around_a_border():
    readings = [(0, 0), (40 * MS, 0)] + [(40 * MS + index * 40 * MS, 1000 * index) for index in range(1, 40)]
    trace = trace_of(SourceKind.ENERGY_COUNTER, readings)
    assert trace.energy_uj(90 * MS, 1090 * MS) == pytest.approx(1000 * 1000 / 40.0)


def test_a_counter_that_ticks_slowly_rises_between_its_ticks():
    readings = [(index * 40 * MS, 1000000 * (index // 5)) for index in range(200)]  # a tick of 1 J each 200 ms
    trace = trace_of(SourceKind.ENERGY_COUNTER, readings)
    assert trace.energy_uj(1100 * MS, 6100 * MS) == pytest.approx(25e6)


def test_a_ramp_of_power_is_integrated_exactly():
    energy_uj = gauge(lambda seconds: 1.0 + 2.0 * seconds).energy_uj(500 * MS, 2500 * MS)
    assert energy_uj == pytest.approx((2.0 + 6.0) / 2 * 2 * 1e6, rel=1e-6)


def test_a_square_wave_of_power_is_integrated_to_the_width_of_a_reading():
    energy_uj = gauge(lambda seconds: 10.0 if round(seconds * 1000) % 800 < 400 else 5.0).energy_uj(0, 3200 * MS)
    assert energy_uj == pytest.approx(7.5 * 3.2 * 1e6, rel=0.01)


@pytest.mark.parametrize(
    ("make", "window_ms", "reason"),
    [
        (counter, (-1, 2000), "not within the time"),
        (counter, (1000, 3961), "not within the time"),
        (counter, (2000, 2000), "ends before it begins"),
        (counter, (2000, 1000), "ends before it begins"),
        (counter, (1001, 1799), "ticked 19 times"),
        (lambda watts: gauge(lambda _s: watts), (1001, 1799), "holds 19 readings"),
        (lambda watts: trace_of(SourceKind.ENERGY_COUNTER, []), (0, 1000), "not within the time"),
        (lambda watts: counter(watts, count=1), (0, 1000), "not within the time"),
        (lambda watts: counter(0), (0, 3960), "ticked 2 times"),
    ],
)
def test_a_window_that_supports_no_figure_gets_none(make, window_ms, reason):
    with pytest.raises(NoFigure, match=reason):
        make(5.0).energy_uj(*(border * MS for border in window_ms))


@pytest.mark.parametrize("make", [counter, lambda watts: gauge(lambda _s: watts)], ids=["counter", "gauge"])
def test_twenty_readings_are_enough(make):
    assert make(5.0).energy_uj(1000 * MS, 1760 * MS) == pytest.approx(5.0 * 760 * 1000)


def test_a_source_that_was_lost_gives_no_figure_even_for_what_it_had_said():
    trace = counter(5.0)
    trace.lost = "it went away"
    with pytest.raises(NoFigure, match="it went away"):
        trace.energy_uj(0, 2000 * MS)


def test_a_trace_knows_its_real_rate():
    assert counter(1.0).rate_hz == pytest.approx(25.0)
    assert trace_of(SourceKind.POWER_GAUGE, [(5, 1)]).rate_hz is None
    assert Trace(SourceKind.POWER_GAUGE).rate_hz is None


def test_means_are_summed_up_and_not_shifted():
    """A step half a period before a border is none of the window's, though the mean that holds it comes later."""
    trace = Trace(SourceKind.POWER_GAUGE, is_mean=True)
    for index in range(100):
        trace.add(index * 1000 * MS, 10000000 if 30 < index <= 60 else 2000000)
    assert trace.energy_uj(30000 * MS, 60000 * MS) == pytest.approx(30 * 10e6)


def test_the_peak_is_that_of_the_window():
    trace = gauge(lambda seconds: 9.0 if 1.0 <= seconds < 1.1 else 30.0 if seconds > 3.0 else 2.0)
    assert trace.peak_uw(0, 2000 * MS) == 9e6
    steps = [(index * 40 * MS, 40000 * (index + 2 * max(0, index - 50))) for index in range(100)]
    assert trace_of(SourceKind.ENERGY_COUNTER, steps).peak_uw(0, 1900 * MS) == pytest.approx(1e6)
    assert trace_of(SourceKind.ENERGY_COUNTER, steps).peak_uw(0, 3900 * MS) == pytest.approx(3e6)


@pytest.mark.parametrize("make", [counter, lambda watts: gauge(lambda seconds: watts + seconds)])
def test_readings_are_packed_and_none_is_lost(make):
    trace = make(7.5)
    packed = trace.to_json()
    intervals, values = decode_block(packed["intervals_ns"]), decode_block(packed["values"])
    stamps = [packed["begin_mono_ns"] + sum(intervals[: index + 1]) for index in range(len(intervals))]
    assert stamps == list(trace.stamps_ns)
    if trace.is_gauge:
        assert list(values) == list(trace.values)
    else:
        assert [sum(values[: index + 1]) for index in range(len(values))] == list(trace.values)


def test_the_smallest_step_shows_only_where_readings_have_many_levels():
    levels = gauge(lambda seconds: 5.0 + 0.025 * (round(seconds * 25) % 9))
    assert levels.step(1000.0) == pytest.approx(25000, abs=1)
    assert levels.step(50000.0) == 50000.0
    assert gauge(lambda seconds: 5.0 if seconds < 1 else 13.0).step(1000.0) == 1000.0
