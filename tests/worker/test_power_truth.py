"""Energy against the truth: sysfs trees played by a clock of the test's own, read by the real sources.

No time passes: the tree holds what the sensor would show at the moment of each reading.
"""

import random

import pytest

from device_worker.protocol.energy import Traits, Window, idle_between, idle_of, power_figures
from device_worker.protocol.power_trace import Trace
from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power import hwmon, rapl
from fixture_trees import write_file, write_tree
from power_fakes import FAKE_INA219, FAKE_JETSON_INA3221, FAKE_RAPL, HWMON, RAPL, Constant, SquareWave

MS = 1000000
S = 1000 * MS
CONSTANT = pytest.param(Constant(6.0), 0.005, id="constant")
SQUARE = pytest.param(SquareWave(4.0, 8.0, 350 * MS), 0.02, id="square wave of 0.7 s")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(tmp_path))
    return tmp_path


def watts(load, at_ns):
    return (load.energy_uj(at_ns + MS) - load.energy_uj(at_ns)) / 1000.0


def played(source, show, seconds=6.0):
    """Return the trace of a source whose tree `show` keeps up to date. Readings come up to 2 ms late."""
    trace, jitter = Trace(source.kind, is_mean=source.is_mean), random.Random(7)
    for index in range(int(seconds / source.period_s)):
        at_ns = int(index * source.period_s * S) + jitter.randrange(2 * MS)
        show(at_ns)
        trace.add(at_ns, source.read())
    return trace


def error_of(trace, load, begin_ns, end_ns):
    true_uj = load.energy_uj(end_ns) - load.energy_uj(begin_ns)
    return abs(trace.energy_uj(begin_ns, end_ns) / true_uj - 1)


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
@pytest.mark.parametrize("begin_ms", [107, 311, 523])
def test_counters_that_wrap_around_tell_the_truth(root, load, error_max, begin_ms):
    write_tree(root, FAKE_RAPL)
    begins = {"intel-rapl:0": (5500000, 6000000), "intel-rapl:1": (40, 7000000)}

    def show(at_ns):
        half_uj = int(load.energy_uj(at_ns // MS * MS)) // 2  # the counters tick each millisecond
        for domain, (begin_uj, range_uj) in begins.items():
            write_file(root, f"{RAPL}/{domain}/energy_uj", f"{(begin_uj + half_uj) % range_uj}\n")

    show(0)
    trace = played(rapl.open_source(), show)
    assert trace.values[-1] > 30000000, "both counters have wrapped around, and one of them twice"
    assert error_of(trace, load, begin_ms * MS, (begin_ms + 5000) * MS) < error_max


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
@pytest.mark.parametrize("begin_ms", [107, 311, 523])
def test_a_gauge_tells_the_truth(root, load, error_max, begin_ms):
    write_tree(root, FAKE_INA219)

    def show(at_ns):
        write_file(root, f"{HWMON}/hwmon0/power1_input", f"{int(watts(load, at_ns) * 40) * 25000}\n")

    trace = played(hwmon.open_source(), show)
    assert error_of(trace, load, begin_ms * MS, (begin_ms + 5000) * MS) < error_max


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
def test_volts_and_amperes_tell_the_truth(root, load, error_max):
    write_tree(root, FAKE_JETSON_INA3221)

    def show(at_ns):
        write_file(root, f"{HWMON}/hwmon1/curr1_input", f"{int(watts(load, at_ns) * 200)}\n")

    trace = played(hwmon.open_source(), show)
    assert error_of(trace, load, 311 * MS, 5311 * MS) < error_max


@pytest.mark.parametrize(("load", "error_max"), [CONSTANT, SQUARE])
def test_a_gauge_of_means_tells_the_truth_of_sixty_periods(root, load, error_max):
    write_tree(root, dict(FAKE_INA219, **{f"{HWMON}/hwmon0/update_interval": "200\n"}))
    last = [0]

    def show(at_ns):
        while last[0] + 200 * MS <= at_ns:
            last[0] += 200 * MS
        begin_ns = max(0, last[0] - 200 * MS)
        power_uw = (load.energy_uj(begin_ns + 200 * MS) - load.energy_uj(begin_ns)) * 5
        write_file(root, f"{HWMON}/hwmon0/power1_input", f"{int(power_uw)}\n")

    trace = played(hwmon.open_source(), show, seconds=14)
    assert trace.count_within(311 * MS, 12711 * MS) >= 60
    assert error_of(trace, load, 311 * MS, 12711 * MS) < error_max


class Simulation:
    """A device with a sensor, both drawn by chance: load, noise, rate, phase, steps and the error of the scale."""

    def __init__(self, seed, kind):
        draw = self._draw = random.Random(seed)
        self.kind = kind
        self.period_ns = draw.choice([16, 25, 40]) * MS
        self.scale = 1 + draw.uniform(-0.02, 0.02)
        self.step = draw.choice([1000.0, 5000.0, 25000.0])
        self.noise_w = draw.choice([0.0, 0.02, 0.2])
        self.idle_w = draw.uniform(1.0, 4.0)
        self.wave_w, self.wave_ns = draw.choice([0.0, 0.1, 0.5]), draw.randrange(300 * MS, 900 * MS)
        self.phase_ns = draw.randrange(S)
        self.busy_w, self.half_ns = draw.choice([0.0, 0.05, 2.0, 8.0]), draw.randrange(100 * MS, 800 * MS)
        self.traits = Traits(self.step, 0.02, 0.001)
        self.offset_uj = draw.randrange(10**6)

    def true_uj(self, at_ns, *, is_busy):
        at_ns += self.phase_ns
        background = SquareWave(0.0, self.wave_w, self.wave_ns)
        work = SquareWave(self.busy_w * 0.6, self.busy_w * 1.4, self.half_ns)
        return self.idle_w * at_ns / 1000 + background.energy_uj(at_ns) + is_busy * work.energy_uj(at_ns)

    def trace(self, begin_ns, end_ns, *, is_busy):
        trace = Trace(self.kind)
        at_ns = begin_ns
        while at_ns < end_ns + self.period_ns:
            if trace.is_gauge:
                power_uw = (self.true_uj(at_ns + MS, is_busy=is_busy) - self.true_uj(at_ns, is_busy=is_busy)) * 1000
                value = power_uw * self.scale + self._draw.gauss(0.0, self.noise_w) * 1e6
            else:
                value = self.offset_uj + self.true_uj(at_ns // MS * MS, is_busy=is_busy) * self.scale
            trace.add(at_ns, max(0, int(value / self.step) * int(self.step)))
            at_ns += self.period_ns + self._draw.randrange(2 * MS)
        return trace


def judged(seed, kind):
    """Return the figures of a simulated trial, and the true energies of an inference in mJ: gross and above idle."""
    device = Simulation(seed, kind)
    before = idle_of(device.trace(0, 5 * S, is_busy=False), device.traits)
    after = idle_of(device.trace(13 * S, 15 * S, is_busy=False), device.traits)
    begin_ns = 7 * S + random.Random(seed).randrange(S)
    end_ns = begin_ns + max(62 * device.period_ns, S)
    trace = device.trace(6 * S, 12 * S, is_busy=True)
    window = Window(begin_ns, end_ns, 100, end_ns - begin_ns)
    figures = power_figures(trace, window, idle_between(before, after), device.traits)
    true_mj = (device.true_uj(end_ns, is_busy=True) - device.true_uj(begin_ns, is_busy=True)) / 1e5
    idle_w = device.idle_w + device.wave_w / 2
    return figures, true_mj, true_mj - idle_w * (end_ns - begin_ns) / 1e8


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
