"""Reach the controller's own machine as a device: commands are processes out of reach of the terminal's Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.device import Device
from orchestrator.domain.errors import LinkLost, Unreachable
from orchestrator.transport.base import BYTES_PER_S_MIN, Completed
from orchestrator.transport.command import (
    END_TIMEOUT_S,
    READ_BYTES,
    STATUS_UNKNOWN,
    WRITE_STALL_S,
    Tail,
    command_line,
    run_to_end,
)
from orchestrator.transport.settings import TransportSettings

_SIGNAL_STATUS = 128


@dataclass(frozen=True, slots=True)
class LocalConnector:
    """Opens transports to the controller's own machine."""

    end_timeout_s: float = END_TIMEOUT_S
    write_stall_s: float = WRITE_STALL_S

    def connect(self, device: Device) -> LocalTransport:
        """Return a transport. Never raises, since there is no connection."""
        return LocalTransport(device.name, self)


def connector(settings: TransportSettings) -> LocalConnector:
    """Return the connector. No setting applies."""
    return LocalConnector()


class LocalTransport:
    """Starts commands on the controller's machine, each in a session of its own and in the home directory.

    `prepare` is called in the thread that is about to start a command.
    """

    def __init__(self, device: str, settings: LocalConnector, prepare: Callable[[], None] = lambda: None) -> None:
        self._device = device
        self._settings = settings
        self._prepare = prepare
        self._streams: list[LocalStream] = []
        self._lock = threading.Lock()
        self._closed = False

    def stream(self, argv: Sequence[str]) -> LocalStream:
        """Start a command. A missing program ends with status 127, as in a shell."""
        command_line(argv)  # raises for the same vectors as every other transport
        with self._lock:
            if self._closed:
                raise LinkLost("the connection was closed", device=self._device)
            self._streams = [stream for stream in self._streams if not stream.ended]
            stream = LocalStream(self._start(argv), self._settings)
            self._streams.append(stream)
        return stream

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> Completed:
        """Run a short command to the end, and kill the command after `timeout_s`."""
        return run_to_end(self.stream(argv), timeout_s)

    def close(self) -> None:
        """Close the input of all running commands, and kill commands that do not end by themselves."""
        with self._lock:
            self._closed = True
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.end()

    def _start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        self._prepare()
        home = Path.home()
        try:
            return subprocess.Popen(
                # By a shell, so that a missing program ends with status 127 as over SSH. No word of `argv` is parsed.
                ["/bin/sh", "-c", 'exec "$@"', "sh", *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=home if home.is_dir() else "/",
                start_new_session=True,  # Ctrl-C in the terminal signals the controller's process group only
                env=_environment(),
            )
        except OSError as error:
            raise Unreachable(f"no process can be started: {error.strerror}", device=self._device) from error


class LocalStream:
    """The pipes of a process. No method blocks on a pipe while another pipe needs service."""

    def __init__(self, process: subprocess.Popen[bytes], settings: LocalConnector) -> None:
        self._process = process
        self._settings = settings
        pipes = (process.stdin, process.stdout, process.stderr)
        self._stdin, self._stdout, self._stderr = (pipe.fileno() for pipe in pipes if pipe is not None)
        for descriptor in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(descriptor, False)
        self._wake_reading, self._wake_writing = os.pipe()  # wakes a waiting thread at the end of the stream
        self._tail = Tail()
        self._stderr_open = True
        self._input_open = True
        self._ending = False
        self._completed: Completed | None = None
        self._reading, self._writing, self._draining = threading.Lock(), threading.Lock(), threading.Lock()
        self._interrupting, self._finishing = threading.Lock(), threading.Lock()

    @property
    def ended(self) -> bool:
        """Whether the process is reaped and all pipes are closed."""
        return self._completed is not None

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """Return the next bytes of stdout, b"" at the end. Drain stderr in the meantime."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._reading:
            while True:
                self._fail_if_ending()
                ready = self._poll(self._stdout, select.POLLIN, deadline)
                self._fail_if_ending()  # `end` in another thread closes the output too: no true end of the output
                if self._stdout in ready:
                    with suppress(BlockingIOError):
                        return os.read(self._stdout, size)
                elif deadline is not None and time.monotonic() >= deadline:
                    raise LinkLost(f"nothing came for {timeout_s:g} s")

    def write(self, data: bytes) -> None:
        """Write all of `data` to the process's standard input."""
        view = memoryview(data)
        with self._writing:
            stall_s = self._settings.write_stall_s
            deadline = time.monotonic() + stall_s
            overdue = deadline + len(data) / BYTES_PER_S_MIN
            while view:
                self._fail_if_ending()
                ready = self._poll(self._stdin, select.POLLOUT, min(deadline, overdue))
                if self._stdin in ready:
                    view = view[self._send(view) :]
                    deadline = time.monotonic() + stall_s
                elif time.monotonic() >= overdue:  # a command that reads byte by byte always makes progress
                    raise LinkLost(f"the command reads less than {BYTES_PER_S_MIN} bytes a second")
                elif time.monotonic() >= deadline:
                    raise LinkLost(f"the command has read none of its input for {stall_s:g} s")

    def end(self) -> Completed:
        """Close both directions, wait for the process, then kill the process and its session. Return its end."""
        return self.finish(self._settings.end_timeout_s)

    def close_input(self) -> None:
        """Close the process's standard input."""
        with self._writing:
            if self._input_open and self._process.stdin is not None:
                self._input_open = False
                self._process.stdin.close()

    def finish(self, timeout_s: float) -> Completed:
        """End as `end`, but wait at most `timeout_s`."""
        self._interrupt()
        with self._finishing:
            if self._completed is None:
                self.close_input()
                with self._reading:
                    self._completed = self._finish(time.monotonic() + timeout_s)
            return self._completed

    def abandon(self) -> None:
        """Kill the process and all other processes of its session."""
        self.finish(0.0)

    def _fail_if_ending(self) -> None:
        if self._ending:
            raise LinkLost("the stream was ended")

    def _interrupt(self) -> None:
        """Wake a reading or writing thread with LinkLost."""
        with self._interrupting:
            if not self._ending:
                self._ending = True
                os.write(self._wake_writing, b"!")

    def _send(self, view: memoryview) -> int:
        try:
            return os.write(self._stdin, view[:READ_BYTES])
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LinkLost("the command has closed its input") from error

    def _poll(self, descriptor: int, events: int, deadline: float | None) -> set[int]:
        """Wait until `descriptor` is ready, the stream is ended or the deadline has passed. Drain stderr meanwhile.

        Return the ready descriptors.
        """
        poll = select.poll()
        poll.register(descriptor, events)
        poll.register(self._wake_reading, select.POLLIN)
        if self._stderr_open:
            poll.register(self._stderr, select.POLLIN)
        wait_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = {found for found, _ in poll.poll(wait_ms)}
        if self._stderr in ready:
            self._drain_stderr()
        return ready

    def _drain_stderr(self) -> None:
        with self._draining, suppress(BlockingIOError):
            while self._stderr_open:
                data = os.read(self._stderr, READ_BYTES)
                self._tail.add(data)
                self._stderr_open = bool(data)

    def _finish(self, deadline: float) -> Completed:
        """Read both outputs to the end and reap the process. Kill the process at the deadline."""
        stdout_open = True
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        poll.register(self._stderr, select.POLLIN)
        while stdout_open and (left := deadline - time.monotonic()) > 0:
            ready = {found for found, _ in poll.poll(left * 1000)}
            if self._stderr in ready:
                self._drain_stderr()
                if not self._stderr_open:
                    poll.unregister(self._stderr)
            if self._stdout in ready:
                with suppress(BlockingIOError):
                    stdout_open = bool(os.read(self._stdout, READ_BYTES))
        status = self._reap(deadline)
        self._drain_stderr()
        self._close_descriptors()
        return Completed(status, b"", bytes(self._tail))

    def _reap(self, deadline: float) -> int:
        try:
            status = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            return STATUS_UNKNOWN
        return status if status >= 0 else _SIGNAL_STATUS - status  # 128 plus the signal, as a shell reports

    def _close_descriptors(self) -> None:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        with self._writing:
            os.close(self._wake_reading)
            os.close(self._wake_writing)


def _environment() -> dict[str, str]:
    """Return the environment of a login on the controller's machine, without the controller's own settings.

    BENCHFLEET_SYSFS_ROOT is kept, since the variable is the worker's: the root of recorded sensors.
    """
    # The settings may hold a database's password, and Ray's the token of a cluster, neither of which is for the
    # programs of trials.
    own, kept = ("BENCHFLEET_", "RAY_"), "BENCHFLEET_SYSFS_ROOT"
    return {name: value for name, value in os.environ.items() if not name.startswith(own) or name == kept}
