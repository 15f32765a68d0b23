"""A command's input and output over one SSH channel, without a thread or a timer of its own.

stdout and stderr share the channel's window: if nobody takes stderr, a noisy command stops sending either. So whoever
waits here, to read or to write, takes stderr meanwhile.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from paramiko import Channel, Transport

from orchestrator.domain.errors import LinkLost
from orchestrator.transport.base import Completed
from orchestrator.transport.command import READ_BYTES, STATUS_UNKNOWN, Tail
from orchestrator.transport.ssh.failures import EXPECTED, words

_WRITE_BYTES = 32 * 1024
_WRITE_SLICE_S = 0.2
_END_SLICE_S = 0.2
_DYING_S = 1.0


class _Bell(threading.Event):
    """Rings when something arrives on stdout or stderr, or either ends.

    Both of the channel's buffers set this one event. They also clear it when they are read empty, which must not
    silence the other: only the reader does that, before it looks.
    """

    def clear(self) -> None:
        """Take no notice of a buffer that was read empty."""

    def silence(self) -> None:
        """Forget what has happened, in order to look."""
        super().clear()


class SshStream:
    """A command that runs on the device; made once its channel has taken the command."""

    def __init__(self, channel: Channel, transport: Transport, *, end_timeout_s: float, write_stall_s: float) -> None:
        self._channel = channel
        self._transport = transport
        self._end_timeout_s = end_timeout_s
        self._write_stall_s = write_stall_s
        self._tail = Tail()
        self._bell = _Bell()
        self._draining, self._writing, self._finishing = threading.Lock(), threading.Lock(), threading.Lock()
        self._ended_here = False
        self._completed: Completed | None = None
        channel.settimeout(_WRITE_SLICE_S)  # of writes: reads here happen only when there is something to read
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """Return what the command has printed, b"" once it has closed its stdout."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while True:
                self._bell.silence()
                over = self._channel.eof_received or self._channel.closed
                self._drain_stderr()
                if self._channel.recv_ready():
                    return self._channel.recv(size)
                if over:
                    return self._end_of_output()
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise LinkLost(f"nothing came for {timeout_s:g} s")
                self._bell.wait(left)
        except EXPECTED as error:
            raise self._lost(error) from error

    def write(self, data: bytes) -> None:
        """Send all of `data`; a command that takes nothing for long counts as lost."""
        view = memoryview(data)
        with self._writing:
            progress = time.monotonic()
            while view:
                sent = self._send(bytes(view[:_WRITE_BYTES]))
                view = view[sent:]
                if sent:
                    progress = time.monotonic()
                elif time.monotonic() - progress >= self._write_stall_s:
                    raise LinkLost(f"the device has taken no data for {self._write_stall_s:g} s")

    def end(self) -> Completed:
        """End the command's input, drop what it still prints, and return how it ended."""
        return self.finish(self._end_timeout_s)

    def close_input(self) -> None:
        """Let the command see the end of its input."""
        try:
            self._channel.shutdown_write()
        except EXPECTED as error:
            raise self._lost(error) from error

    def finish(self, timeout_s: float) -> Completed:
        """End as `end` does, with another bound."""
        with self._finishing:
            if self._completed is None:
                self._ended_here = True
                with suppress(*EXPECTED):
                    self._finish(time.monotonic() + timeout_s)
                status = self._channel.exit_status
                with suppress(*EXPECTED):
                    self._channel.close()
                self._completed = Completed(STATUS_UNKNOWN if status is None else status, b"", bytes(self._tail))
            return self._completed

    def abandon(self) -> None:
        """Close the channel; what the command does then is its own affair."""
        self.finish(0.0)

    def _send(self, data: bytes) -> int:
        """Send what the window has room for; 0 if there was none for a while."""
        try:
            sent = self._channel.send(data)
        except TimeoutError:
            self._drain_stderr()
            return 0
        except EXPECTED as error:
            raise self._lost(error) from error
        if not sent:
            raise self._lost(None)
        return sent

    def _drain_stderr(self) -> None:
        with self._draining:
            while self._channel.recv_stderr_ready():
                self._tail.add(self._channel.recv_stderr(READ_BYTES))

    def _end_of_output(self) -> bytes:
        """Tell a command that has ended from a link that has: sshd announces the former."""
        if self._ended_here:
            raise LinkLost("the stream was ended")
        if self._channel.eof_received or self._channel.exit_status != STATUS_UNKNOWN:
            return b""
        self._transport.join(_DYING_S)  # a dying transport closes its channels first, and is inactive only then
        if self._transport.is_active():
            return b""
        raise self._lost(self._transport.get_exception())

    def _finish(self, deadline: float) -> None:
        self._channel.shutdown_write()
        while True:
            self._bell.silence()
            over = self._channel.closed or (self._channel.eof_received and self._channel.exit_status_ready())
            self._drain_stderr()
            while self._channel.recv_ready():
                self._channel.recv(READ_BYTES)
            left = deadline - time.monotonic()
            if over or left <= 0:
                return
            self._bell.wait(min(left, _END_SLICE_S))

    def _lost(self, error: BaseException | None) -> LinkLost:
        said = words(error) or words(self._transport.get_exception())
        return LinkLost("the connection was lost" + (f": {said}" if said else ""))
