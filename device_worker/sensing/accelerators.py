"""Find accelerators, and the shared libraries that programs reach them by, without loading any of the libraries."""

from __future__ import annotations

from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_NVIDIA_FILES = ("/dev/nvhost-gpu", "/dev/nvgpu", "/dev/dxg", "/proc/driver/nvidia/version")
"""Of Jetsons (the first two), of Linux under Windows, and of any driver."""

_EDGETPU_USB = (("1a6e", "089a"), ("18d1", "9302"))
"""Vendor and product of a USB accelerator: before its first use, and after that."""

_STEMS = ("libcuda.so", "libcudnn.so", "libnvinfer.so", "libedgetpu.so")
_NAMES_MAX = 100


def read_accelerators() -> dict[str, list[str]]:
    """Return by kind (`nvidia`, `edgetpu`) where the system shows accelerators; [] for none."""
    return {"nvidia": sorted(_nvidia()), "edgetpu": sorted(_edgetpus())}


def read_libraries() -> list[str] | None:
    """Return the accelerators' libraries that the dynamic loader finds by name, or None if nobody tells."""
    listed = system_files.run_program("ldconfig", "-p")
    if listed is None:
        return None
    names = {line.split()[0] for line in listed.split("\n") if line.strip()}
    return sorted(name for name in names if name.startswith(_STEMS))[:_NAMES_MAX]


def _nvidia() -> Iterator[str]:
    for path in system_files.list_folder("/dev", "nvidia"):
        if path[len("/dev/nvidia") :].isdigit():
            yield path
    for path in _NVIDIA_FILES:
        if system_files.exists(path):
            yield path


def _edgetpus() -> Iterator[str]:
    yield from system_files.list_folder("/dev", "apex_")
    for folder in system_files.list_folder("/sys/bus/usb/devices"):
        ids = (system_files.read_text(f"{folder}/idVendor"), system_files.read_text(f"{folder}/idProduct"))
        if ids in _EDGETPU_USB:
            yield folder
