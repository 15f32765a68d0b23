"""What an inventory says about a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.domain.recovery import Recovery

STATE_DIR = "~/.cache/benchfleet"
"""The one folder that benchfleet writes on a device, unless its inventory names another."""


CACHE_BYTES_MAX = 4 << 30
"""How much of a device's disk its blobs and bundles may take, unless its inventory says otherwise."""


class TransportKind(StrEnum):
    """How a device is reached."""

    LOCAL = "local"
    SSH = "ssh"


@dataclass(frozen=True, slots=True)
class Limits:
    """Conditions that a device and its trials must keep; None means no limit of that kind.

    `cache_bytes_max` bounds what stays on the device for later: models, data sets and runtimes that no run needs now.
    """

    temperature_c_max: float | None = None
    trial_timeout_s: float | None = None
    memory_bytes_max: int | None = None
    cooldown_s_max: float = 120.0
    cache_bytes_max: int = CACHE_BYTES_MAX
    disk_free_bytes_min: int | None = None
    clock_offset_s_max: float | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the inventory: where it is, how to get in, what may be asked of it.

    `host` may be an alias of the user's ssh config; None of user, port and identity_file leaves it to that config.
    `jump` is a device of the inventory (then `jump_device` is that one, complete with its own jump) or any ssh host.
    `identity_file` is absolute here; `state_dir` is expanded on the device. `python` is a path or name there (None:
    python3, or this interpreter if local). `source` is the file:line that declared it.
    """

    name: str
    transport: TransportKind
    host: str | None = None
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    jump: str | None = None
    jump_device: Device | None = None
    python: str | None = None
    state_dir: str = STATE_DIR
    tags: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    recovery: Recovery = field(default_factory=Recovery)
    source: str = ""
