"""Play machines on this one. The worker's tests do so too, under Python 3.7.

A program that is shown a boot id of its own is on a machine of its own, as far as the worker can tell: the file that
stands for the boot id is what runners lock there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

_CLONE_NEWTIME = 0x80
_SHOW = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'


def leave_machine() -> None:
    """Give the processes that this one will start a machine lock of their own, where the kernel allows it.

    Otherwise whoever measures on this machine now would be waited for, and would be disturbed.
    """
    # In vain without privileges: the tests' devices share the machine with each other, but with no exclusive device.
    ctypes.CDLL(None).unshare(_CLONE_NEWTIME)


def played_machine(boot_id_file: Path) -> list[str]:
    """Return the words that start a program on the machine whose boot id stands in a file, made where it lacks.

    Whatever is started with the same file is on the same machine. Skip the test where namespaces are not allowed.
    """
    if not boot_id_file.exists():
        boot_id_file.write_text(f"{uuid.uuid4()}\n")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = ["unshare", "--mount", *user, "sh", "-c", _SHOW, str(boot_id_file)]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("namespaces cannot be made here")
    return words
