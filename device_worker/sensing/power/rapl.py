"""Read the energy counters of x86 packages: RAPL of Intel and AMD.

Only whole packages are added up. The domains below a package are parts of the package, `psys` includes the packages,
and `intel-rapl-mmio` is the same counter by another way. Source: Documentation/power/powercap of the kernel.
"""

from __future__ import annotations

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.base import PowerSource, Unreadable, explain_unreadable
from device_worker.system import system_files

_CLASS = "/sys/class/powercap"


class RaplSource(PowerSource):
    """The energy of all packages together, continued beyond the range of each counter."""

    kind = SourceKind.ENERGY_COUNTER
    name = "rapl"

    def __init__(self, packages: list[PackageCounter]) -> None:
        self._packages = packages

    def read(self) -> int | None:
        """Return the microjoules of all packages since the source was opened, or None for a failed reading."""
        total = 0
        for package in self._packages:
            energy_uj = package.read()
            if energy_uj is None:
                return None
            total += energy_uj
        return total


class PackageCounter:
    """The counter of a package. The counter begins at 0 again beyond its range, and may be reset."""

    def __init__(self, domain: str) -> None:
        self.energy_path = f"{domain}/energy_uj"
        self._range_uj = system_files.read_int(f"{domain}/max_energy_range_uj") or 0
        self._last_uj: int | None = None
        self._total_uj = 0

    def read(self) -> int | None:
        """Return the microjoules since the first reading, or None for a failed reading or a reset counter."""
        now_uj = system_files.read_int(self.energy_path)
        last_uj, self._last_uj = self._last_uj, now_uj
        if now_uj is None:
            return None
        if last_uj is not None:
            step_uj = now_uj - last_uj
            if step_uj < 0:
                step_uj += self._range_uj
                # No package uses half the range between two readings: a larger step means a reset, not a wrap.
                if not 0 <= step_uj <= self._range_uj // 2:
                    return None
            self._total_uj += step_uj
        return self._total_uj


def open_source() -> RaplSource | None:
    """Return the source for all packages, or None without RAPL. Raise Unreadable if a package cannot be read."""
    # `intel-rapl:0` is a domain of its own, `intel-rapl:0:0` a part of the domain.
    domains = [path for path in system_files.list_folder(_CLASS, "intel-rapl:") if path.count(":") == 1]
    packages = [
        PackageCounter(domain)
        for domain in domains
        if (system_files.read_text(f"{domain}/name") or "").startswith("package")
    ]
    for package in packages:
        if package.read() is None:
            raise Unreadable(explain_unreadable(package.energy_path))
    return RaplSource(packages) if packages else None
