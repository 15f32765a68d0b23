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
_HELD_BACK_BITS = 0x08 | 0x20 | 0x40 | 0x80
"""Clocks are held down: by the hardware at all, by heat as software or hardware sees it, by the external supply."""
_THERMAL_POLICY = 1
_REASONS = {
    2: "invalid argument",
    3: "not supported",
    4: "no permission",
    9: "the driver is not loaded",
    15: "the GPU is lost",
}


_watched: int | None = None


def watch_only(index: int) -> None:
    """Read one GPU alone from now on, counted as nvidia-smi does: the one that the trials of this runner see."""
    global _watched
    _watched = index


class NvmlError(Exception):
    """The library refused a call. The message says why."""


class NvmlMissing(NvmlError):
    """The library is too old, or too new, for a call."""


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
        """Return the handle of each GPU that is read. Raise NvmlError if the one to be read is not there."""
        handles = []
        number = self._number("nvmlDeviceGetCount_v2", "c_uint")
        if _watched is not None and _watched >= number:
            raise NvmlError(f"there is no GPU {_watched}: the driver has {number}")
        for index in range(number) if _watched is None else (_watched,):
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

    def clock_reasons(self, device: ctypes.c_void_p) -> int:
        """Return the bits of why the clocks are as they are. Drivers before 535 have another name for the call."""
        try:
            return self._number("nvmlDeviceGetCurrentClocksEventReasons", "c_ulonglong", device)
        except NvmlMissing:
            return self._number("nvmlDeviceGetCurrentClocksThrottleReasons", "c_ulonglong", device)

    def thermal_violation_ns(self, device: ctypes.c_void_p) -> int:
        """Return how long heat has held the clocks down since the driver was loaded."""
        times = (self._ctypes.c_ulonglong * 2)()  # the time of the reading, and the time of the violation
        self._call("nvmlDeviceGetViolationStatus", device, self._ctypes.c_uint(_THERMAL_POLICY), times)
        return int(times[1])

    def _number(self, function: str, kind: str, *arguments: ctypes.c_void_p) -> int:
        number = getattr(self._ctypes, kind)()
        self._call(function, *arguments, self._ctypes.byref(number))
        return int(number.value)

    def _call(self, function: str, *arguments: object) -> None:
        try:
            status = getattr(self._nvml, function)(*arguments)
        except AttributeError:
            raise NvmlMissing(f"this library has no {function}") from None
        if status:
            raise NvmlError(f"{function}: {_REASONS.get(status, f'error {status}')}")


class NvmlSource(PowerSource):
    """All GPUs of the device together, or the one that trials see, by energy counters or by gauges of power."""

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


class GpuClocks:
    """Why the clocks of all GPUs of the device are as they are."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._devices = library.devices()
        self._thread = _thread.get_ident()

    @property
    def has_gpus(self) -> bool:
        """Whether the driver has a GPU at all."""
        return bool(self._devices)

    def read(self) -> tuple[bool, int | None]:
        """Return whether any GPU is held back now, and how long heat has done so, None if not counted.

        Raise NvmlError.
        """
        # As in NvmlSource: the library's files are those of a thread.
        if self._thread != _thread.get_ident():
            self._library.restart()
            self._devices = self._library.devices()
            self._thread = _thread.get_ident()
        is_now = any(self._library.clock_reasons(device) & _HELD_BACK_BITS for device in self._devices)
        try:
            return is_now, sum(self._library.thermal_violation_ns(device) for device in self._devices)
        except NvmlError:  # many GPUs count no violations, and bits are there all the same
            return is_now, None


def open_clocks() -> GpuClocks | None:
    """Return the clocks of the GPUs, or None without an NVIDIA driver or a GPU. Raise NvmlError."""
    path = find_library()
    if path is None:
        return None
    clocks = GpuClocks(Library(path))
    return clocks if clocks.has_gpus else None


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
