"""Carry a command's input and output over an SSH channel, without a thread or a timer.

stdout and stderr share the channel's window. If stderr were not read, a noisy command would stop sending both. A thread
that waits to read or to write therefore reads stderr in the meantime.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from paramiko import Channel, Transport

from orchestrator.domain.errors import LinkLost
from orchestrator.transport.base import BYTES_PER_S_MIN, Completed
from orchestrator.transport.command import READ_BYTES, STATUS_UNKNOWN, Tail
from orchestrator.transport.ssh.failures import EXPECTED, words

_WRITE_BYTES = 32 * 1024
_WRITE_SLICE_S = 0.2
_END_SLICE_S = 0.2
_READ_SLICES = 8
_READ_SLICE_S_MIN = 0.05
_DYING_S = 1.0


class _Bell(threading.Event):
    """Rings when bytes arrive on stdout or stderr, or when either ends.

    Both buffers of the channel set the same event. A buffer that is read empty also clears the event, which must not
    silence the other buffer. Only the reader silences the bell, before looking at both buffers.
    """

    def clear(self) -> None:
        """Ignore the call of a buffer that was read empty."""

    def silence(self) -> None:
        """Clear the event before a look at the buffers."""
        super().clear()


class SshStream:
    """A command running on the device, over the channel in which the command was started."""

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
        """Return what the command has printed, b"" once it has closed its stdout.

        Waiting is counted in slices, and a slice never counts for more than its own length. After this machine stood
        still, or was too busy to read, the next slices give paramiko's thread the time to read first.
        """
        left = timeout_s
        try:
            while True:
                self._bell.silence()
                over = self._channel.eof_received or self._channel.closed
                self._drain_stderr()
                if self._channel.recv_ready():
                    return self._channel.recv(size)
                if over:
                    return self._end_of_output()
                if left is None:
                    self._bell.wait()
                elif left <= 0:
                    raise LinkLost(f"nothing came for {timeout_s:g} s")
                else:
                    left -= self._wait(min(left, max((timeout_s or 0.0) / _READ_SLICES, _READ_SLICE_S_MIN)))
        except EXPECTED as error:
            raise self._lost(error) from error

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raise LinkLost if the device takes no data for `write_stall_s`, or takes too little.

        A slice of the wait never counts for more than its own length, as in `read`.
        """
        view = memoryview(data)
        # A device that reads byte by byte always makes progress, so that the whole has a limit too.
        left_s = self._write_stall_s + len(data) / BYTES_PER_S_MIN
        idle_s = 0.0
        with self._writing:
            began = time.monotonic()
            while view:
                sent = self._send(bytes(view[:_WRITE_BYTES]))
                view = view[sent:]
                now = time.monotonic()
                waited_s, began = min(now - began, _WRITE_SLICE_S), now
                idle_s = 0.0 if sent else idle_s + waited_s
                left_s -= waited_s
                if idle_s >= self._write_stall_s:
                    raise LinkLost(f"the device has taken no data for {self._write_stall_s:g} s")
                if view and left_s <= 0:
                    raise LinkLost(f"the device takes less than {BYTES_PER_S_MIN} bytes a second")

    def end(self) -> Completed:
        """Close the command's input, drop further output, and return the command's end."""
        return self.finish(self._end_timeout_s)

    def close_input(self) -> None:
        """Close the command's input."""
        try:
            self._channel.shutdown_write()
        except EXPECTED as error:
            raise self._lost(error) from error

    def finish(self, timeout_s: float) -> Completed:
        """End as `end`, but wait at most `timeout_s`."""
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
        """Close the channel at once. The command may go on."""
        self.finish(0.0)

    def _wait(self, slice_s: float) -> float:
        """Wait for the bell, and return the seconds of the wait, at most `slice_s`."""
        began = time.monotonic()
        self._bell.wait(slice_s)
        return min(time.monotonic() - began, slice_s)

    def _send(self, data: bytes) -> int:
        """Send as much as fits the channel's window, and return the count of bytes, 0 after a wait in vain."""
        try:
            sent = self._channel.send(data)
        except TimeoutError:
            self._drain_stderr()
            return 0
        except EXPECTED as error:
            raise self._lost(error) from error
        if not sent:  # the channel is closed
            raise self._lost(None)
        return sent

    def _drain_stderr(self) -> None:
        with self._draining:
            while self._channel.recv_stderr_ready():
                self._tail.add(self._channel.recv_stderr(READ_BYTES))

    def _end_of_output(self) -> bytes:
        """Return b"" if the command has ended, or raise LinkLost if the link has."""
        # sshd announces the end of a command, and a cut link announces no end.
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
