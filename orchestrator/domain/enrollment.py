"""Describe the enrolment of a device's host key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Enrollment:
    """Hold a device's host key: the fingerprint in OpenSSH's form, and the FILE:LINE of the record, if recorded."""

    device: str
    host: str
    fingerprint: str
    place: str | None

    @property
    def recorded(self) -> bool:
        """Return True if the key is on record."""
        return self.place is not None

    def sentence(self) -> str:
        """Return device, fingerprint and record in a sentence."""
        if self.place is None:
            return f"{self.device}: not recorded: {self.fingerprint}"
        return f"{self.device}: {self.host} {self.fingerprint} is on record at {self.place}"
