"""Run one trial process and say how it ended, whatever it does.

The runner only sleeps while a trial runs: output is taken in as bytes and understood afterwards, so that nothing of
ours competes with what is measured. Where the device has a power source, a thread reads it now and then.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import time

from device_worker import system_files
from device_worker.containment import Containment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from device_worker.power.sampler import Sampler
    from device_worker.wakeups import SignalWakeups

STDOUT_BYTES_MAX = 64 << 20
STDERR_TAIL_BYTES = 4096
_READ_BYTES = 1 << 16
_PIPE_BYTES_MAX = 1 << 20
_DEATH_S_MAX = 5.0


class Launch:
    """What to start, and within which limits; `memory_bytes` and `cpus` are None where there is none."""

    __slots__ = ("argv", "cpus", "cwd", "environment", "memory_bytes", "stdin_path", "timeout_s")

    def __init__(self, argv: list[str], cwd: str, environment: dict[str, str], stdin_path: str) -> None:
        self.argv = argv
        self.cwd = cwd
        self.environment = environment
        self.stdin_path = stdin_path
        self.timeout_s = 120.0
        self.memory_bytes: int | None = None
        self.cpus: frozenset[int] | None = None


class EndedBy:
    """Why the runner ended a trial process, where it did."""

    TIMEOUT = "timeout"
    STOP = "stop"
    OUTPUT = "output"


class Ending:
    """How a trial process ended: `status` is its exit code, or minus its signal; None if it never started or died."""

    __slots__ = ("duration_ns", "ended_by", "oom_kills", "start_error", "status", "stderr_tail", "stdout")

    def __init__(self) -> None:
        self.status: int | None = None
        self.ended_by: str | None = None
        self.start_error: str | None = None
        self.oom_kills = 0
        self.duration_ns = 0
        self.stdout = bytearray()
        self.stderr_tail = bytearray()


def run_process(
    launch: Launch, wakeups: SignalWakeups, containment: Containment, sampler: Sampler | None = None
) -> Ending:
    """Run one process to its end, and leave none of its descendants behind; the sampler records meanwhile."""
    ending = Ending()
    oom_kills_before = read_oom_kills()
    begin = time.monotonic_ns()
    try:
        process = _spawn(launch, containment)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        ending.start_error = f"{launch.argv[0]}: {error}"
        return ending
    supervision = _Supervision(process, launch, wakeups, containment, ending)
    if sampler is not None:
        sampler.begin(launch.cpus)
    try:
        supervision.run()
    finally:
        if sampler is not None:
            sampler.end()
    ending.duration_ns = time.monotonic_ns() - begin
    ending.oom_kills = max(0, read_oom_kills() - oom_kills_before)
    return ending


def read_oom_kills() -> int:
    """Return how many processes the kernel has killed for memory since boot, as far as it says."""
    for line in (system_files.read_text("/proc/vmstat") or "").split("\n"):
        if line.startswith("oom_kill "):
            return system_files.parse_int(line.partition(" ")[2]) or 0
    return 0


def _spawn(launch: Launch, containment: Containment) -> subprocess.Popen[bytes]:
    with open(launch.stdin_path, "rb") as stdin:
        return subprocess.Popen(
            launch.argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=launch.cwd,
            env=launch.environment,
            start_new_session=True,
            preexec_fn=_confinement(launch, containment),  # the runner has one thread now, so this is safe
        )


def _confinement(launch: Launch, containment: Containment) -> Callable[[], None]:
    runner = os.getpid()

    def confine() -> None:
        containment.die_with(runner)
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("1000")  # if memory runs out, this process and no other
        except OSError:
            pass
        if launch.cpus:
            os.sched_setaffinity(0, launch.cpus)
        if launch.memory_bytes is not None:
            _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            limit = launch.memory_bytes if hard == resource.RLIM_INFINITY else min(launch.memory_bytes, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))

    return confine


class _Supervision:
    """Watch one process: its output, its time, its end, and the wish of others to end it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        launch: Launch,
        wakeups: SignalWakeups,
        containment: Containment,
        ending: Ending,
    ) -> None:
        self._process = process
        self._wakeups = wakeups
        self._containment = containment
        self._ending = ending
        self._deadline = time.monotonic() + launch.timeout_s
        self._death_deadline: float | None = None
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes = [process.stdout.fileno(), process.stderr.fileno()]
        self._stdout_fd = self._pipes[0]
        for fd in self._pipes:
            os.set_blocking(fd, False)

    def run(self) -> None:
        try:
            while not self._has_ended() and not self._has_outlived_kill():
                self._enforce()
                for fd in select.select([*self._pipes, self._wakeups.fd], [], [], self._remaining_s())[0]:
                    self._take(fd)
        finally:
            self._containment.kill_group(self._process.pid)
            if self._has_ended():
                self._ending.status = self._process.wait()
            else:
                self._process.returncode = -signal.SIGKILL  # stuck in the kernel: it will die, but unseen
            self._containment.kill_orphans()
            for fd in self._pipes:
                self._drain(fd)
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _has_outlived_kill(self) -> bool:
        return self._death_deadline is not None and time.monotonic() >= self._death_deadline

    def _enforce(self) -> None:
        if self._death_deadline is not None:
            return
        if self._wakeups.is_stopping:
            self._kill(EndedBy.STOP)
        elif time.monotonic() >= self._deadline:
            self._kill(EndedBy.TIMEOUT)
        elif len(self._ending.stdout) > STDOUT_BYTES_MAX:
            self._kill(EndedBy.OUTPUT)

    def _kill(self, reason: str) -> None:
        self._ending.ended_by = reason
        self._death_deadline = time.monotonic() + _DEATH_S_MAX
        self._containment.kill_group(self._process.pid)

    def _remaining_s(self) -> float:
        deadline = self._deadline if self._death_deadline is None else self._death_deadline
        return max(0.0, deadline - time.monotonic())

    def _take(self, fd: int) -> None:
        if fd == self._wakeups.fd:
            self._wakeups.drain()
        elif self._read(fd) == b"":
            self._pipes.remove(fd)

    def _drain(self, fd: int) -> None:
        """Take in what the process left in a pipe, but no more than a pipe holds: an escaped writer never ends."""
        for _ in range(_PIPE_BYTES_MAX // _READ_BYTES):
            if not self._read(fd):
                break

    def _read(self, fd: int) -> bytes | None:
        """Take in what is there; return b"" at the end of the pipe, None where nothing more is there yet."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return None
        if fd == self._stdout_fd:
            self._ending.stdout += data
        else:
            self._ending.stderr_tail += data
            del self._ending.stderr_tail[:-STDERR_TAIL_BYTES]
        return data
