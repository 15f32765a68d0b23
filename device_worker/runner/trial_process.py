"""Run a trial process to the end, and return how the process ended.

The runner sleeps while a trial runs, and must not compete with the measured process. Output is therefore collected as
bytes and parsed after the end. On a device with a power source, a thread reads the source at its period.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import time

from device_worker.protocol.vocabulary import STARTED_VARIABLE
from device_worker.system import system_files
from device_worker.system.containment import Containment
from device_worker.system.executables import explain_refusal, find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence, Union

    from device_worker.sensing.clocks import ClockWatch
    from device_worker.sensing.power.sampler import Sampler
    from device_worker.sensing.temperature_watch import TemperatureWatch
    from device_worker.system.survivors import Leftover
    from device_worker.system.wakeups import SignalWakeups

    Watch = Union[ClockWatch, TemperatureWatch]

STDOUT_BYTES_MAX = 64 << 20
STDERR_TAIL_BYTES = 4096
_READ_BYTES = 1 << 16
_PIPE_BYTES_MAX = 1 << 20
_DEATH_S_MAX = 5.0


class TrialCommand:
    """The command to start, with environment and limits. `memory_bytes` and `cpus` are None for no limit.

    The process inherits the open files in `kept_fds`.
    """

    __slots__ = ("argv", "cpus", "cwd", "environment", "kept_fds", "memory_bytes", "stdin_path", "timeout_s")

    def __init__(self, argv: list[str], cwd: str, environment: dict[str, str], stdin_path: str) -> None:
        self.argv = argv
        self.cwd = cwd
        self.environment = environment
        self.stdin_path = stdin_path
        self.kept_fds: tuple[int, ...] = ()
        self.timeout_s = 120.0
        self.memory_bytes: int | None = None
        self.cpus: frozenset[int] | None = None


class EndedBy:
    """Reasons of the runner to end a trial process: time limit, stop of the run, too much output."""

    TIMEOUT = "timeout"
    STOP = "stop"
    OUTPUT = "output"


class Ending:
    """The end of a trial process.

    `status` is the exit code, or minus the signal's number. None means that the process never started, or never died.
    `oom_kills` counts the processes that the kernel has killed for lack of memory in the meantime. `survivors` are the
    processes of the trial that could not be ended.
    """

    __slots__ = ("duration_ns", "ended_by", "oom_kills", "start_error", "status", "stderr_tail", "stdout", "survivors")

    def __init__(self) -> None:
        self.status: int | None = None
        self.ended_by: str | None = None
        self.start_error: str | None = None
        self.oom_kills = 0
        self.duration_ns = 0
        self.stdout = bytearray()
        self.stderr_tail = bytearray()
        self.survivors: list[Leftover] = []


def run_process(
    launch: TrialCommand,
    wakeups: SignalWakeups,
    containment: Containment,
    sampler: Sampler | None = None,
    watches: Sequence[Watch] = (),
) -> Ending:
    """Run a process to the end, and kill all descendants. The sampler records power, and `watches` what they watch."""
    ending = Ending()
    oom_kills_before = read_oom_kills()
    begin = time.monotonic_ns()
    try:
        process = _spawn(launch, containment)
    except OSError as error:
        path = find_program(launch.argv[0], launch.cwd, launch.environment)
        reason = explain_refusal(path, error)
        ending.start_error = (
            f"{launch.argv[0]}: {reason} ({error.strerror})" if reason else f"{launch.argv[0]}: {error}"
        )
        return ending
    except (subprocess.SubprocessError, ValueError) as error:
        ending.start_error = f"{launch.argv[0]}: {error}"
        return ending
    supervision = _Supervision(process, launch, wakeups, containment, ending)
    supervision.watches = watches
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
    """Return the number of processes killed by the kernel for lack of memory since boot, 0 if unknown.

    Source: `oom_kill` in /proc/vmstat, since Linux 4.13.
    """
    _, _, count = ("\n" + (system_files.read_text("/proc/vmstat") or "")).partition("\noom_kill ")
    return system_files.parse_int(count.partition("\n")[0]) or 0


def _spawn(launch: TrialCommand, containment: Containment) -> subprocess.Popen[bytes]:
    with open(launch.stdin_path, "rb") as stdin:
        started = {STARTED_VARIABLE: str(time.monotonic_ns())}
        return subprocess.Popen(
            launch.argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=launch.cwd,
            env=dict(launch.environment, **started),
            start_new_session=True,
            # The machine stays locked until the last trial of a killed runner has ended.
            pass_fds=launch.kept_fds,
            # Safe beside a thread that reads a sensor: the fork holds the interpreter's lock, and the child has the
            # forking thread alone. `confine` takes no other lock of the parent, and imports nothing.
            preexec_fn=_confinement(launch, containment),
        )


def _confinement(launch: TrialCommand, containment: Containment) -> Callable[[], None]:
    runner = os.getpid()

    def confine() -> None:
        containment.bind_self(runner)
        if launch.cpus:
            os.sched_setaffinity(0, launch.cpus)
        if launch.memory_bytes is not None:
            _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            # Counts private writable memory, and not mapped model files: setrlimit(2), since Linux 4.7.
            limit = launch.memory_bytes if hard == resource.RLIM_INFINITY else min(launch.memory_bytes, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))

    return confine


class _Supervision:
    """Watches a process: output, time limit, end, and a stop of the run."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        launch: TrialCommand,
        wakeups: SignalWakeups,
        containment: Containment,
        ending: Ending,
    ) -> None:
        self._process = process
        self._wakeups = wakeups
        self._containment = containment
        self._ending = ending
        self.watches: Sequence[Watch] = ()
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
            # The process is not reaped before its group is killed: a reaped number may belong to another process.
            while not self._has_ended() and not self._has_outlived_kill():
                self._enforce()
                for fd in select.select([*self._pipes, self._wakeups.fd], [], [], self._pause_s())[0]:
                    self._take(fd)
                for watch in self.watches:
                    watch.observe(self._process.pid)
        finally:
            self._containment.kill_group(self._process.pid)
            if self._has_ended():
                self._ending.status = self._process.wait()
            else:
                self._process.returncode = -signal.SIGKILL  # not ours to kill, or stuck: Popen must not wait for it
            self._containment.end_trial()
            self._ending.survivors = self._containment.survivors
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

    def _pause_s(self) -> float:
        return min([watch.period_s for watch in self.watches] + [self._remaining_s()])

    def _remaining_s(self) -> float:
        deadline = self._deadline if self._death_deadline is None else self._death_deadline
        return max(0.0, deadline - time.monotonic())

    def _take(self, fd: int) -> None:
        if fd == self._wakeups.fd:
            self._wakeups.drain()
        elif self._read(fd) == b"":
            self._pipes.remove(fd)

    def _drain(self, fd: int) -> None:
        """Read the rest of a pipe, at most as much as a pipe can hold."""
        # Bounded: a descendant that has escaped may write forever.
        for _ in range(_PIPE_BYTES_MAX // _READ_BYTES):
            if not self._read(fd):
                break

    def _read(self, fd: int) -> bytes | None:
        """Read from a pipe into the ending. Return b"" at the end of the pipe, or None if no bytes are there yet."""
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
