"""Frame the event log: append-only, self-checking records that survive a torn tail.

A record is one line, `crc32 length json`, where crc32 is eight hex digits over the JSON bytes and length is their number in
decimal. The JSON is an object with at least `seq` (1, 2, 3, … without gaps), `kind` and the two clocks. A reader stops at
the first line that fails any of this: all before it is whole, nothing after it is trusted.
"""

import json
import zlib

RECORD_BYTES_MAX = 32 << 20


class CorruptRecord(ValueError):
    """A line of an event log is torn, altered or not a record at all."""


def encode_record(event):
    # type: (dict) -> bytes
    """Return the line of one event; raises ValueError for NaN or infinity, which JSON cannot say."""
    body = json.dumps(event, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("ascii")
    return b"%08x %d %s\n" % (zlib.crc32(body), len(body), body)


def decode_record(line):
    # type: (bytes) -> dict
    """Return the event of one line (with or without its newline), or raise CorruptRecord."""
    parts = line.rstrip(b"\n").split(b" ", 2)
    if len(parts) != 3 or len(parts[0]) != 8:
        raise CorruptRecord("not a record: %r" % (bytes(line[:60]),))
    try:
        crc, length = int(parts[0], 16), int(parts[1])
    except ValueError:
        raise CorruptRecord("not a record: %r" % (bytes(line[:60]),))
    if length != len(parts[2]) or length > RECORD_BYTES_MAX:
        raise CorruptRecord("a record of %d bytes claims %d" % (len(parts[2]), length))
    if zlib.crc32(parts[2]) != crc:
        raise CorruptRecord("checksum mismatch in %r" % (bytes(line[:60]),))
    try:
        event = json.loads(parts[2].decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CorruptRecord("not JSON: %s" % error)
    if not isinstance(event, dict) or type(event.get("seq")) is not int or not isinstance(event.get("kind"), str):
        raise CorruptRecord("not an event: %r" % (bytes(line[:60]),))
    return event


def _refuse_constant(name):
    raise ValueError("%s is not a number" % name)


def split_records(data):
    # type: (bytes) -> tuple
    """Return (events, bytes used): the whole, valid, gapless records at the head of `data`.

    What follows the used bytes is a torn tail (a power cut in the middle of a write) and must be cut off before the log
    is appended to again.
    """
    events = []
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
