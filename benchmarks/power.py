"""How far figures of energy are from the truth, whether their intervals hold it, and what reading the sensors costs.

Sensors are trees of files whose energy is known at every moment, read by the worker's own sources. Errors and intervals
are simulated, without waiting; the cost is that of the sampler's thread on this machine, where files stand for drivers.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power import hwmon, rapl
from device_worker.sensing.power.base import PowerSource
from device_worker.sensing.power.sampler import Sampler
from device_worker.system.patient_reader import PatientReader
from device_worker.system.system_files import ROOT_VARIABLE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "worker"))

import power_fakes
import power_simulation as simulation
from fixture_trees import write_tree

WINDOWS_MS = range(100, 800, 70)
SEEDS = range(1_000, 2_000)
COST_S = 3.0
_MS = simulation.MS

LOADS = {
    "constant": (power_fakes.Constant(6.0), 0.005),
    "square wave of 0.7 s": (power_fakes.SquareWave(4.0, 8.0, 350 * _MS), 0.02),
}
MEANS = {**power_fakes.FAKE_INA219, f"{power_fakes.HWMON}/hwmon0/update_interval": "200\n"}
SENSORS = {
    "rapl": (power_fakes.FAKE_RAPL, rapl, simulation.rapl_show, 5_000),
    "ina219": (power_fakes.FAKE_INA219, hwmon, simulation.gauge_show, 5_000),
    "ina3221": (power_fakes.FAKE_JETSON_INA3221, hwmon, simulation.rail_show, 5_000),
    "ina219, means of 0.2 s": (MEANS, hwmon, simulation.mean_show, 12_400),
}
"""The tree of each sensor, the module that reads it, what keeps the tree up to date, and the window in ms."""


def measure() -> Iterator[Figure]:
    """Print errors, coverage and costs."""
    yield from _errors()
    yield from _coverage()
    yield from _costs()


def _errors() -> Iterator[Figure]:
    for name, (tree, module, show_of, window_ms) in SENSORS.items():
        for words, (load, at_most) in LOADS.items():
            with tempfile.TemporaryDirectory(prefix="benchfleet-power-") as root:
                os.environ[ROOT_VARIABLE] = write_tree(root, tree)
                show = show_of(root, load)
                show(0)
                trace = simulation.played(module.open_source(), show, seconds=window_ms / 1000 + 2)
                worst = max(
                    simulation.error_of(trace, load, begin * _MS, (begin + window_ms) * _MS) for begin in WINDOWS_MS
                )
            yield Figure(f"largest error, {name}, {words}", 100 * worst, "%", at_most=100 * at_most)


def _coverage() -> Iterator[Figure]:
    for kind in (SourceKind.ENERGY_COUNTER, SourceKind.POWER_GAUGE):
        found = [simulation.judged(seed, kind) for seed in SEEDS]
        gross = sum(abs(one["energy_gross_mj"] - true) <= one["energy_gross_u95_mj"] for one, true, _ in found)
        above = sum(abs(one["energy_mj"] - true) <= one["energy_u95_mj"] for one, _, true in found)
        widths = sorted(one["energy_gross_u95_mj"] / one["energy_gross_mj"] for one, _, _ in found)
        share = 100 / len(found)
        yield Figure(f"interval holds the truth, {kind}, gross", share * gross, "%", at_least=93)
        yield Figure(f"interval holds the truth, {kind}, above idle", share * above, "%", at_least=93)
        yield Figure(f"half width of the interval, {kind}, gross, median", 100 * widths[len(widths) // 2], "%")


def _costs() -> Iterator[Figure]:
    for name, (tree, module, _, _) in SENSORS.items():
        with tempfile.TemporaryDirectory(prefix="benchfleet-power-") as root:
            os.environ[ROOT_VARIABLE] = write_tree(root, tree)
            source = module.open_source()
            assert source is not None
            yield Figure(f"processor time of reading, {name}", 100 * _cost(source), "%", at_most=2.0)


def _cost(source: PowerSource) -> float:
    """Return the processor time of the sampler's thread as a share of the time."""
    sampler = Sampler(source, PatientReader())
    begin = time.monotonic()
    sampler.begin()
    time.sleep(COST_S)
    sampler.end()
    return sampler.overhead_cpu_ns / 1e9 / (time.monotonic() - begin)
