"""Frame the conversation between controller and worker over a byte stream.

A message is a line of JSON, at most `MESSAGE_BYTES_MAX` long. If the line has a field `payload_bytes`, as many raw
bytes follow. The same stream carries questions, blobs and followed logs. A device therefore needs no sftp, and a
session runs a single interpreter.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from typing import Any, Callable

MESSAGE_BYTES_MAX = 1 << 20
PAYLOAD_BYTES_MAX = 64 << 20


class BadMessage(ValueError):
    """The peer has sent bytes outside the protocol."""


def encode_message(message: dict[str, Any], payload: bytes = b"") -> bytes:
    """Return the bytes of a message. The field `payload_bytes` is set here, never by the caller."""
    if payload:
        message = dict(message, payload_bytes=len(payload))
    return json.dumps(message, separators=(",", ":"), sort_keys=True).encode("ascii") + b"\n" + payload


class MessageReader:
    """Reads messages from a byte stream.

    `read(size)` must return the next bytes, at most `size`, and b"" at the end of the stream.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = bytearray()

    @property
    def buffered(self) -> bool:
        """Whether a whole header line is buffered already. Then a select on the stream may wait in vain."""
        return b"\n" in self._buffer

    def read_message(self) -> tuple[dict[str, Any] | None, bytes]:
        """Return (message, payload), or (None, b"") at the end of the stream between two messages.

        Raise BadMessage for a malformed message, or for an end inside a message.
        """
        line = self._take_line()
        if line is None:
            return None, b""
        try:
            message = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BadMessage("not JSON: %s: %r" % (error, bytes(line[:80]))) from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise BadMessage("not a message: %r" % (bytes(line[:80]),))
        size = message.pop("payload_bytes", 0)
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= PAYLOAD_BYTES_MAX:
            raise BadMessage("payload_bytes out of range in a %s message" % message["type"])
        return message, self.take(size)

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes, or raise BadMessage if the stream ends before."""
        while len(self._buffer) < size:
            if not self._fill(max(size - len(self._buffer), 65536)):
                raise BadMessage("the stream ended inside a payload")
        with memoryview(self._buffer) as view:  # a slice of the buffer itself would be a further copy
            data = bytes(view[:size])
        del self._buffer[:size]
        return data

    def _take_line(self) -> bytes | None:
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line
            searched = len(self._buffer)
            if searched > MESSAGE_BYTES_MAX:
                raise BadMessage("a message of more than %d bytes" % MESSAGE_BYTES_MAX)
            if not self._fill(65536):
                if self._buffer:
                    raise BadMessage("the stream ended inside a message: %r" % (bytes(self._buffer[:80]),))
                return None

    def _fill(self, size: int) -> bool:
        data = self._read(size)
        self._buffer += data
        return bool(data)
