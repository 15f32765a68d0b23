"""Make any connector fail on purpose, at a stated byte."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, LinkLost, Unreachable
from orchestrator.transport.base import Completed, Connector, Stream, Transport


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refuse the connection."""

    error: DeviceError = field(default_factory=lambda: Unreachable("refused on purpose"))


@dataclass(frozen=True, slots=True)
class Cut:
    """Lose the connection after a number of bytes. The bytes before have arrived."""

    after_read_bytes: int | None = None
    after_written_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Fall silent after a number of bytes. The connection stays open, and takes written bytes."""

    after_read_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """Alter a single byte, after a number of written bytes."""

    after_written_bytes: int


Fault = Refusal | Cut | Silence | Damage | None
"""The fault of one connection, or None for a sound connection."""


class FaultyConnector:
    """Wrap a connector. The connections to a device have the faults in turn, and later connections none."""

    def __init__(self, inner: Connector, faults: Mapping[str, Sequence[Fault]] | None = None) -> None:
        self._inner = inner
        self._faults = {device: deque(planned) for device, planned in (faults or {}).items()}

    def connect(self, device: Device) -> Transport:
        """Connect by the wrapped connector, unless a refusal is due."""
        planned = self._faults.get(device.name)
        fault = planned.popleft() if planned else None
        if isinstance(fault, Refusal):
            raise fault.error
        return _FaultyTransport(self._inner.connect(device), fault)


class _FaultyTransport:
    """Count the bytes of all streams of one connection."""

    def __init__(self, inner: Transport, fault: Cut | Silence | Damage | None) -> None:
        self.inner = inner
        self._read_left = fault.after_read_bytes if isinstance(fault, Cut | Silence) else None
        self._damage_in = fault.after_written_bytes if isinstance(fault, Damage) else -1
        # A silent line takes bytes all the same: the kernel buffers what is written to a dead peer.
        self._write_left = fault.after_written_bytes if isinstance(fault, Cut) else None
        self._cuts = isinstance(fault, Cut)
        self._lock = threading.Lock()
        self.is_cut = False
        self.closed = threading.Event()

    def stream(self, argv: Sequence[str]) -> Stream:
        self.fail_if_cut()
        return _FaultyStream(self.inner.stream(argv), self)

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> Completed:
        self.fail_if_cut()
        return self.inner.run(argv, timeout_s)

    def close(self) -> None:
        self.closed.set()
        self.inner.close()

    def fail_if_cut(self) -> None:
        if self.is_cut:
            raise LinkLost("cut on purpose")

    def allow_read(self, size: int) -> int:
        """Return the number of bytes to be read now. A silent line allows 0."""
        self.fail_if_cut()
        with self._lock:
            return size if self._read_left is None else min(size, self._read_left)

    def count_read(self, size: int) -> None:
        """Count read bytes, and cut the line at the last allowed byte."""
        with self._lock:
            if self._read_left is not None:
                self._read_left = max(0, self._read_left - size)
            done = self._cuts and self._read_left == 0
        if done:
            self._cut()

    def allow_write(self, size: int) -> int:
        """Return the number of bytes to be written now, and count the bytes."""
        self.fail_if_cut()
        with self._lock:
            if self._write_left is None:
                return size
            allowed = min(size, self._write_left)
            self._write_left -= allowed
            return allowed

    def damaged(self, data: bytes) -> bytes:
        """Return the data as the device gets them."""
        with self._lock:
            place, self._damage_in = self._damage_in, self._damage_in - len(data)
        if not 0 <= place < len(data):
            return data
        # A single bit, the least that a checksum has to notice.
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    def cut_if_written(self) -> None:
        """Cut the line after the last allowed byte."""
        if self._write_left == 0:
            self._cut()

    def _cut(self) -> None:
        self.is_cut = True
        self.close()


class _FaultyStream:
    def __init__(self, inner: Stream, line: _FaultyTransport) -> None:
        self._inner = inner
        self._line = line

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        allowed = self._line.allow_read(size)
        if not allowed:
            # Until closed at the latest: the end of a session must not wait for a time-out.
            self._line.closed.wait(timeout_s)
            raise LinkLost("silent on purpose")
        data = self._inner.read(allowed, timeout_s)
        self._line.count_read(len(data))
        return data

    def write(self, data: bytes) -> None:
        allowed = self._line.allow_write(len(data))
        self._inner.write(self._line.damaged(data[:allowed]))
        self._line.cut_if_written()
        if allowed < len(data):
            raise LinkLost("cut on purpose")

    def end(self) -> Completed:
        return self._inner.end()
