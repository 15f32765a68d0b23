"""Read messages of Protocol Buffers in files that may lie, by numbers of fields, without the schema's code."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.models.window import Malformed, Window

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_FIELDS_MAX = 300_000
"""More fields than are met in any model on the way to inputs and outputs."""
_NO_MESSAGE = "it is not written in Protocol Buffers, as such a model is"


class Message:
    """Read the fields of one message. `begin` is the place of the message in the file."""

    def __init__(self, window: Window, begin: int, end: int) -> None:
        self._window = window
        self.begin = begin
        self._end = end

    @property
    def size(self) -> int:
        """Return the count of bytes."""
        return self._end - self.begin

    def fields(self) -> Iterator[tuple[int, Message | int]]:
        """Yield the number and value of each field. Raise Malformed for a field beyond the message."""
        place = self.begin
        for _ in range(_FIELDS_MAX):
            if place == self._end:
                return
            key, place = self._varint(place)
            number, kind = key >> 3, key & 7
            if kind == _VARINT:
                value, place = self._varint(place)
                yield number, value
                continue
            count = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind)
            if kind == _BYTES:
                count, place = self._varint(place)
            if count is None or place + count > self._end:
                raise Malformed(_NO_MESSAGE)
            yield number, Message(self._window, place, place + count)
            place += count
        raise Malformed(f"more than {_FIELDS_MAX} fields")

    def message(self, number: int) -> Message | None:
        """Return the first field of a number, None without any."""
        return next((required(found) for at, found in self.fields() if at == number), None)

    def number(self, number: int) -> int | None:
        """Return the first field of a number as a whole number, None without any."""
        found = next((found for at, found in self.fields() if at == number), None)
        return found if isinstance(found, int) else None

    def text(self, number: int) -> str:
        """Return a field as text, empty without the field."""
        found = self.message(number)
        return "" if found is None else found.whole_text()

    def whole_text(self) -> str:
        """Return the bytes of the message as text."""
        return self._window.text_at(self.begin, self.size)

    def _varint(self, place: int) -> tuple[int, int]:
        """Return a number, and the place behind the number."""
        value = 0
        taken = self._window.bytes_at(place, min(10, self._end - place))
        for index, byte in enumerate(taken):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, place + index + 1
        raise Malformed(_NO_MESSAGE)


def required(found: Message | int) -> Message:
    """Return a field that is a message. Raise Malformed for a number."""
    if isinstance(found, int):
        raise Malformed(_NO_MESSAGE)
    return found
