"""Pythons of other processors, under user-mode emulation: Debian's own packages, unpacked into a folder.

Nothing is installed, and no kernel support is needed: `python3` of a root is a script that starts the emulator, so that
whatever starts it by its path, as the worker does with its trials, starts the emulator again.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_PYTHON = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "zlib1g", "libexpat1", "libffi8"),
    *("libgcc-s1", "libstdc++6", "libbz2-1.0", "liblzma5", "libssl3"),
)
_NUMPY = ("python3-numpy", "libblas3", "liblapack3", "libgfortran5")
"""There is no numpy for armv7l on the package index: such a board has its distribution's."""

_DEFAULT_LIBRARIES = ("blas/libblas.so.3", "lapack/liblapack.so.3")
"""What installing a package would link into the folder above."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Name a processor as Debian, the kernel and QEMU do, with the packages of a board's Python."""

    debian: str
    machine: str
    emulator: str
    libraries: str
    packages: tuple[str, ...]


ARM64 = Foreign("arm64", "aarch64", "qemu-aarch64-static", "aarch64-linux-gnu", _PYTHON)
ARMHF = Foreign("armhf", "armv7l", "qemu-arm-static", "arm-linux-gnueabihf", (*_PYTHON, *_NUMPY))


def foreign_python(foreign: Foreign, cache: Path) -> Path:
    """Return the path of a Python for another processor; skip the test where it cannot be had.

    `cache` keeps what was unpacked. Whoever comes second waits.
    """
    emulator = shutil.which(foreign.emulator)
    if emulator is None or shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip(f"no {foreign.emulator} here (apt-get install qemu-user-static)")
    root = cache / f"{foreign.debian}-root"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{foreign.debian}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            building = cache / f"{foreign.debian}-building"
            shutil.rmtree(building, ignore_errors=True)
            _unpack(foreign, building)
            (building / "root").rename(root)
            shutil.rmtree(building)
    python = root / "usr" / "bin" / "python3"
    real = python.with_name("python3.11")
    python.write_text(f'#!/bin/sh\nexec {emulator} -L "{root}" -0 "{python}" "{real}" "$@"\n')
    python.chmod(0o755)
    return python


def _unpack(foreign: Foreign, folder: Path) -> None:
    apt, debs, root = folder / "apt", folder / "debs", folder / "root"
    for one in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial", debs, root):
        one.mkdir(parents=True)
    (apt / "status").touch()
    settings = {
        "APT::Architecture": foreign.debian,
        "APT::Architectures": foreign.debian,
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
    }
    command = ["apt-get", "-q", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    for words in (["update"], ["download", *foreign.packages]):
        done = subprocess.run([*command, *words], cwd=debs, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"Debian's packages for {foreign.debian} cannot be had here: {done.stderr[-300:]}")
    for package in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    for library in _DEFAULT_LIBRARIES:
        if (root / "usr/lib" / foreign.libraries / library).exists():
            (root / "usr/lib" / foreign.libraries / Path(library).name).symlink_to(library)
