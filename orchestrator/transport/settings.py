"""Define the settings for reaching devices, the same for all devices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """The settings of connectors.

    `known_hosts` is benchfleet's own file of enrolled host keys. `ssh_config`, if given, replaces the configuration of
    the user and of the system, as with `ssh -F`. `connect_timeout_s` limits the wait for a device. `ray_address` is the
    cluster of devices that are nodes of one.
    """

    known_hosts: Path
    ssh_config: Path | None = None
    connect_timeout_s: float = 10.0
    ray_address: str | None = None
