"""Read the energy or the power of NVIDIA GPUs by the driver's own library, NVML.

By ctypes, since a worker has the standard library alone. Source: NVML API reference (nvml.h): millijoules since the
driver was loaded (Volta and later), else milliwatts, which are the mean of a second since Ampere.
"""

from __future__ import annotations

import _thread
import os

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.base import Lost, PowerSource, Unreadable
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    from typing import Callable

_LIBRARY = "libnvidia-ml.so.1"
_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
)
_NAME_BYTES = 96
_UNITS_PER_MILLI = 1000
_PERIOD_S = 0.05
_UPDATE_S = 0.1
_MEAN_PERIOD_S = 1.0
_AMPERE = 8
_ACCURACY_RATIO = 0.05  # the reference: within 5 %
_REASONS = {
    2: "invalid argument",
    3: "not supported",
    4: "no permission",
    9: "the driver is not loaded",
    15: "the GPU is lost",
}


class NvmlError(Exception):
    """The library refused a call. The message says why."""


class Library:
    """The functions of NVML that are needed here, with an error raised for each refusal."""

    def __init__(self, path: str) -> None:
        import ctypes  # here: most devices have no GPU, and the import costs a slow device milliseconds

        self._ctypes = ctypes
        try:
            self._nvml = ctypes.CDLL(path)
        except OSError as error:
            raise NvmlError(str(error)) from None
        self._call("nvmlInit_v2")

    def restart(self) -> None:
        """Begin anew, with files of the calling thread."""
        try:
            self._call("nvmlShutdown")
        except NvmlError:  # whatever was wrong, it is over
            pass
        self._call("nvmlInit_v2")

    def devices(self) -> list[ctypes.c_void_p]:
        """Return the handle of each GPU."""
        handles = []
        for index in range(self._number("nvmlDeviceGetCount_v2", "c_uint")):
            handle = self._ctypes.c_void_p()
            self._call("nvmlDeviceGetHandleByIndex_v2", self._ctypes.c_uint(index), self._ctypes.byref(handle))
            handles.append(handle)
        return handles

    def name(self, device: ctypes.c_void_p) -> str:
        """Return the name of a GPU."""
        text = self._ctypes.create_string_buffer(_NAME_BYTES)
        self._call("nvmlDeviceGetName", device, text, self._ctypes.c_uint(_NAME_BYTES))
        return text.value.decode("utf-8", "replace")

    def generation(self, device: ctypes.c_void_p) -> int:
        """Return the major number of a GPU's compute capability."""
        major, minor = self._ctypes.c_int(), self._ctypes.c_int()
        byref = self._ctypes.byref
        self._call("nvmlDeviceGetCudaComputeCapability", device, byref(major), byref(minor))
        return major.value

    def energy_mj(self, device: ctypes.c_void_p) -> int:
        """Return the energy since the driver was loaded."""
        return self._number("nvmlDeviceGetTotalEnergyConsumption", "c_ulonglong", device)

    def power_mw(self, device: ctypes.c_void_p) -> int:
        """Return the present power."""
        return self._number("nvmlDeviceGetPowerUsage", "c_uint", device)

    def _number(self, function: str, kind: str, *arguments: ctypes.c_void_p) -> int:
        number = getattr(self._ctypes, kind)()
        self._call(function, *arguments, self._ctypes.byref(number))
        return int(number.value)

    def _call(self, function: str, *arguments: object) -> None:
        try:
            status = getattr(self._nvml, function)(*arguments)
        except AttributeError:
            raise NvmlError(f"this library has no {function}") from None
        if status:
            raise NvmlError(f"{function}: {_REASONS.get(status, f'error {status}')}")


class NvmlSource(PowerSource):
    """All GPUs of the device together, by energy counters or by gauges of power."""

    accuracy_ratio = _ACCURACY_RATIO
    resolution = float(_UNITS_PER_MILLI)

    def __init__(self, library: Library, devices: list[ctypes.c_void_p]) -> None:
        self._library = library
        self._devices = devices
        self._thread = _thread.get_ident()
        names = sorted({library.name(device) for device in devices})
        self.name = "nvml " + (f"{len(devices)} x " if len(devices) > 1 else "") + ", ".join(names)
        self._take: Callable[[ctypes.c_void_p], int] = library.energy_mj
        self._last = 0
        try:
            self._sum()
            self.kind, self.period_s, self.update_s = SourceKind.ENERGY_COUNTER, _PERIOD_S, _UPDATE_S
        except NvmlError:
            self._take = library.power_mw
            self._sum()
            self.is_mean = any(library.generation(device) >= _AMPERE for device in devices)
            self.kind = SourceKind.POWER_GAUGE
            self.period_s = self.update_s = _MEAN_PERIOD_S if self.is_mean else _UPDATE_S

    def read(self) -> int:
        """Return microjoules or microwatts of all GPUs. Raise Lost."""
        try:
            # The library keeps files open, and each thread that reads sensors has a table of open files of its own.
            if self._thread != _thread.get_ident():
                self._library.restart()
                self._devices = self._library.devices()
                self._thread = _thread.get_ident()
            value = self._sum() * _UNITS_PER_MILLI
        except NvmlError as error:
            raise Lost(str(error)) from None
        if self.kind == SourceKind.ENERGY_COUNTER:
            if value < self._last:
                raise Lost(f"the counter jumped back from {self._last} to {value} microjoules")
            self._last = value
        return value

    def _sum(self) -> int:
        return sum(self._take(device) for device in self._devices)


def open_source() -> NvmlSource | None:
    """Return the source, or None without an NVIDIA driver. Raise Unreadable if the driver tells nothing."""
    path = find_library()
    if path is None:
        return None
    try:
        library = Library(path)
        devices = library.devices()
        return NvmlSource(library, devices) if devices else None
    except NvmlError as error:
        raise Unreadable(str(error)) from None


def find_library() -> str | None:
    """Return the path of the driver's library, or None."""
    paths = (system_files.resolve(f"{folder}/{_LIBRARY}") for folder in _FOLDERS)
    return next((path for path in paths if os.path.exists(path)), None)
