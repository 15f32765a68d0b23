"""Let one runner at a time measure on the machine, whichever user, state folder or container the runner belongs to.

The kernel has an object that every process of the machine can open and lock: the time namespace, which containers
share. The kernel ends a lock with the processes that have the lock's file open. docs/decisions/0024 has the reasons.
"""

from __future__ import annotations

import fcntl
import os
import time

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system.process_identity import BOOT_ID_PATH

_NAMESPACES = tuple(f"/proc/self/ns/{kind}" for kind in ("time", "user", "mnt"))
"""From the most shared to the least. Linux 5.6 brought `time`, which all processes of a kernel find and share.

Before, containers with users of their own find another file than the host. `mnt` differs per systemd sandbox too.
"""

_INODES = 10**12
"""The kernel keeps 15 characters of a process's name."""

_LAST_BREATH_S = 2.0
_PAUSE_S = 0.01


class MachineLock:
    """The machine's lock, taken by the calling process.

    Holders that are not `exclusive` share the lock with each other. Raise WorkerError (DEVICE_BUSY) if another process
    holds the lock, with the holders in `machine_holders`, as far as the device shows other users' processes. With
    `is_whole` every runner that the calling process can see is kept out, and not just those of a played machine.
    """

    def __init__(self, exclusive: bool = True, path: str | None = None) -> None:
        file = path or _find_file()
        self._is_played = file == BOOT_ID_PATH
        self.is_whole = exclusive and not self._is_played
        self.fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        deadline = time.monotonic() + _LAST_BREATH_S
        while True:
            try:
                fcntl.flock(self.fd, operation | fcntl.LOCK_NB)
                _show_as_holder(self.fd)
                return
            except BlockingIOError:
                from device_worker.state.machine_holders import MachineHolders  # a busy machine is rare, a start is not

                holders = MachineHolders(self.fd, _name_for(self.fd))
                # The processes of a killed runner need a moment to end, and hold the lock until then.
                if holders.surely or time.monotonic() > deadline:
                    refusal = holders.refusal(exclusive)
                    os.close(self.fd)
                    raise refusal from None
            except OSError:
                os.close(self.fd)
                raise
            time.sleep(_PAUSE_S)

    def may_hold(self, pid: int) -> bool:
        """Return True if a process may run on the lock's machine.

        /proc tells nothing of other users' processes. Those are taken to run here, but for a played machine.
        """
        try:
            found, own = os.stat(_file_of(pid)), os.fstat(self.fd)
        except OSError:
            return not self._is_played
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)

    def release(self) -> None:
        """Give up the lock, also in the name of processes that have inherited the lock's file."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


def _find_file() -> str:
    """Return the path of the lock's file. Raise WorkerError (RUNNER_FAILED) if /proc has no such file."""
    if _is_played():
        return BOOT_ID_PATH
    return _find_namespace()


def _find_namespace() -> str:
    for path in _NAMESPACES:
        if os.path.exists(path):
            return path
    message = "/proc shows no namespaces: no lock can keep other users' runners from measuring at the same time"
    raise WorkerError(ErrorKind.RUNNER_FAILED, message, "mount /proc on the device")


def _file_of(pid: int) -> str:
    """Return the path of the lock's file as another process sees the file."""
    root = f"/proc/{pid}/root"
    if _is_played(root):
        return root + BOOT_ID_PATH
    return _find_namespace().replace("/self/", f"/{pid}/")


def _is_played(root: str = "") -> bool:
    """Return True if somebody plays several machines on a kernel, by a file of their own over the kernel's boot id."""
    try:
        own = os.stat(root + BOOT_ID_PATH)
        # systemd-nspawn mounts a file without a name: such containers still share the processors of the machine.
        return own.st_dev != os.stat(root + "/proc").st_dev and own.st_nlink > 0
    except OSError:
        return False


def _show_as_holder(fd: int) -> None:
    """Name the calling process after the lock that it has taken, for other users to read in /proc/PID/comm."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(_name_for(fd))
    except OSError:  # a read-only /proc: other users are then told that nobody can tell
        pass


def _name_for(fd: int) -> str:
    return f"bf-{os.fstat(fd).st_ino % _INODES}"
