"""Read the arrived records of a device's log: find the new records, and the first bad record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from device_worker.protocol.records import CorruptRecord, decode_record
from device_worker.protocol.vocabulary import Event
from orchestrator.store.ingest.events import LogEvent, LogOpened, as_garbage, parse_event
from orchestrator.store.ingest.work import NOTHING, Work, work_of
from orchestrator.store.values.hygiene import Unfit


@dataclass(frozen=True, slots=True, order=True)
class LogKey:
    """Name a log by run, device and log id."""

    run: str
    device: str
    log_id: str


class BadLog(Exception):
    """Refuse record `seq` of a log, and all later records. The earlier records are good."""

    def __init__(self, key: LogKey, seq: int, reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.seq = seq
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NewRecords:
    """Hold the new records after an offset, without gaps, and the error of a bad next record.

    `left` are the lines beyond the bound of the reading. `left_is_long`: the first line exceeds the bound alone.
    """

    key: LogKey
    events: Sequence[LogEvent]
    bad: BadLog | None = None
    left: bytes = b""
    left_is_long: bool = False


def read_records(key: LogKey, pieces: Sequence[bytes], offset: int, bound: Work | None = None) -> NewRecords:
    """Return the new records of a log. Each piece holds whole lines.

    Records up to `offset` are known, and ignored. Reading stops at the first gap or bad record, reported as `bad`, and
    before the first record beyond `bound`.
    """
    events: list[LogEvent] = []
    expected, done = offset + 1, NOTHING
    try:
        for piece, begin, line in _lines(pieces):
            event = _decode_within(line, bound)
            seq = None if event is None else event["seq"]
            if seq is not None and 1 <= seq < expected:
                continue  # sent again, after a lost link or a dead controller
            work = work_of(line, event)
            if bound is not None and (event is None or (done + work).exceeds(bound)):
                left = b"".join((pieces[piece][begin:], *pieces[piece + 1 :]))
                return NewRecords(key, events, None, left, event is None or work.exceeds(bound))
            assert event is not None
            if seq != expected:
                raise Unfit(f"record {seq} arrived instead")
            events.append(_parse(event, key))
            expected, done = expected + 1, done + work
    except Unfit as error:
        return NewRecords(key, events, BadLog(key, expected, str(error)))
    return NewRecords(key, events)


def _lines(pieces: Sequence[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield each line with the number of the piece and the place there. No list is made: lines may be long."""
    for number, piece in enumerate(pieces):
        begin = 0
        # An empty piece is a line as well, to be refused rather than passed over.
        while begin < len(piece) or begin == 0:
            end = piece.find(b"\n", begin)
            end = len(piece) if end < 0 else end
            yield number, begin, piece[begin:end]
            begin = end + 1


def _decode_within(line: bytes, bound: Work | None) -> dict[str, Any] | None:
    """Return the event of a line, or None for a line beyond the bound by length alone."""
    return None if bound is not None and len(line) > bound.size else _decode(line)


def _decode(line: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = decode_record(line)
    except CorruptRecord as error:
        raise Unfit(str(error)) from None
    return event


def _parse(raw: dict[str, Any], key: LogKey) -> LogEvent:
    try:
        event = parse_event(raw)
    except Unfit as unfit:
        if raw.get("kind") != Event.TRIAL_FINISHED:
            raise
        event = parse_event(as_garbage(raw, str(unfit)))  # a bad report fails the attempt, never the log
    if isinstance(event.body, LogOpened) != (event.seq == 1):
        raise Unfit("a log begins with log-opened, and only there")
    if isinstance(event.body, LogOpened) and (
        raw.get("log_id") != key.log_id or event.body.run != key.run or event.body.device != key.device
    ):
        raise Unfit(f"it is the log of device {event.body.device} in run {event.body.run}")
    return event
