"""The energy counters of x86 packages (Intel's RAPL, which AMD has too), as the powercap driver shows them.

Only whole packages are added up: the domains below one are parts of it, `psys` holds the packages already, and
`intel-rapl-mmio` is the same counter by another way.
"""

from __future__ import annotations

from device_worker import system_files
from device_worker.power.base import PowerSource, SourceKind, Unreadable, explain_unreadable

_CLASS = "/sys/class/powercap"


class RaplSource(PowerSource):
    """The energy of all packages, beyond the range of their counters."""

    kind = SourceKind.ENERGY_COUNTER
    name = "rapl"

    def __init__(self, packages: list[PackageCounter]) -> None:
        self._packages = packages

    def read(self) -> int | None:
        """Return the microjoules of all packages since this source was opened."""
        total = 0
        for package in self._packages:
            energy_uj = package.read()
            if energy_uj is None:
                return None
            total += energy_uj
        return total


class PackageCounter:
    """One package's counter, which begins at 0 again beyond its range, and may be reset."""

    def __init__(self, domain: str) -> None:
        self.energy_path = f"{domain}/energy_uj"
        self._range_uj = system_files.read_int(f"{domain}/max_energy_range_uj") or 0
        self._last_uj: int | None = None
        self._total_uj = 0

    def read(self) -> int | None:
        """Return the microjoules since the first reading; None where that cannot be told."""
        now_uj = system_files.read_int(self.energy_path)
        last_uj, self._last_uj = self._last_uj, now_uj
        if now_uj is None:
            return None
        if last_uj is not None:
            step_uj = now_uj - last_uj
            if step_uj < 0:
                step_uj += self._range_uj
                if not 0 <= step_uj <= self._range_uj // 2:  # set back, not wrapped around
                    return None
            self._total_uj += step_uj
        return self._total_uj


def open_source() -> RaplSource | None:
    """Return the packages of this device; raise Unreadable unless every one of them can be read."""
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
