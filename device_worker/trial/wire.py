"""Write and read messages of Protocol Buffers by the numbers of fields, without the code of a schema."""

from __future__ import annotations

from device_worker.trial.connection import RequestFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10
_MASK = (1 << 64) - 1
_SIGN = 1 << 63


class Malformed(RequestFailed):
    """An answer is no message."""


def number(field: int, value: int) -> bytes:
    """Return a field that is a whole number. Negative ones are written as int64."""
    return _varint(field << 3 | _VARINT) + _varint(value & _MASK)


def data(field: int, content: bytes) -> bytes:
    """Return a field of bytes: a message, text, or numbers in one row."""
    return b"".join((_varint(field << 3 | _BYTES), _varint(len(content)), content))


def text(field: int, said: str) -> bytes:
    """Return a field of text."""
    return data(field, said.encode("utf-8"))


def numbers(field: int, values: Iterable[int]) -> bytes:
    """Return a repeated field of whole numbers in one row."""
    return data(field, b"".join(_varint(value & _MASK) for value in values))


class Message:
    """A message that a server wrote. Absent fields have the defaults of proto3. Wrong bytes raise Malformed."""

    __slots__ = ("_fields",)

    def __init__(self, content: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        place, end = 0, len(content)
        while place < end:
            key, place = _read_varint(content, place)
            field, kind = key >> 3, key & 7
            value: int | bytes
            if kind == _VARINT:
                value, place = _read_varint(content, place)
            else:
                size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind)
                if kind == _BYTES:
                    size, place = _read_varint(content, place)
                if size is None or place + size > end:
                    raise Malformed("the answer is no message of Protocol Buffers")
                value = content[place : place + size]
                place += size
            self._fields.setdefault(field, []).append(value)

    def data(self, field: int) -> list[bytes]:
        """Return every value of a field that is bytes."""
        return [value for value in self._fields.get(field, ()) if isinstance(value, bytes)]

    def row(self, field: int) -> bytes:
        """Return repeated numbers of fixed size as bytes, whether written one by one or in one row."""
        return b"".join(self.data(field))

    def text(self, field: int) -> str:
        """Return a field of text."""
        found = self.data(field)
        return found[-1].decode("utf-8", "replace") if found else ""

    def messages(self, field: int) -> list[Message]:
        """Return every message of a repeated field."""
        return [Message(value) for value in self.data(field)]

    def message(self, field: int) -> Message:
        """Return a field that is a message, empty without the field."""
        found = self.data(field)
        return Message(found[-1] if found else b"")

    def by_key(self, field: int) -> dict[str, Message]:
        """Return a map of text to messages."""
        return {entry.text(1): entry.message(2) for entry in self.messages(field)}

    def number(self, field: int) -> int:
        """Return a whole number."""
        found = self.numbers(field)
        return found[-1] if found else 0

    def numbers(self, field: int) -> list[int]:
        """Return repeated whole numbers, whether written one by one or in one row."""
        found: list[int] = []
        for value in self._fields.get(field, ()):
            if isinstance(value, int):
                found.append(_signed(value))
                continue
            place = 0
            while place < len(value):
                read, place = _read_varint(value, place)
                found.append(_signed(read))
        return found


def _signed(value: int) -> int:
    return value - _MASK - 1 if value & _SIGN else value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a number, and the place behind the number."""
    value = 0
    for index, byte in enumerate(content[place : place + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & _MASK, place + index + 1
    raise Malformed("the answer is no message of Protocol Buffers")
