"""Read what arrived of one device's log: which records are new, and where it stops making sense."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from device_worker.protocol.records import CorruptRecord, decode_record
from device_worker.protocol.vocabulary import Event
from orchestrator.store.cleaning import Unfit
from orchestrator.store.events import LogEvent, LogOpened, as_garbage, parse_event


@dataclass(frozen=True, slots=True, order=True)
class LogKey:
    """Which log: of which device, in which run."""

    run: str
    device: str
    log_id: str


class BadLog(Exception):
    """Record `seq` of a log cannot be stored, and so nothing after it; all before it is fine."""

    def __init__(self, key: LogKey, seq: int, reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.seq = seq
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NewRecords:
    """The gapless new records after an offset, and what is wrong with the one that follows, if anything."""

    key: LogKey
    events: Sequence[LogEvent]
    bad: BadLog | None = None


def read_records(key: LogKey, pieces: Iterable[bytes], offset: int) -> NewRecords:
    """Return what of these pieces (whole lines each) continues a log whose records are known up to `offset`."""
    events: list[LogEvent] = []
    expected = offset + 1
    try:
        for piece in pieces:
            for line in piece.removesuffix(b"\n").split(b"\n"):
                event = _decode(line)
                seq: int = event["seq"]
                if 1 <= seq < expected:
                    continue
                if seq != expected:
                    raise Unfit(f"record {seq} arrived instead")
                events.append(_parse(event, key))
                expected += 1
    except Unfit as error:
        return NewRecords(key, events, BadLog(key, expected, str(error)))
    return NewRecords(key, events)


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
        event = parse_event(as_garbage(raw, str(unfit)))  # a trial's report costs its attempt, never the log
    if isinstance(event.body, LogOpened) != (event.seq == 1):
        raise Unfit("a log begins with log-opened, and only there")
    if isinstance(event.body, LogOpened) and (
        raw.get("log_id") != key.log_id or event.body.run != key.run or event.body.device != key.device
    ):
        raise Unfit(f"it is the log of device {event.body.device} in run {event.body.run}")
    return event
