"""Energy against the truth: sysfs trees played by a clock of the test's own, read by the real sources.

No time passes: the tree holds what the sensor would show at the moment of each reading.
"""

import pytest

from device_worker.protocol.energy import Window, idle_of, power_figures
from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power import hwmon, rapl
from fixture_trees import write_tree
from power_fakes import FAKE_INA219, FAKE_JETSON_INA3221, FAKE_RAPL, HWMON, Constant, SquareWave
from power_simulation import MS, S, Simulation, error_of, gauge_show, judged, mean_show, played, rail_show, rapl_show

CONSTANT = pytest.param(Constant(6.0), 0.005, id="constant")
SQUARE = pytest.param(SquareWave(4.0, 8.0, 350 * MS), 0.02, id="square wave of 0.7 s")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
@pytest.mark.parametrize("begin_ms", [107, 311, 523])
def test_counters_that_wrap_around_tell_the_truth(root, load, error_max, begin_ms):
    write_tree(root, FAKE_RAPL)
    show = rapl_show(root, load)
    show(0)
    trace = played(rapl.open_source(), show)
    assert trace.values[-1] > 30000000, "both counters have wrapped around, and one of them twice"
    assert error_of(trace, load, begin_ms * MS, (begin_ms + 5000) * MS) < error_max


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
@pytest.mark.parametrize("begin_ms", [107, 311, 523])
def test_a_gauge_tells_the_truth(root, load, error_max, begin_ms):
    write_tree(root, FAKE_INA219)
    trace = played(hwmon.open_source(), gauge_show(root, load))
    assert error_of(trace, load, begin_ms * MS, (begin_ms + 5000) * MS) < error_max


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
def test_volts_and_amperes_tell_the_truth(root, load, error_max):
    write_tree(root, FAKE_JETSON_INA3221)
    trace = played(hwmon.open_source(), rail_show(root, load))
    assert error_of(trace, load, 311 * MS, 5311 * MS) < error_max


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
def test_a_gauge_of_means_tells_the_truth_of_sixty_periods(root, load, error_max):
    write_tree(root, dict(FAKE_INA219, **{f"{HWMON}/hwmon0/update_interval": "200\n"}))
    trace = played(hwmon.open_source(), mean_show(root, load), seconds=14)
    assert trace.count_within(311 * MS, 12711 * MS) >= 60
    assert error_of(trace, load, 311 * MS, 12711 * MS) < error_max


@pytest.mark.parametrize("kind", [SourceKind.ENERGY_COUNTER, SourceKind.POWER_GAUGE])
def test_the_stated_uncertainty_covers_the_truth(kind):
    """95 in 100 is what the interval claims. Of 200 traces, 186 at least must keep to it."""
    found = [judged(seed, kind) for seed in range(200)]
    gross = sum(abs(one["energy_gross_mj"] - true) <= one["energy_gross_u95_mj"] for one, true, _ in found)
    above = sum(abs(one["energy_mj"] - true) <= one["energy_u95_mj"] for one, _, true in found)
    assert min(gross, above) >= 186, (gross, above)
    widths = sorted(one["energy_gross_u95_mj"] / one["energy_gross_mj"] for one, _, _ in found)
    assert widths[100] < 0.04, "an interval that covers everything says nothing"


def test_energy_above_idle_of_nothing_is_about_zero_on_both_sides():
    """A device that does nothing: leaving out what is below zero would leave a mean above zero."""
    found = []
    for seed in range(200):
        device = Simulation(seed, SourceKind.POWER_GAUGE)
        device.busy_w, device.wave_w, device.noise_w, device.step = 0.0, 0.0, 0.2, 1000.0
        idle = idle_of(device.trace(0, 5 * S, is_busy=False), device.traits)
        window = Window(7 * S, 9 * S, 100, 2 * S)
        figures = power_figures(device.trace(6 * S, 12 * S, is_busy=True), window, idle, device.traits)
        found.append((figures["energy_mj"], figures["energy_u95_mj"]))
    assert 70 <= sum(energy_mj < 0 for energy_mj, _ in found) <= 130
    assert sum(abs(energy_mj) <= u95_mj for energy_mj, u95_mj in found) >= 186
    assert abs(sum(energy_mj for energy_mj, _ in found) / 200) < 0.1
