"""Disks that are small or cannot be written: real file systems, mounted for a test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def may_mount() -> bool:
    """Whether this user can mount a disk of its own."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount an empty disk of this size on `folder`; skips where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    if not may_mount():
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def make_read_only(disk: Path) -> None:
    """Let nobody write to a mounted disk any more, not even root."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def fill(file: Path, bytes_left: int = 0) -> None:
    """Let a file take all the room that its disk has left, but for so many bytes in whole pages."""
    with file.open("ab", buffering=0) as filler:
        for size in (1 << 20, 1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while filler.write(b"\1" * size) == size:
                    pass
    os.truncate(file, max(0, file.stat().st_size - bytes_left))
