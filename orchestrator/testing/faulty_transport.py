"""Any connector, made to fail on purpose: what sessions must survive, without waiting for it to happen."""

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
    """The connection is never made."""

    error: DeviceError = field(default_factory=lambda: Unreachable("refused on purpose"))


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is lost once its streams have carried so many bytes; those have arrived."""

    after_read_bytes: int | None = None
    after_written_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing more arrives once so many bytes were read; the connection stays, and takes what is written."""

    after_read_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """One byte, the one after so many written, arrives altered."""

    after_written_bytes: int


Fault = Refusal | Cut | Silence | Damage | None
"""What befalls one connection; None lets it be."""


class FaultyConnector:
    """Wraps a connector; the connections to a device suffer its faults in turn, and none once those are used up."""

    def __init__(self, inner: Connector, faults: Mapping[str, Sequence[Fault]] | None = None) -> None:
        self._inner = inner
        self._faults = {device: deque(planned) for device, planned in (faults or {}).items()}

    def connect(self, device: Device) -> Transport:
        """Connect as the wrapped connector does, unless a refusal is due."""
        planned = self._faults.get(device.name)
        fault = planned.popleft() if planned else None
        if isinstance(fault, Refusal):
            raise fault.error
        return _FaultyTransport(self._inner.connect(device), fault)


class _FaultyTransport:
    """Counts what all streams of one connection carry."""

    def __init__(self, inner: Transport, fault: Cut | Silence | Damage | None) -> None:
        self.inner = inner
        self._read_left = fault.after_read_bytes if isinstance(fault, Cut | Silence) else None
        self._damage_in = fault.after_written_bytes if isinstance(fault, Damage) else -1
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
        """Return how many bytes may be read now; 0 once the line is silent."""
        self.fail_if_cut()
        with self._lock:
            return size if self._read_left is None else min(size, self._read_left)

    def count_read(self, size: int) -> None:
        """Take note of what was read, and cut the line if that was all it was to carry."""
        with self._lock:
            if self._read_left is not None:
                self._read_left = max(0, self._read_left - size)
            done = self._cuts and self._read_left == 0
        if done:
            self._cut()

    def allow_write(self, size: int) -> int:
        """Return how many bytes may be written now, and count them."""
        self.fail_if_cut()
        with self._lock:
            if self._write_left is None:
                return size
            allowed = min(size, self._write_left)
            self._write_left -= allowed
            return allowed

    def damaged(self, data: bytes) -> bytes:
        """Return what arrives of this data."""
        with self._lock:
            place, self._damage_in = self._damage_in, self._damage_in - len(data)
        if not 0 <= place < len(data):
            return data
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    def cut_if_written(self) -> None:
        """Cut the line if what was written is all it was to carry."""
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
