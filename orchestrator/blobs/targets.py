"""Name the wheels which fit a device, in the words of the two installers, uv and pip."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.errors import BundleError
from orchestrator.domain.facts import Platform

_UV_GLIBC_MINORS = (40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28, 17)
"""The numbers N of each platform `manylinux_2_N` known to uv, for x86_64 and for aarch64."""

_OLDEST_GLIBC_MINOR = 17
"""The glibc 2.17 of manylinux2014, the oldest platform with a build of any of our runtimes."""

_SAME_MACHINE = {"amd64": "x86_64", "arm64": "aarch64", "armv8l": "armv7l"}


class Installer(StrEnum):
    """Name the program which resolves and unpacks wheels: uv, or pip on 32-bit Arm, a platform unknown to uv."""

    UV = "uv"
    PIP = "pip"


class NoWheel(Exception):
    """Say that a platform cannot have a runtime. The message is the reason, for people."""


@dataclass(frozen=True, slots=True)
class WheelTarget:
    """Describe a platform for an installer.

    `platforms` are the installer's names of the platform, most specific first. `python` is "3.11", without the patch.
    """

    installer: Installer
    machine: str
    platforms: tuple[str, ...]
    python: str
    from_device: tuple[str, ...] = ()
    """Packages published for every platform but this one. The device's own are used."""


def machine_of(platform: Platform) -> str:
    """Return the platform's machine under the name used by wheels."""
    machine = platform.machine.lower()
    return _SAME_MACHINE.get(machine, machine)


def words_for(platform: Platform) -> str:
    """Return the platform in words: Python 3.11 (x86_64, glibc 2.36)."""
    libc = f"glibc {platform.glibc[0]}.{platform.glibc[1]}" if platform.glibc else "no glibc"
    return f"Python {platform.python[0]}.{platform.python[1]} ({platform.machine}, {libc})"


def target_of(platform: Platform) -> WheelTarget:
    """Return the target to ask an installer for.

    Raise NoWheel if no wheel can fit the platform, and BundleError if the device's facts say too little.
    """
    if platform.python < (3, 0) or platform.machine in ("", "unknown"):
        raise BundleError(f"the device did not say what it is: {platform}", hint="probe it again")
    # Wheels of our runtimes are built against glibc. There are none for musl.
    if platform.glibc is None:
        raise NoWheel(f"no wheels are published for {words_for(platform)}")
    machine = machine_of(platform)
    python = f"{platform.python[0]}.{platform.python[1]}"
    major, minor = platform.glibc
    if major != 2 or minor < _OLDEST_GLIBC_MINOR or machine not in ("x86_64", "aarch64", "armv7l"):
        raise NoWheel(f"no wheels are published for {words_for(platform)}")
    if machine == "armv7l":
        return WheelTarget(Installer.PIP, machine, _armv7l_tags(minor), python, from_device=("numpy",))
    fitting = next(known for known in _UV_GLIBC_MINORS if known <= minor)
    return WheelTarget(Installer.UV, machine, (f"{machine}-manylinux_2_{fitting}",), python)


def _armv7l_tags(glibc_minor: int) -> tuple[str, ...]:
    """Return the wheel tags for an armv7l device with glibc 2.N, newest first.

    All older tags are listed, because pip takes each tag literally.
    """
    newest_first = (f"manylinux_2_{minor}_armv7l" for minor in range(glibc_minor, _OLDEST_GLIBC_MINOR - 1, -1))
    return (*newest_first, "manylinux2014_armv7l", "linux_armv7l")
