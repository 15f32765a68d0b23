"""Describe devices as declared by an inventory."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from orchestrator.domain.meter import Meter
from orchestrator.domain.recovery import Recovery

STATE_DIR = "~/.cache/benchfleet"
"""The default of the only folder written by benchfleet on a device."""

CACHE_BYTES_MAX = 4 << 30
"""The default bound on the size of the blobs and bundles on a device."""


class TransportKind(StrEnum):
    """Name the ways to reach a device."""

    LOCAL = "local"
    RAY = "ray"
    SSH = "ssh"

    @property
    def is_remote(self) -> bool:
        """Return whether a network lies between this machine and the device."""
        return self is not TransportKind.LOCAL

    @property
    def has_host_key(self) -> bool:
        """Return whether the device proves its identity by an ssh host key."""
        return self is TransportKind.SSH


def _condition(most: float, usual: float | None = None) -> Any:
    """Define the limit of a condition watched during trials: above 0, at most `most`.

    `usual` is the limit of an exclusive device without a limit in the inventory.
    """
    return field(default=None, metadata={"most": most, "usual": usual})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound the conditions of a device and of trials there. None means no limit.

    `cache_bytes_max` bounds the cache of the device: models, data sets and runtimes kept for later runs.
    """

    temperature_c_max: float | None = _condition(most=200)
    # The measurements behind the usual limits are in docs/decisions/0035.
    cpu_pressure_max_percent: float | None = _condition(most=100, usual=25)
    cpu_steal_max_percent: float | None = _condition(most=100, usual=5)
    other_load_max_percent: float | None = _condition(most=100, usual=20)
    frequency_min_percent: float | None = _condition(most=100)
    unsteady_max_percent: float | None = _condition(most=1000)
    governor: str | None = None
    trial_timeout_s: float | None = None
    memory_bytes_max: int | None = None
    cooldown_s_max: float = 120.0
    cache_bytes_max: int = CACHE_BYTES_MAX
    disk_free_bytes_min: int | None = None
    clock_offset_s_max: float | None = None


CONDITION_LIMITS: Mapping[str, float] = {
    one.name: one.metadata["most"] for one in fields(Limits) if "most" in one.metadata
}
"""The largest value of each condition's limit. Inventories and plans know the limits from here."""

SITE_TAG = "site"
"""The tag that says at which site a device is."""

CPUS_SETTING = "cpus"
"""The setting that pins trials to processors."""

GOVERNOR_LIMIT = "governor"
"""The condition that asks for a word, not for a number."""

GPU_FACT = "gpu"
"""A fact added by the controller: the one GPU that trials see, as the inventory asks for it."""

USUAL_LIMITS: Mapping[str, float] = {
    one.name: usual for one in fields(Limits) if (usual := one.metadata.get("usual")) is not None
}
"""The limits of conditions on an exclusive device, unless the inventory says otherwise."""


@dataclass(frozen=True, slots=True)
class Device:
    """Describe a device of the inventory: address, login, limits and recovery.

    `host` may be an alias of the user's ssh config. None as user, port or identity_file leaves the choice to the ssh
    config. `jump` names a device of the inventory or any ssh host. For a device of the inventory, `jump_device` is the
    whole device, with its own `jump_device`. `identity_file` is an absolute path. `state_dir` is expanded on the
    device. `python` is a path or a name on the device. None means python3, or this interpreter for a local device.
    `exclusive`: no other run measures on the device's machine meanwhile. Several devices played on a machine are not
    exclusive. `allow` names what a run may set for its time: `governor`, `cpus`. `power_sources` names the kinds of the
    device's own power sources to choose from, None for all. `meter` is a meter of the device's supply that the
    controller reads. `node` has the labels of the node of a Ray cluster that the device is. `gpu` is the one GPU that
    trials see, counted from 0 in the order of PCI addresses, as nvidia-smi does; None leaves all of them. `source` is
    the file:line of the declaration.
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
    exclusive: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    limits: Limits = Limits()
    recovery: Recovery = field(default_factory=Recovery)
    power_sources: tuple[str, ...] | None = None
    meter: Meter | None = None
    node: Mapping[str, str] = field(default_factory=dict)
    gpu: int | None = None
    source: str = ""

    @property
    def site(self) -> str | None:
        """Return the site of the device, the tag `site`, or None."""
        return self.tags.get(SITE_TAG)

    @property
    def gpu_variables(self) -> Mapping[str, str]:
        """Return the variables that show trials the device's one GPU, or none."""
        if self.gpu is None:
            return {}
        # CUDA counts the fastest first unless told otherwise; the driver's tools, and NVML, count by PCI address.
        return {"CUDA_VISIBLE_DEVICES": str(self.gpu), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    @property
    def interpreter(self) -> str:
        """Return the Python for the worker: the declared Python, or the default of the transport."""
        # The interpreter of this process is there for certain. `python3` on the path may be another one.
        return self.python or ("python3" if self.transport.is_remote else sys.executable)
