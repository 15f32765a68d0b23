"""Scaffolds of what a device measures with."""

from __future__ import annotations

import re

from tests.integration.scaffolds.recipe import Command, Scaffold, after, in_turn, instead

SUPPLY = '''"""Read what a device draws from USB, from the kernel's power supply class.

Source: Documentation/ABI/testing/sysfs-class-power.
"""

from __future__ import annotations

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.base import PowerSource
from device_worker.system import system_files

_POWER = "/sys/class/power_supply/usb/power_now"


class UsbSupply(PowerSource):
    """Gauge the power that the supply gives, in microwatts."""

    name = "supply usb"
    kind = SourceKind.POWER_GAUGE
    period_s = 0.5  # the chip has a new value twice a second
    accuracy_ratio = 0.05

    def read(self):
        # type: () -> int | None
        """Return microwatts, or None while the file cannot be read."""
        return system_files.read_int(_POWER)


def open_source():
    # type: () -> UsbSupply | None
    """Return the supply, or None where the device tells nothing of it."""
    source = UsbSupply()
    return source if source.read() is not None else None
'''

POWER_SOURCE = Scaffold(
    name="supply",
    proof="supply",
    files={"device_worker/sensing/power/supply.py": SUPPLY},
    edits={
        "device_worker/sensing/power/__init__.py": lambda text: text.replace(
            "nvml, pmic, rapl\n", "nvml, pmic, rapl, supply\n"
        ).replace(
            '    ("battery", battery.open_source),\n',
            '    ("battery", battery.open_source),\n    ("supply", supply.open_source),\n',
        ),
        "orchestrator/domain/meter.py": instead(r'"nvml", "battery"\)$', '"nvml", "battery", "supply")'),
        "tests/worker/test_power_sources.py": lambda text: text.replace(
            "from device_worker.sensing.power import hwmon, rails, rapl",
            "from device_worker.sensing.power import hwmon, rails, rapl, supply",
        ).replace(
            "SOURCES = [\n",
            "SOURCES = [\n"
            "    pytest.param(\n"
            '        supply,\n        {"sys/class/power_supply/usb/power_now": "4200000\\n"},\n'
            '        "supply usb",\n        SourceKind.POWER_GAUGE,\n'
            '        4200000,\n        id="supply",\n    ),\n',
        ),
    },
)

SWAP = '''"""Watch the swap space in use: a trial that swaps measures the disk."""

from __future__ import annotations

from device_worker.sensing.conditions.base import Condition
from device_worker.system import system_files


class Swap(Condition):
    """The swap space in use, in bytes."""

    reading = "swap_bytes"
    limit = "swap_bytes_max"
    invalid = "swapping"
    unanswered = "swapping-unknown"

    def read(self):
        # type: () -> int | None
        """Return the swap space in use now."""
        total = system_files.read_kib("/proc/meminfo", "SwapTotal")
        free = system_files.read_kib("/proc/meminfo", "SwapFree")
        return None if total is None or free is None else total - free

    def explain_unknown(self):
        # type: () -> str
        """Return what is missing."""
        return "/proc/meminfo has no line SwapTotal or SwapFree"
'''

CONDITION = Scaffold(
    name="swap",
    proof="swap",
    files={"device_worker/sensing/conditions/swap.py": SWAP},
    edits={
        "device_worker/sensing/conditions/table.py": in_turn(
            instead(r"^    temperature,$", "    swap,\n    temperature,"),
            instead(r"^CONDITIONS = \($", "CONDITIONS = (\n    swap.Swap,"),
        ),
        "orchestrator/domain/device.py": after(
            "    temperature_c_max: float | None = _condition(most=200)\n",
            "    swap_bytes_max: float | None = _condition(most=1 << 40)\n",
        ),
        "tests/worker/test_conditions.py": after(
            "READINGS = [\n",
            '    pytest.param("swap_bytes", {"proc/meminfo": "SwapTotal: 9 kB\\nSwapFree: 8 kB\\n"}, 1024, id="swap"),'
            "\n",
        ),
        "tests/unit/reporting/golden/devices.json": lambda text: re.sub(
            r'^( *)(?="cpu_pressure_max_percent")', r'\1"swap_bytes_max": null,\n\1', text, flags=re.MULTILINE
        ),
    },
    then=(Command(("-m", "orchestrator.reporting.json_document")),),
)

METRIC = Scaffold(
    name="beam_mj",
    proof="beam_mj",
    edits={
        "orchestrator/domain/metric.py": in_turn(
            after("_REGISTERED = (\n", '    Metric("beam_mj", Unit.MILLIJOULES, Direction.LOWER, 0.02),\n'),
            after("ABOUT: Mapping[str, str] = {\n", '    "beam_mj": "Energy of the beam.",\n'),
        )
    },
    then=(Command(("-m", "reference")),),
)

LARGEST = '''"""Judge numbers by the largest of their distances from the wanted ones."""

from __future__ import annotations

from device_worker.trial.accuracy.base import AccuracyMetric, Unprovable


class LargestError(AccuracyMetric):
    """Take the largest distance of an output's values from the label's."""

    name = "largest_error"

    def score(self, output, label):
        # type: (object, object) -> float
        """Return the distance. Raise Unprovable for another number of values, and for NaN."""
        import numpy

        found, true = output.reshape(-1), numpy.asarray(label, dtype="f8").reshape(-1)
        if found.shape != true.shape:
            raise Unprovable(f"the output has {found.size} values, and the label {true.size}")
        error = float(abs(found - true).max())
        if not numpy.isfinite(error):
            raise Unprovable("the output has NaN or an infinity")
        return error
'''

ACCURACY = Scaffold(
    name="largest_error",
    proof="largest_error",
    files={"device_worker/trial/accuracy/largest_error.py": LARGEST},
    edits={
        "device_worker/trial/accuracy/__init__.py": in_turn(
            after(
                "from __future__ import annotations\n\n",
                "from device_worker.trial.accuracy.largest_error import LargestError\n",
            ),
            after("    for metric in (\n", "        LargestError(),\n"),
        ),
        "orchestrator/specs/sweep_schema.py": instead(
            '"mean_absolute_error", "outputs"', '"mean_absolute_error", "largest_error", "outputs"'
        ),
        "orchestrator/domain/metric.py": in_turn(
            after("_REGISTERED = (\n", '    Metric("accuracy_largest_error", Unit.NUMBER, Direction.LOWER),\n'),
            after("ABOUT: Mapping[str, str] = {\n", '    "accuracy_largest_error": "The largest distance.",\n'),
        ),
        "tests/contract/test_accuracy_metrics.py": after(
            "CASES = {\n", '    "largest_error": Case([1.0, 2.0], [[1.0, 2.0]], [[1.0, 4.0]]),\n'
        ),
    },
    then=(Command(("-m", "reference")),),
)
