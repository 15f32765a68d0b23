"""Sensors whose truth is known, played by a clock of one's own: nothing waits. A benchmark plays them too."""

import random

from device_worker.protocol.energy import Traits, Window, idle_between, idle_of, power_figures
from device_worker.protocol.power_trace import Trace
from fixture_trees import write_file
from power_fakes import HWMON, RAPL, SquareWave

MS = 1000000
S = 1000 * MS


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


def rapl_show(root, load):
    """Return what keeps a tree of RAPL up to date: two packages that share a load and wrap around, and tick each ms."""
    begins = {"intel-rapl:0": (5500000, 6000000), "intel-rapl:1": (40, 7000000)}

    def show(at_ns):
        half_uj = int(load.energy_uj(at_ns // MS * MS)) // 2
        for domain, (begin_uj, range_uj) in begins.items():
            write_file(root, f"{RAPL}/{domain}/energy_uj", f"{(begin_uj + half_uj) % range_uj}\n")

    return show


def gauge_show(root, load):
    """Return what keeps a tree of an INA219 up to date, in steps of 25 mW."""

    def show(at_ns):
        write_file(root, f"{HWMON}/hwmon0/power1_input", f"{int(watts(load, at_ns) * 40) * 25000}\n")

    return show


def rail_show(root, load):
    """Return what keeps a tree of a Jetson's INA3221 up to date: volts and amperes of 1 mA."""

    def show(at_ns):
        write_file(root, f"{HWMON}/hwmon1/curr1_input", f"{int(watts(load, at_ns) * 200)}\n")

    return show


def mean_show(root, load, period_ns=200 * MS):
    """Return what keeps a tree of an INA219 up to date that shows the mean of each 200 ms."""
    last = [0]

    def show(at_ns):
        while last[0] + period_ns <= at_ns:
            last[0] += period_ns
        begin_ns = max(0, last[0] - period_ns)
        power_uw = (load.energy_uj(begin_ns + period_ns) - load.energy_uj(begin_ns)) * 5
        write_file(root, f"{HWMON}/hwmon0/power1_input", f"{int(power_uw)}\n")

    return show


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
