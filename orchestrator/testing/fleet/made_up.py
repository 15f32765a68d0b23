"""Make up what a device says: facts, conditions, samples. The shapes are those of a Raspberry Pi 5's worker."""

from __future__ import annotations

import base64
import random
import uuid
from functools import cache
from typing import Any

from device_worker.protocol.samples import pack_samples
from orchestrator.testing.fleet.faults import Pace

PYTHON = "3.9.2"
BYTECODE = "610d0d0a"
"""The mark of Python 3.9's bytecode, as that Python has it."""

_BLOCKS = 64
_NUMBERS = (
    "process_start_ns",
    "import_ns",
    "load_ns",
    "allocate_ns",
    "first_inference_ns",
    "cold_start_ns",
    "rss_interpreter_bytes",
    "rss_import_bytes",
    "rss_load_bytes",
    "rss_run_bytes",
    "rss_steady_bytes",
    "rss_bytes_max",
    "set_input_ns",
    "get_output_ns",
    "warmup_runs",
    "involuntary_switches",
)

_UNKNOWN = {
    "gpu_throttled": "there is no NVIDIA driver",
    "tpu_throttled": "no Coral accelerator with a temperature and a trip point (a Coral on USB tells neither)",
}


def boot_id_of(device: str) -> str:
    """Return the boot id of a device: another one for each, so that each is a machine of its own."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{device}.simulated"))


def facts_of(device: str, state_dir: str, unix_ns: int) -> dict[str, Any]:
    """Return the facts of a device."""
    return {
        "hostname": device,
        "machine": "aarch64",
        "kernel": "6.6.20-simulated",
        "boot_id": boot_id_of(device),
        "os_id": "debian",
        "os_version": "11",
        "libc_name": "glibc",
        "libc_version": "2.31",
        "python": PYTHON,
        "python_path": "/usr/bin/python3",
        "cpu_model": "Cortex-A76",
        "cpu_count": 4,
        "cpu_count_online": 4,
        "cpu_mhz_max": 2400,
        "cpu_kinds": None,
        "governor": "performance",
        "cpus_present": "0-3",
        "cpus_online": "0-3",
        "cpus_allowed": "0-3",
        "cpus_usable": "0-3",
        "load_1m": 0.08,
        "board_model": "simulated board",
        "memory_bytes": 8_000_000_000,
        "disk_free_bytes": 20_000_000_000,
        "temperature_c": 48.5,
        "throttled": False,
        "gpus": None,
        "system_runtimes": {"tflite": [], "onnxruntime": []},
        "login_kills_processes": False,
        "power_sources": [],
        "conditions_untold": dict(_UNKNOWN),
        "discarded": {},
        "unknown": {},
        "state_dir": state_dir,
        "unix_ns": unix_ns,
        "health": {
            "file_system": "ext4",
            "read_only": False,
            "noexec": False,
            "files_free": 1_000_000,
            "holder": None,
            "previous_crash": None,
            "leftover_processes": 0,
            "survivors": [],
            "damaged_logs": [],
            "in_login_session": False,
            "login_lingers": None,
            "state_dir_refused": None,
        },
    }


def conditions_of(unix_ns: int) -> dict[str, Any]:
    """Return the conditions at a moment."""
    return {
        "busiest_processes": [],
        "clock_unix_ns": unix_ns,
        "cpu_mhz": 2400.0,
        "cpu_pressure_percent": 0.4,
        "cpu_steal_percent": 0.0,
        "governor": "performance",
        "gpu_throttled": None,
        "load_1m": 0.1,
        "memory_available_bytes": 7_000_000_000,
        "other_load_percent": 0.3,
        "policies_mhz": None,
        "swap_used_bytes": 0,
        "temperature_c": 48.5,
        "temperatures_c": None,
        "throttled": False,
        "tpu_throttled": None,
        "unknown": _UNKNOWN,
    }


NO_POWER = {
    "source": None,
    "kind": None,
    "period_s": None,
    "samples": 0,
    "rate_hz": None,
    "idle_w": None,
    "idle_u95_w": None,
    "idle_before_w": None,
    "idle_after_w": None,
    "idle_windows": None,
    "invoked_ratio": None,
    "is_estimate": None,
    "accuracy_ratio": None,
    "overhead_cpu_ns": 0,
    "reason": "a simulated device has no power source",
    "energy_reason": None,
    "caution": None,
    "trace": None,
}


def metrics_of(pace: Pace, draw: int) -> list[dict[str, Any]]:
    """Return the metrics of one attempt. `draw` chooses among the blocks of samples."""
    block = {"name": "latency_ns", "batch": 1, "samples": _blocks(pace.samples)[draw % _BLOCKS]}
    numbers = [{"name": name, "value": 1_000_000 + draw % 997} for name in _NUMBERS[: pace.metrics]]
    return [block, *numbers]


@cache
def _blocks(count: int) -> list[dict[str, Any]]:
    """Return packed blocks of samples, log-normal around 42 us."""
    rng = random.Random(7)  # noqa: S311 - no secret, and the same in each simulator
    blocks = []
    for _ in range(_BLOCKS):
        level = rng.lognormvariate(0, 0.01) * 42_000
        codec, data, crc32 = pack_samples([int(level * rng.lognormvariate(0, 0.03)) for _ in range(count)])
        packed = base64.b64encode(data).decode("ascii")
        blocks.append({"codec": codec, "count": count, "crc32": crc32, "data": packed})
    return blocks
