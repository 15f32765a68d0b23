"""Declare the host key of a device, and the place of the key's record."""

from __future__ import annotations

from orchestrator.domain.enrollment import Enrollment
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import TEXT, Key, OrNull, Shape, View

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
