"""Hold a device's facts, with two hashes to tell changed hardware from a changed environment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.device import GPU_FACT
from orchestrator.domain.processors import Processors

# A change of either list changes the hashes of all devices, as if every device had been exchanged.
IDENTITY_KEYS = ("machine", "cpu_model", "cpu_count", "memory_bytes", "board_model", "gpus")
ENVIRONMENT_KEYS = (
    "kernel",
    "os_id",
    "os_version",
    "libc_name",
    "libc_version",
    "python",
    "governor",
    "cpu_mhz_max",
    "system_runtimes",
)

_VERSION_DIGITS_MAX = 3
_BOOT_ID_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Platform:
    """Describe a device as far as wheels depend on it: the machine, Python and glibc as (major, minor)."""

    machine: str
    python: tuple[int, int]
    glibc: tuple[int, int] | None

    def __str__(self) -> str:
        libc = f"glibc {self.glibc[0]}.{self.glibc[1]}" if self.glibc else "no glibc"
        return f"{self.machine}, Python {self.python[0]}.{self.python[1]}, {libc}"


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold a snapshot of a device's facts. docs/worker-protocol.md names the values, None if unknown to the device."""

    values: Mapping[str, Any]

    @property
    def identity_hash(self) -> str:
        """Return the hash of the facts changed by other hardware only."""
        return _hash({key: self.values.get(key) for key in IDENTITY_KEYS})

    @property
    def environment_hash(self) -> str:
        """Return the hash of the facts changed by upgrades and settings: kernel, system, governor, Python, GPU."""
        # Absent where nobody asks for a GPU: the hashes of all other devices stay as they are.
        gpu = {GPU_FACT: self.values[GPU_FACT]} if GPU_FACT in self.values else {}
        return _hash({key: self.values.get(key) for key in ENVIRONMENT_KEYS} | self._installed_runtimes() | gpu)

    @property
    def machine(self) -> str | None:
        """Return the boot id, which all names, users and containers of a machine share until a reboot, or None."""
        boot_id = self.values.get("boot_id")
        return boot_id[:_BOOT_ID_CHARACTERS_MAX] if isinstance(boot_id, str) and boot_id else None

    def _installed_runtimes(self) -> dict[str, Any]:
        """Return the system runtimes found. Runtimes not found are left out, because a newer worker looks for more."""
        found = self.values.get("system_runtimes")
        if not isinstance(found, Mapping):
            return {}
        # Stored hashes hold the first engine's empty list: it stays, or every environment would seem changed.
        return {"system_runtimes": {name: modules for name, modules in found.items() if modules or name == "tflite"}}

    @property
    def processors(self) -> Processors:
        """Return the processors, by the kernel's numbers."""
        return Processors.of_facts(self.values)

    @property
    def platform(self) -> Platform:
        """Return the platform to choose wheels by. An unknown Python is (0, 0)."""
        glibc = self.values.get("libc_version") if self.values.get("libc_name") == "glibc" else None
        return Platform(
            str(self.values.get("machine") or "unknown"),
            _major_minor(self.values.get("python")) or (0, 0),
            _major_minor(glibc),
        )


def _major_minor(version: object) -> tuple[int, int] | None:
    parts = str(version or "").split(".")
    if len(parts) < 2 or not (_is_number(parts[0]) and _is_number(parts[1])):
        return None
    return int(parts[0]), int(parts[1])


def _is_number(text: str) -> bool:
    # The text is a device's: isdigit alone accepts digits such as "²", which int refuses.
    return text.isascii() and text.isdigit() and len(text) <= _VERSION_DIGITS_MAX


def _hash(values: Mapping[str, Any]) -> str:
    # Shortened for people and for the column: chance makes no two devices of a lab equal in 64 bits.
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
