"""Frame the event log: append-only, self-checking records that survive a torn tail.

A record is a line `crc32 length json`. `crc32` is eight hex digits over the JSON bytes, `length` the count of the JSON
bytes in decimal. The JSON is an object with at least `seq` (1, 2, 3, … without gaps), `kind` and two clocks. A reader
stops at the first wrong line. The records before the line are whole, and the bytes after the line are not trusted.
"""

from __future__ import annotations

import json
import zlib

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from typing import Any

RECORD_BYTES_MAX = 32 << 20

PARTS_MAX = 1000000
"""The most commas and opening brackets of a record. Without a bound, 32 MiB of brackets are parsed into a gigabyte."""


class CorruptRecord(ValueError):
    """The line of an event log is torn, altered or not a record at all."""


def encode_record(event: dict[str, Any]) -> bytes:
    """Return the line of an event. Raise ValueError for NaN or infinity, since JSON has no such numbers."""
    body = json.dumps(event, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("ascii")
    return b"%08x %d %s\n" % (zlib.crc32(body), len(body), body)


def has_too_many_parts(body: bytes) -> bool:
    """Return True if a reader would refuse the JSON because of its size after parsing."""
    # Each part is a byte at least, and nearly every record is far shorter: counting takes a tenth of its reading.
    return len(body) > PARTS_MAX and body.count(b",") + body.count(b"[") + body.count(b"{") > PARTS_MAX


def decode_record(line: bytes) -> dict[str, Any]:
    """Return the event of a line, with or without the newline, or raise CorruptRecord."""
    parts = (line[:-1] if line.endswith(b"\n") else line).split(b" ", 2)
    if len(parts) != 3:
        raise CorruptRecord("not a record: %r" % (bytes(line[:60]),))
    if parts[1] != b"%d" % len(parts[2]) or len(parts[2]) > RECORD_BYTES_MAX:
        raise CorruptRecord("a record of %d bytes claims %r" % (len(parts[2]), bytes(parts[1][:20])))
    if parts[0] != b"%08x" % zlib.crc32(parts[2]):
        raise CorruptRecord("checksum mismatch in %r" % (bytes(line[:60]),))
    if has_too_many_parts(parts[2]):  # before parsing, which would take the memory
        raise CorruptRecord("a record of more than %d parts" % PARTS_MAX)
    try:
        event = _DECODER.decode(parts[2].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptRecord("not JSON: %s" % error) from None
    if not isinstance(event, dict) or type(event.get("seq")) is not int or not isinstance(event.get("kind"), str):
        raise CorruptRecord("not an event: %r" % (bytes(line[:60]),))
    return event


def _refuse_constant(name: str) -> None:
    raise ValueError("%s is not a number" % name)


# Made once: json.loads would make a decoder for each record.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def split_records(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the whole, valid and gapless records at the head of `data` as events, and their length in bytes.

    The bytes behind are a torn tail, from a power cut in the middle of a write. A torn tail must be cut off before the
    next record is appended.
    """
    events: list[dict[str, Any]] = []
    used = 0
    while True:
        end = data.find(b"\n", used)
        if end < 0:
            return events, used
        try:
            event = decode_record(data[used:end])
        except CorruptRecord:
            return events, used
        if events and event["seq"] != events[-1]["seq"] + 1:
            return events, used
        events.append(event)
        used = end + 1
