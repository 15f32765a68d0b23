"""Fake power sensors: trees of files whose energy is known at every moment."""

import abc
import os
import threading
import time

from fixture_trees import write_file, write_tree

RAPL = "sys/class/powercap"
FAKE_RAPL = {
    f"{RAPL}/intel-rapl/enabled": "1\n",
    f"{RAPL}/intel-rapl:0/name": "package-0\n",
    f"{RAPL}/intel-rapl:0/max_energy_range_uj": "6000000\n",
    f"{RAPL}/intel-rapl:0/energy_uj": "5500000\n",
    f"{RAPL}/intel-rapl:0:0/name": "core\n",
    f"{RAPL}/intel-rapl:0:0/energy_uj": "111\n",
    f"{RAPL}/intel-rapl:1/name": "package-1\n",
    f"{RAPL}/intel-rapl:1/max_energy_range_uj": "7000000\n",
    f"{RAPL}/intel-rapl:1/energy_uj": "40\n",
    f"{RAPL}/intel-rapl:2/name": "psys\n",
    f"{RAPL}/intel-rapl:2/energy_uj": "222\n",
    f"{RAPL}/intel-rapl-mmio:0/name": "package-0\n",
    f"{RAPL}/intel-rapl-mmio:0/energy_uj": "5500000\n",
}
HWMON = "sys/class/hwmon"
FAKE_JETSON_INA3221 = {
    f"{HWMON}/hwmon0/name": "cpu_thermal\n",
    f"{HWMON}/hwmon1/name": "ina3221\n",
    f"{HWMON}/hwmon1/update_interval": "7\n",
    f"{HWMON}/hwmon1/in1_label": "VDD_IN\n",
    f"{HWMON}/hwmon1/in1_enable": "1\n",
    f"{HWMON}/hwmon1/in1_input": "5000\n",
    f"{HWMON}/hwmon1/curr1_input": "500\n",
    f"{HWMON}/hwmon1/in2_label": "VDD_CPU_GPU_CV\n",
    f"{HWMON}/hwmon1/in2_input": "5000\n",
    f"{HWMON}/hwmon1/curr2_input": "100\n",
    f"{HWMON}/hwmon1/in3_label": "VDD_SOC\n",
    f"{HWMON}/hwmon1/in3_input": "5000\n",
    f"{HWMON}/hwmon1/curr3_input": "90\n",
    f"{HWMON}/hwmon1/in7_label": "sum of shunt voltages\n",
}
FAKE_INA219 = {
    f"{HWMON}/hwmon0/name": "ina219\n",
    f"{HWMON}/hwmon0/in0_input": "1\n",
    f"{HWMON}/hwmon0/in1_input": "5104\n",
    f"{HWMON}/hwmon0/curr1_input": "611\n",
    f"{HWMON}/hwmon0/power1_input": "3120000\n",
}
FAKE_SLOW_INA219 = dict(FAKE_INA219, **{f"{HWMON}/hwmon0/update_interval": "500\n"})
"""As a battery's gauge: a new mean twice a second."""

_TICK_S = 0.002


class Constant:
    """The same power at all times."""

    def __init__(self, watts):
        self._watts = watts

    def energy_uj(self, at_ns):
        return self._watts * at_ns / 1000


class SquareWave:
    """High power for half a period, low power for the other half."""

    def __init__(self, low_w, high_w, half_ns):
        self._low_w, self._high_w, self._half_ns = low_w, high_w, half_ns

    def energy_uj(self, at_ns):
        periods, rest_ns = divmod(at_ns, 2 * self._half_ns)
        whole = periods * self._half_ns * (self._low_w + self._high_w)
        begun = min(rest_ns, self._half_ns) * self._high_w + max(0, rest_ns - self._half_ns) * self._low_w
        return (whole + begun) / 1000


class BusyWhile:
    """High power while a file is there."""

    def __init__(self, path, idle_w, busy_w):
        self._path, self._idle_w, self._busy_w = str(path), idle_w, busy_w
        self._last_ns, self._total_uj = time.monotonic_ns(), 0.0

    @property
    def watts(self):
        return self._busy_w if os.path.exists(self._path) else self._idle_w

    def energy_uj(self, at_ns):
        self._total_uj += self.watts * (at_ns - self._last_ns) / 1000
        self._last_ns = at_ns
        return self._total_uj


class _Playing(abc.ABC):
    """Keeps a tree up to date in a thread, for as long as a `with` lasts.

    It is as true as its thread is punctual: `pause_s_max` is how long the machine has kept it waiting.
    """

    def __init__(self, root, tree):
        self.root = root
        self.pause_s_max = 0.0
        write_tree(root, tree)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._is_over.set()
        self._thread.join()

    def _play(self):
        last = time.monotonic()
        while not self._is_over.wait(_TICK_S):
            self.update(time.monotonic_ns())
            last, before = time.monotonic(), last
            self.pause_s_max = max(self.pause_s_max, last - before)

    @abc.abstractmethod
    def update(self, at_ns):
        """Write what the sensor shows at this moment."""


class FakeRapl(_Playing):
    """Two packages that share a load evenly, and whose counters wrap around at 6 and 7 joules."""

    _PACKAGES = (("intel-rapl:0", 6000000), ("intel-rapl:1", 7000000))

    def __init__(self, root, load):
        super().__init__(root, FAKE_RAPL)
        self._load = load
        self._begin_uj = load.energy_uj(time.monotonic_ns())

    def update(self, at_ns):
        half_uj = int(self._load.energy_uj(at_ns) - self._begin_uj) // 2
        for domain, range_uj in self._PACKAGES:
            write_file(self.root, f"{RAPL}/{domain}/energy_uj", f"{half_uj % range_uj}\n")


class FakeSlowIna219(_Playing):
    """A gauge that shows, twice a second, the mean power of the half second before."""

    _PERIOD_NS = 500000000

    def __init__(self, root, load):
        super().__init__(root, FAKE_SLOW_INA219)
        self._load = load
        self._last_ns = time.monotonic_ns()
        self._last_uj = load.energy_uj(self._last_ns)

    def update(self, at_ns):
        if at_ns - self._last_ns < self._PERIOD_NS:
            return
        energy_uj = self._load.energy_uj(at_ns)
        power_uw = (energy_uj - self._last_uj) * 1000000000 / (at_ns - self._last_ns)
        self._last_ns, self._last_uj = at_ns, energy_uj
        write_file(self.root, f"{HWMON}/hwmon0/power1_input", f"{int(power_uw)}\n")


class FakeIna3221(_Playing):
    """A board whose supply gives 5 V and as many amperes as the load asks for."""

    def __init__(self, root, load):
        super().__init__(root, FAKE_JETSON_INA3221)
        self._load = load

    def update(self, _at_ns):
        write_file(self.root, f"{HWMON}/hwmon1/curr1_input", f"{int(self._load.watts * 200)}\n")
