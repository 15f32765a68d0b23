"""Start a process detached from the connection, and wait for a report of its start."""

from __future__ import annotations

import json
import os
import select

from device_worker.protocol.errors import WorkerError, from_os_error
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system.runner_log import log_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_REPORT_S_MAX = 60.0


class StartReport:
    """The only report of a detached process to the starting process."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def __call__(self, found: dict[str, Any]) -> None:
        """Send `found` as the report, unless a report was sent before."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.write(fd, json.dumps(found).encode("ascii") + b"\n")
            os.close(fd)


def run_detached(work: Callable[[StartReport], None], log_path: str) -> dict[str, Any]:
    """Run `work(report)` in a detached process, and return the report.

    The process has a session of its own, no open file of the caller and the working folder "/". Standard output and
    error are appended to `log_path`. Raise the WorkerError or OSError of a process that failed before the report, and
    WorkerError (RUNNER_FAILED) if no report comes within _REPORT_S_MAX seconds. Later errors go to the log alone.
    """
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            # Fork twice: the second process leads no session, gets no terminal by accident, and is reaped by init.
            if os.fork() == 0:
                _be_detached(work, write_fd, log_path)
        finally:
            os._exit(0)
    os.close(write_fd)
    try:
        os.waitpid(child, 0)
        report = _read_report(read_fd)
    finally:
        os.close(read_fd)
    if report is None:
        message = f"the runner ended, or took more than {_REPORT_S_MAX:g} s, before it began"
        raise WorkerError(ErrorKind.RUNNER_FAILED, message, f"read {log_path} on the device")
    if "error" in report:
        error = report["error"]
        raise WorkerError(error.pop("kind"), error.pop("message"), error.pop("hint", None), **error)
    return report


def _be_detached(work: Callable[[StartReport], None], write_fd: int, log_path: str) -> None:
    report = StartReport(write_fd)
    try:
        _let_go_of_files(write_fd, log_path)
        work(report)
    except WorkerError as error:
        report({"error": error.to_fields()})
    except OSError as error:
        log_exception()
        report({"error": from_os_error(error).to_fields()})
    except Exception as error:  # noqa: BLE001 the border of a process: without a report the caller would wait in vain
        log_exception()
        found = WorkerError(ErrorKind.RUNNER_FAILED, f"the runner failed: {error!r}", f"read {log_path} on the device")
        report({"error": found.to_fields()})
    finally:
        os._exit(0)


def _let_go_of_files(keep: int, log_path: str) -> None:
    os.umask(0o77)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    log_fd = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            try:
                os.close(int(name))
            except OSError:  # the descriptor of the listing itself, already closed
                pass


def _read_report(fd: int) -> dict[str, Any] | None:
    data = b""
    while select.select([fd], [], [], _REPORT_S_MAX)[0]:
        more = os.read(fd, 65536)
        data += more
        if not more or data.endswith(b"\n"):
            break
    try:
        found = json.loads(data.decode("ascii"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
