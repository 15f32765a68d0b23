"""Errors of the system in the state folder: the hint is about what failed, which is not always the folder."""

import errno
import os
import subprocess
import sys

import pytest

from device_worker.protocol.errors import from_os_error
from device_worker.protocol.vocabulary import ErrorKind
from worker_client import REPOSITORY


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, ErrorKind.DISK_FULL, "df -i"),
        (errno.EDQUOT, ErrorKind.DISK_FULL, "quota"),
        (errno.EACCES, ErrorKind.STATE_DIR, "owner, mode"),
        (errno.EIO, ErrorKind.STATE_DIR, "disk of the device fails"),
        (errno.EROFS, ErrorKind.STATE_DIR, "can only be read"),
        (errno.EMFILE, ErrorKind.STATE_DIR, "ulimit -n"),
        (errno.ENFILE, ErrorKind.STATE_DIR, "too many files open"),
        (errno.ENOMEM, ErrorKind.STATE_DIR, "out of memory"),
        (errno.EAGAIN, ErrorKind.STATE_DIR, "more processes"),
        (errno.ESTALE, ErrorKind.STATE_DIR, "network disk"),
    ],
)
def test_a_failed_system_call_blames_what_failed(number, kind, words):
    error = from_os_error(OSError(number, os.strerror(number), "/home/pi/state/lock"))
    assert (error.kind, "/home/pi/state/lock" in str(error)) == (kind, True)
    assert words in error.hint


def test_files_that_may_not_be_opened_any_more_are_not_the_state_folders_fault(tmp_path):
    """By the kernel's own refusal, in a process that may open no further file."""
    program = (
        "import resource, sys; from device_worker.protocol.errors import from_os_error\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "try: open(sys.argv[1], 'w')\n"
        "except OSError as error: print(from_os_error(error).hint)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=REPOSITORY, check=True)
    assert b"ulimit -n" in done.stdout
