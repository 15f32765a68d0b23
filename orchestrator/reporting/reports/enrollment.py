"""Declare the host key of a device, and the place of the key's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import OrchestratorError
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.failure import ERROR
from orchestrator.reporting.shape import TEXT, Key, ListOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """Hold a device of a shelf with the enrolment, or with the error."""

    device: str
    enrollment: Enrollment | None
    error: OrchestratorError | None


ENROLLMENT = View[Enrollment](
    "enrollment",
    "The host key that a device shows.",
    (
        Key("device", TEXT, "The device's name.", lambda enrollment: enrollment.device),
        Key("host", TEXT, "The host, as known_hosts names it.", lambda enrollment: enrollment.host),
        Key(
            "fingerprint",
            TEXT,
            "The key's fingerprint, as OpenSSH prints it.",
            lambda enrollment: enrollment.fingerprint,
        ),
        Key(
            "place",
            OrNull(TEXT),
            "FILE:LINE of the record; null where the key is not recorded.",
            lambda enrollment: enrollment.place,
        ),
    ),
)
ENROLL = Shape[Enrollment](ENROLLMENT, ENROLLMENT, lambda enrollment: [enrollment])


def enrollment_report(enrollment: Enrollment) -> Report:
    """Return a host key as a report."""
    return Report(enrollment, ENROLL, enrollment.sentence)


_SHELF = View[ShelfEntry](
    "shelf-entry",
    "The host key that one of several devices shows.",
    (
        Key("device", TEXT, "The device's name.", lambda entry: entry.device),
        Key(
            "host",
            OrNull(TEXT),
            "The host, as known_hosts names it.",
            lambda entry: entry.enrollment and entry.enrollment.host,
        ),
        Key(
            "fingerprint",
            OrNull(TEXT),
            "The key's fingerprint, as OpenSSH prints it; null where there is an error.",
            lambda entry: entry.enrollment and entry.enrollment.fingerprint,
        ),
        Key(
            "place",
            OrNull(TEXT),
            "FILE:LINE of the record; null where the key is not recorded.",
            lambda entry: entry.enrollment and entry.enrollment.place,
        ),
        Key("error", OrNull(ERROR), "Why the key is not known, or not recorded.", lambda entry: entry.error),
    ),
)
_SHELF_ROW = View[ShelfEntry](
    "shelf-row",
    "One device.",
    (*_SHELF.keys[:-1], Key("error", OrNull(TEXT), "Why the key is not known.", lambda entry: entry.error)),
)
SHELF = Shape[Sequence[ShelfEntry]](ListOf(_SHELF), _SHELF_ROW, lambda entries: entries)


def shelf_report(found: Mapping[str, Enrollment | OrchestratorError]) -> Report:
    """Return the host keys of several devices as a report."""
    entries = [
        ShelfEntry(name, one, None) if isinstance(one, Enrollment) else ShelfEntry(name, None, one)
        for name, one in found.items()
    ]

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.shelf import shelf_table

        return shelf_table(found)

    return Report(entries, SHELF, draw)
