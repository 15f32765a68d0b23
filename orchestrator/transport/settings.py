"""What is configured about reaching devices, for all of them alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """What connectors need to know beyond the device.

    `known_hosts` is benchfleet's own file of enrolled host keys. `ssh_config` stands for the user's and the system's
    where it is given, as with `ssh -F`.
    """

    known_hosts: Path
    ssh_config: Path | None = None
    connect_timeout_s: float = 10.0
