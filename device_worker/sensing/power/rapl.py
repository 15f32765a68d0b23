"""Read the energy counters of x86 packages and of their memory: RAPL of Intel and AMD.

Whole packages are added up, and the memory of each (`dram`), which is no part of the package. The other domains below
a package are parts of the package, `psys` includes the packages, and `intel-rapl-mmio` is the same counter by another
way.
Source: Documentation/power/powercap of the kernel.
"""

from __future__ import annotations

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.base import Lost, PowerSource, Unreadable, explain_unreadable
from device_worker.system import system_files

_CLASS = "/sys/class/powercap"
_MEMORY = "dram"
_PERIOD_S = 0.016  # 60 periods within the usual window of 1 s
_UPDATE_S = 0.001
_RESOLUTION_UJ = 61.0  # 2^-14 J, the unit of Intel since Sandy Bridge and of AMD
_ACCURACY_RATIO = 0.05  # nobody states one: what those found who measured beside it


class RaplSource(PowerSource):
    """The energy of all packages together, and of their memory, continued beyond the range of each counter."""

    kind = SourceKind.ENERGY_COUNTER
    period_s = _PERIOD_S
    update_s = _UPDATE_S
    accuracy_ratio = _ACCURACY_RATIO

    def __init__(self, domains: list[DomainCounter]) -> None:
        self._domains = domains
        # Figures with memory and without it must not pass for figures of one source.
        self.name = "rapl with dram" if any(domain.is_memory for domain in domains) else "rapl"
        self.resolution = _RESOLUTION_UJ * len(domains)

    def read(self) -> int | None:
        """Return the microjoules of all domains since the source was opened, or None for a failed reading.

        Raise Lost for a counter that was reset.
        """
        total = 0
        for domain in self._domains:
            energy_uj = domain.read()
            if energy_uj is None:
                return None
            total += energy_uj
        return total


class DomainCounter:
    """The counter of a package or of its memory. The counter begins at 0 again beyond its range, and may be reset."""

    def __init__(self, folder: str, name: str) -> None:
        self.energy_path = f"{folder}/energy_uj"
        self.is_memory = name == _MEMORY
        self._name = name
        self._range_uj = system_files.read_int(f"{folder}/max_energy_range_uj") or 0
        self._last_uj: int | None = None
        self._total_uj = 0

    def read(self) -> int | None:
        """Return the microjoules since the first reading, or None for a failed reading. Raise Lost after a reset."""
        now_uj = system_files.read_int(self.energy_path)
        if now_uj is None:
            return None
        last_uj, self._last_uj = self._last_uj, now_uj
        if last_uj is not None:
            step_uj = now_uj - last_uj
            if step_uj < 0:
                step_uj += self._range_uj
                # No package uses half the range between two readings: a larger step means a reset, not a wrap.
                if not 0 <= step_uj <= self._range_uj // 2:
                    raise Lost(f"the counter of {self._name} jumped back from {last_uj} to {now_uj} microjoules")
            self._total_uj += step_uj
        return self._total_uj


def open_source() -> RaplSource | None:
    """Return the source for all packages, or None without RAPL. Raise Unreadable if a counter cannot be read."""
    domains: list[DomainCounter] = []
    for folder in system_files.list_folder(_CLASS, "intel-rapl:"):
        name = system_files.read_text(f"{folder}/name") or ""
        # `intel-rapl:0` is a domain of its own, and `intel-rapl:0:0` is below that domain.
        if name.startswith("package") if folder.count(":") == 1 else name == _MEMORY:
            domains.append(DomainCounter(folder, name))
    for domain in domains:
        if domain.read() is None:
            raise Unreadable(explain_unreadable(domain.energy_path))
    return RaplSource(domains) if domains else None
