"""Which wheels fit a device, in the words of the two installers that we ask."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.errors import BundleError
from orchestrator.domain.facts import Platform

_UV_GLIBC_MINORS = (40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 28, 17)
"""The `manylinux_2_N` that uv knows, for x86_64 and for aarch64."""

_OLDEST_GLIBC_MINOR = 17
"""That of manylinux2014, the oldest platform that any of our runtimes was built for."""

_SAME_MACHINE = {"amd64": "x86_64", "arm64": "aarch64", "armv8l": "armv7l"}


class Installer(StrEnum):
    """Who resolves and unpacks wheels: uv wherever it knows the platform, pip on 32-bit Arm, which uv does not know."""

    UV = "uv"
    PIP = "pip"


class NoWheel(Exception):
    """A platform cannot have a runtime; the message is the reason, for people."""


@dataclass(frozen=True, slots=True)
class WheelTarget:
    """A platform as an installer takes it: the installer's names for it, most specific first, and the Python."""

    installer: Installer
    machine: str
    platforms: tuple[str, ...]
    python: str
    from_device: tuple[str, ...] = ()
    """Packages that are published for every platform but this one; the device's own are used."""


def machine_of(platform: Platform) -> str:
    """Return the machine under the name that wheels use."""
    machine = platform.machine.lower()
    return _SAME_MACHINE.get(machine, machine)


def words_for(platform: Platform) -> str:
    """Return the platform for a message: Python 3.11 (x86_64, glibc 2.36)."""
    libc = f"glibc {platform.glibc[0]}.{platform.glibc[1]}" if platform.glibc else "no glibc"
    return f"Python {platform.python[0]}.{platform.python[1]} ({platform.machine}, {libc})"


def target_of(platform: Platform) -> WheelTarget:
    """Return what to ask for; raise NoWheel where nothing can fit, BundleError where the device did not say enough."""
    if platform.python < (3, 0) or platform.machine in ("", "unknown"):
        raise BundleError(f"the device did not say what it is: {platform}", hint="probe it again")
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
    """Return what an armv7l device with this glibc may install; pip takes each tag literally and adds no older ones."""
    newest_first = (f"manylinux_2_{minor}_armv7l" for minor in range(glibc_minor, _OLDEST_GLIBC_MINOR - 1, -1))
    return (*newest_first, "manylinux2014_armv7l", "linux_armv7l")
