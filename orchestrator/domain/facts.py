"""What a device says of itself, and the two hashes that tell a changed device from a changed environment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Platform:
    """What decides which wheels fit: `machine` as the facts say it, Python and glibc as (major, minor)."""

    machine: str
    python: tuple[int, int]
    glibc: tuple[int, int] | None

    def __str__(self) -> str:
        libc = f"glibc {self.glibc[0]}.{self.glibc[1]}" if self.glibc else "no glibc"
        return f"{self.machine}, Python {self.python[0]}.{self.python[1]}, {libc}"


@dataclass(frozen=True, slots=True)
class Facts:
    """A snapshot of a device; `values` as docs/worker-protocol.md names them, None where the device does not say."""

    values: Mapping[str, Any]

    @property
    def identity_hash(self) -> str:
        """Hash what only other hardware changes."""
        return _hash({key: self.values.get(key) for key in IDENTITY_KEYS})

    @property
    def environment_hash(self) -> str:
        """Hash what an upgrade or a setting changes: kernel, system, governor, Python."""
        return _hash({key: self.values.get(key) for key in ENVIRONMENT_KEYS})

    @property
    def cpu_count(self) -> int | None:
        """Return the number of processors that the worker may use there."""
        count = self.values.get("cpu_count")
        return count if isinstance(count, int) else None

    @property
    def platform(self) -> Platform:
        """Return what decides which wheels fit."""
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
    return text.isascii() and text.isdigit() and len(text) <= _VERSION_DIGITS_MAX


def _hash(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
