"""What enrolling a device is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What a device shows; `fingerprint` as OpenSSH prints it, `place` FILE:LINE once it is on record."""

    device: str
    host: str
    fingerprint: str
    place: str | None

    @property
    def recorded(self) -> bool:
        """Return whether the key is on record."""
        return self.place is not None

    def sentence(self) -> str:
        """Say how things stand."""
        if self.place is None:
            return f"{self.device}: not recorded: {self.fingerprint}"
        return f"{self.device}: {self.host} {self.fingerprint} is on record at {self.place}"
