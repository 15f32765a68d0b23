"""Collect the facts of a device: hardware, system, Python, runtimes, power sources, health."""

from __future__ import annotations

import os
import sys
import time
from importlib.machinery import PathFinder

from device_worker.sensing import accelerators, power, readings
from device_worker.sensing.conditions.table import untold
from device_worker.sensing.conditions.temperature import read_temperature_c
from device_worker.sensing.conditions.throttling import Throttling
from device_worker.sensing.processor_kinds import read_kinds
from device_worker.serving import health
from device_worker.system import login_session, mounts, system_files
from device_worker.system.patient_reader import PatientReader
from device_worker.system.process_identity import python_executable, read_boot_id
from device_worker.system.processors import PROCESSOR_LISTS, read_processors
from device_worker.trial.runtimes import ENGINES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_MACHINES_OF_32_BIT = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}
_PROGRAM_S_MAX = 8.0  # a program ends itself after 5 s, if it can be ended
_CPU_NAME_FIELDS = ("Model", "Hardware", "model name", "cpu model", "Processor")


def collect_facts(state_dir: str) -> dict[str, Any]:
    """Return the facts as a JSON object. A value is None if the device does not tell, never 0.

    `unknown` gives the reason for each fact that a hanging sensor or driver has cost, `discarded` the reasons for
    sensors that were left out as implausible.
    """
    system = os.uname()
    release = _read_os_release()
    libc_name, libc_version = _read_libc()
    reader = PatientReader()
    discarded: dict[str, list[str]] = {"temperature_c": [], "cpu_mhz_max": []}
    sensed, unknown = reader.read(_sensed(discarded))
    processors = sensed.pop("processors") or dict.fromkeys(PROCESSOR_LISTS)
    # A sensor that hangs is there, and is not asked again.
    known = {key: unknown.get(key, sensed[key]) for key in ("temperature_c", "governor")}
    gpus, silent = PatientReader(_PROGRAM_S_MAX).read({"gpus": _read_gpus, "libraries": accelerators.read_libraries})
    unknown.update(silent)
    return {
        "hostname": system.nodename,
        "machine": _userland_machine(system.machine),
        "kernel": system.release,
        "os_id": release.get("ID"),
        "os_version": release.get("VERSION_ID"),
        "libc_name": libc_name,
        "libc_version": libc_version,
        "python": ".".join(map(str, sys.version_info[:3])),
        "python_path": python_executable(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "cpu_count_online": os.cpu_count(),
        "memory_bytes": system_files.read_kib("/proc/meminfo", "MemTotal"),
        "disk_free_bytes": _read_disk_free_bytes(state_dir),
        "boot_id": read_boot_id() or None,
        "state_dir": state_dir,
        "unix_ns": time.time_ns(),
        "system_runtimes": {
            name: [module for module in engine.distributions if is_importable(module)]
            for name, engine in ENGINES.items()
            if engine.distributions
        },
        "login_kills_processes": login_session.kills_processes(),
        "power_sources": power.describe_sources(reader),
        "health": health.collect_health(state_dir),
        "conditions_untold": untold(known),
        "unknown": unknown,
        "discarded": {fact: "; ".join(reasons) for fact, reasons in discarded.items() if reasons},
        **processors,
        **sensed,
        **gpus,
    }


def _userland_machine(machine: str) -> str:
    """Return the architecture of the device's programs (`armv7l` on a 32-bit system with an aarch64 kernel)."""
    # Raspberry Pi OS in 32 bit runs on a 64-bit kernel by default. Wheels for the kernel's machine do not load there.
    return _MACHINES_OF_32_BIT.get(machine, machine) if _pointer_bytes() == 4 else machine


def _pointer_bytes() -> int:
    return 8 if sys.maxsize > 1 << 32 else 4


def is_importable(module: str) -> bool:
    """Return True if a module is installed, without importing the module."""
    # Imports are too slow for facts: tensorflow alone takes seconds.
    names = module.split(".")
    search: list[str] | None = None
    for name in names:
        spec = PathFinder.find_spec(name, search)
        if spec is None:
            return False
        search = list(spec.submodule_search_locations or [])
    return True


def _read_os_release() -> dict[str, str]:
    text = system_files.read_text("/etc/os-release") or system_files.read_text("/usr/lib/os-release") or ""
    fields = {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            fields[name.strip()] = value.strip().strip("'\"")
    return fields


def _read_libc() -> tuple[str | None, str | None]:
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (OSError, ValueError):
        words = []
    if len(words) == 2:
        return words[0], words[1]
    for loader in sorted(name for name in os.listdir("/lib") if name.startswith("ld-musl-")):
        return "musl", _read_musl_version(f"/lib/{loader}")
    return None, None


def _read_musl_version(loader: str) -> str | None:
    import subprocess

    # musl's loader prints its version to standard error when started without a program.
    said = subprocess.run([loader], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for line in said.stderr.decode("ascii", "replace").split("\n"):
        if line.startswith("Version "):
            return line[len("Version ") :].strip()
    return None


def _read_cpu_model() -> str | None:
    fields = system_files.read_fields("/proc/cpuinfo")
    name = fields.get("model name")
    if name and not name.startswith("ARM"):  # a 32-bit ARM kernel reports "ARMv7 Processor rev 3" for every chip
        return name
    tree_model = _read_device_tree_model()
    if tree_model:
        return tree_model
    return next((fields[field] for field in _CPU_NAME_FIELDS if field in fields), None)


def _read_device_tree_model() -> str | None:
    model = system_files.read_text("/proc/device-tree/model")
    return model or system_files.read_text("/sys/firmware/devicetree/base/model")


def _read_board_model() -> str | None:
    return _read_device_tree_model() or system_files.read_text("/sys/class/dmi/id/product_name")


def _read_disk_free_bytes(state_dir: str) -> int | None:
    try:
        return mounts.free_bytes(state_dir)
    except OSError:
        return None


def _read_gpus() -> list[str] | None:
    listed = system_files.run_program("nvidia-smi", "-L")  # GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-…)
    if listed is None:
        return None
    lines = [line.partition(": ")[2] for line in listed.split("\n") if line.startswith("GPU ")]
    return [line.partition(" (UUID")[0] for line in lines]


def _sensed(discarded: dict[str, list[str]]) -> dict[str, Callable[[], Any]]:
    """Return the facts from sensors and drivers, which may hang. Implausible readings go to `discarded`."""
    return {
        "cpu_model": _read_cpu_model,
        "board_model": _read_board_model,
        "cpu_mhz_max": lambda: readings.read_cpu_mhz_max(discarded["cpu_mhz_max"]),
        "governor": readings.read_governor,
        "load_1m": readings.read_load_1m,
        "temperature_c": lambda: read_temperature_c(discarded["temperature_c"]),
        "throttled": lambda: Throttling().read(),
        "accelerators": accelerators.read_accelerators,
        "processors": read_processors,
        "cpu_kinds": read_kinds,
    }
