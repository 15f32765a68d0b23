"""Collect what a device says of itself."""

from __future__ import annotations

import os
import struct
import sys
import time
from importlib.machinery import PathFinder

from device_worker import conditions, health, login_session, mounts, power, system_files
from device_worker.process_identity import read_boot_id
from device_worker.python_runtimes import TFLITE_MODULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MACHINES_OF_32_BIT = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}
_CPU_NAME_FIELDS = ("Model", "Hardware", "model name", "cpu model", "Processor")


def collect_facts(state_dir: str) -> dict[str, Any]:
    """Return the facts; a value is None where the device does not say, never 0."""
    system = os.uname()
    release = _read_os_release()
    libc_name, libc_version = _read_libc()
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
        "cpu_model": _read_cpu_model(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "cpu_mhz_max": conditions.read_cpu_mhz_max(),
        "governor": conditions.read_governor(),
        "memory_bytes": system_files.read_kib("/proc/meminfo", "MemTotal"),
        "board_model": _read_board_model(),
        "temperature_c": conditions.read_temperature_c(),
        "throttled": conditions.ThrottleSensor().read(),
        "disk_free_bytes": _read_disk_free_bytes(state_dir),
        "boot_id": read_boot_id() or None,
        "state_dir": state_dir,
        "unix_ns": time.time_ns(),
        "gpus": _read_gpus(),
        "system_runtimes": {"tflite": [name for name in TFLITE_MODULES if is_importable(name)]},
        "login_kills_processes": login_session.kills_processes(),
        "power_sources": power.describe_sources(),
        "health": health.collect_health(state_dir),
    }


def _userland_machine(machine: str) -> str:
    """Return the architecture that programs here are built for: a 64-bit kernel may carry a 32-bit system."""
    return _MACHINES_OF_32_BIT.get(machine, machine) if _pointer_bytes() == 4 else machine


def _pointer_bytes() -> int:
    return struct.calcsize("P")


def python_executable() -> str:
    """Return the interpreter's path, also where `python -c` was started so that Python itself cannot tell."""
    return sys.executable or os.readlink("/proc/self/exe")


def is_importable(module: str) -> bool:
    """Say whether a module is installed, without importing anything of it (tensorflow alone takes seconds)."""
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

    said = subprocess.run([loader], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for line in said.stderr.decode("ascii", "replace").split("\n"):
        if line.startswith("Version "):
            return line[len("Version ") :].strip()
    return None


def _read_cpu_model() -> str | None:
    fields = system_files.read_fields("/proc/cpuinfo")
    name = fields.get("model name")
    if name and not name.startswith("ARM"):  # 32-bit ARM says "ARMv7 Processor rev 3" of every chip
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
