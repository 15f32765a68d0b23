"""Declare the list of devices with facts and holders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.domain.device import CONDITION_LIMITS, Device, Limits, TransportKind
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Holding, Lease
from orchestrator.domain.recovery import PowerCycle, Quarantine, Recovery
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.quarantines import QUARANTINE
from orchestrator.reporting.shape import (
    BOOLEAN,
    FREE,
    INTEGER,
    NUMBER,
    TEXT,
    TIME,
    Key,
    Later,
    ListOf,
    MapOf,
    OneOf,
    OrNull,
    Shape,
    View,
)

if TYPE_CHECKING:
    from rich.console import RenderableType


def _limit_key(condition: str) -> Key[Limits]:
    # The table of conditions names these keys: a new condition is one line there, and none here.
    meaning = "The limit of the condition: trials wait for it, and are invalid beyond it."
    return Key(condition, OrNull(NUMBER), meaning, lambda limits: getattr(limits, condition))


LIMITS = View[Limits](
    "limits",
    "Conditions that a device and its trials must keep.",
    (
        *map(_limit_key, CONDITION_LIMITS),
        Key("governor", OrNull(TEXT), "The frequency governor of all trials.", lambda limits: limits.governor),
        Key("trial_timeout_s", OrNull(NUMBER), "How long a trial may take.", lambda limits: limits.trial_timeout_s),
        Key("memory_bytes_max", OrNull(INTEGER), "Memory of a trial.", lambda limits: limits.memory_bytes_max),
        Key("cooldown_s_max", NUMBER, "How long a trial waits to cool.", lambda limits: limits.cooldown_s_max),
        Key("cache_bytes_max", INTEGER, "What the cache may keep.", lambda limits: limits.cache_bytes_max),
        Key(
            "disk_free_bytes_min",
            OrNull(INTEGER),
            "A device with less room is refused.",
            lambda limits: limits.disk_free_bytes_min,
        ),
        Key(
            "clock_offset_s_max",
            OrNull(NUMBER),
            "A device whose clock is further off is refused.",
            lambda limits: limits.clock_offset_s_max,
        ),
    ),
)
POWER_CYCLE = View[PowerCycle](
    "power-cycle",
    "Commands that cut a device's power and give it back.",
    (
        Key("on", ListOf(TEXT), "The command that gives power.", lambda cycle: cycle.on),
        Key("off", ListOf(TEXT), "The command that cuts power; empty where `on` does both.", lambda cycle: cycle.off),
        Key("off_s", NUMBER, "How long the power stays off.", lambda cycle: cycle.off_s),
    ),
)
RECOVERY = View[Recovery](
    "recovery",
    "How far recovery goes for a device.",
    (
        Key(
            "retries",
            INTEGER,
            "How often a first connection is tried again.",
            lambda recovery: recovery.connect_retries,
        ),
        Key("reconnect_s_max", NUMBER, "How long a lost link is sought.", lambda recovery: recovery.reconnect_s_max),
        Key("restarts_max", INTEGER, "How often a runner is started anew.", lambda recovery: recovery.restarts_max),
        Key("reboot", ListOf(TEXT), "The reboot command; empty for none.", lambda recovery: recovery.reboot),
        Key("power_cycle", OrNull(POWER_CYCLE), "How power is cycled.", lambda recovery: recovery.power_cycle),
        Key("boot_s_max", NUMBER, "How long a boot may take.", lambda recovery: recovery.boot_s_max),
        Key("quarantine", BOOLEAN, "Whether a lost cause is quarantined.", lambda recovery: recovery.quarantine),
    ),
)


# A function, since two views share the keys: a jump host is a device too, without holders.
def _inventory_keys() -> tuple[Key[Device], ...]:
    return (
        Key("name", TEXT, "The device's name.", lambda device: device.name),
        Key("transport", OneOf(TransportKind), "How the device is reached.", lambda device: device.transport),
        Key(
            "node",
            MapOf(TEXT, "label"),
            "The labels of the Ray node that the device is; empty for others.",
            lambda device: device.node,
        ),
        Key("gpu", OrNull(INTEGER), "The GPU that trials see; null for all.", lambda device: device.gpu),
        Key("host", OrNull(TEXT), "The address; null where the ssh configuration says.", lambda device: device.host),
        Key("port", OrNull(INTEGER), "The port; null likewise.", lambda device: device.port),
        Key("user", OrNull(TEXT), "The account; null likewise.", lambda device: device.user),
        Key("identity_file", OrNull(TEXT), "The key file; null likewise.", lambda device: device.identity_file),
        Key("jump", OrNull(TEXT), "The jump host, by name.", lambda device: device.jump),
        Key(
            "jump_device",
            OrNull(Later(lambda: INVENTORY_DEVICE)),
            "The jump host, where the inventory has it.",
            lambda device: device.jump_device,
        ),
        Key("python", OrNull(TEXT), "The Python there; null is python3.", lambda device: device.python),
        Key("state_dir", TEXT, "The worker's folder there.", lambda device: device.state_dir),
        Key(
            "exclusive",
            BOOLEAN,
            "False: others may measure on the machine meanwhile.",
            lambda device: device.exclusive,
        ),
        Key("tags", MapOf(TEXT, "tag"), "The inventory's tags.", lambda device: device.tags),
        Key("allow", ListOf(TEXT), "What a run may set on the device: governor, cpus.", lambda device: device.allow),
        Key("limits", LIMITS, "Conditions to keep.", lambda device: device.limits),
        Key("recovery", RECOVERY, "How far recovery goes.", lambda device: device.recovery),
        Key(
            "power_sources",
            OrNull(ListOf(TEXT)),
            "The kinds of the device's own power sources to choose from; null for all.",
            lambda device: device.power_sources,
        ),
        Key(
            "meter",
            OrNull(TEXT),
            "The power meter that the controller reads for the device.",
            lambda device: None if device.meter is None else device.meter.name,
        ),
        Key("source", TEXT, "The FILE:LINE that declares the device.", lambda device: device.source),
    )


INVENTORY_DEVICE = View[Device]("inventory-device", "A device as the inventory declares it.", _inventory_keys())
HELD = View[Lease](
    "held-lease",
    "A lease that somebody has of a device.",
    (
        Key("id", INTEGER, "The lease's id.", lambda lease: lease.id),
        Key("holder", TEXT, "Who has the device: USER@HOST.", lambda lease: lease.holder),
        Key("run", OrNull(TEXT), "The run; null for a reservation.", lambda lease: lease.run),
        Key("reason", OrNull(TEXT), "What a reservation is for.", lambda lease: lease.reason),
        Key("since", OrNull(TIME), "When the lease was granted.", lambda lease: lease.granted_at),
        Key("until", TIME, "When the lease ends, unless renewed.", lambda lease: lease.expires_at),
        Key(
            "left_at",
            OrNull(TIME),
            "When the controller left the device to itself; null while one renews.",
            lambda lease: lease.left_at,
        ),
    ),
)
BESIDE = View[Lease](
    "machine-lease",
    "A lease of another name of the device's machine.",
    (Key("device", TEXT, "The other name.", lambda lease: lease.device), *HELD.keys),
)


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """Hold a device of the inventory with facts, holders and quarantine."""

    device: Device
    facts: Facts | None
    probed_at: datetime | None
    holding: Holding | None
    quarantine: Quarantine | None

    @property
    def held(self) -> tuple[Lease, ...]:
        """Return the leases: at most a reservation, and a run within the reservation."""
        return self.holding.held if self.holding else ()

    @property
    def beside(self) -> tuple[Lease, ...]:
        """Return the hindering leases of other names of the machine."""
        return self.holding.in_the_way(self.device) if self.holding else ()

    @property
    def queue(self) -> int:
        """Return the length of the queue for the device."""
        return self.holding.queue if self.holding else 0


def _of_device(key: Key[Device]) -> Key[ListedDevice]:
    return Key(key.name, key.kind, key.meaning, lambda listed: key.read(listed.device))


LISTED_DEVICE = View[ListedDevice](
    "device",
    "A device of the inventory, what is known of it, and who has it.",
    (
        *map(_of_device, _inventory_keys()),
        Key("probed_at", OrNull(TIME), "When the facts were taken; null if never.", lambda listed: listed.probed_at),
        Key(
            "facts",
            OrNull(FREE),
            "What the device said of itself; docs/worker-protocol.md has its keys.",
            lambda listed: listed.facts and listed.facts.values,
        ),
        Key("held", ListOf(HELD), "Who has the device: a reservation, a run, or both.", lambda listed: listed.held),
        Key(
            "machine_held",
            ListOf(BESIDE),
            "Who has the machine under another name, as far as facts are known.",
            lambda listed: listed.beside,
        ),
        Key("queue", INTEGER, "How many wait for the device.", lambda listed: listed.queue),
        Key(
            "quarantine",
            OrNull(QUARANTINE),
            "Why no run may use the device; null where runs may.",
            lambda listed: listed.quarantine,
        ),
    ),
)


def _in_short(lease: Lease) -> str:
    return f"{lease.holder} run {lease.run}" if lease.run else f"{lease.holder} reservation {lease.id}"


_ROW = View[ListedDevice](
    "device-row",
    "One device.",
    (
        Key("name", TEXT, "The device's name.", lambda listed: listed.device.name),
        Key("transport", TEXT, "How the device is reached.", lambda listed: listed.device.transport.value),
        Key("host", OrNull(TEXT), "The address.", lambda listed: listed.device.host),
        Key("port", OrNull(INTEGER), "The port.", lambda listed: listed.device.port),
        Key("user", OrNull(TEXT), "The account.", lambda listed: listed.device.user),
        Key("jump", OrNull(TEXT), "The jump host.", lambda listed: listed.device.jump),
        Key(
            "tags",
            TEXT,
            "The tags, as name=value.",
            lambda listed: " ".join(f"{name}={value}" for name, value in sorted(listed.device.tags.items())),
        ),
        Key(
            "machine",
            OrNull(TEXT),
            "The board, or the platform.",
            lambda listed: listed.facts and (listed.facts.values.get("board_model") or listed.facts.platform),
        ),
        Key("probed_at", OrNull(TIME), "When the facts were taken.", lambda listed: listed.probed_at),
        Key(
            "held_by",
            TEXT,
            "Who has the device, divided by semicolons.",
            lambda listed: "; ".join(map(_in_short, listed.held)),
        ),
        Key(
            "machine_held_by",
            TEXT,
            "Who has the machine under another name, divided by semicolons.",
            lambda listed: "; ".join(f"{lease.device}: {_in_short(lease)}" for lease in listed.beside),
        ),
        Key("queue", INTEGER, "How many wait for the device.", lambda listed: listed.queue),
        Key(
            "quarantine",
            OrNull(TEXT),
            "Why no run may use the device.",
            lambda listed: listed.quarantine and listed.quarantine.reason,
        ),
    ),
)
DEVICES = Shape[Sequence[ListedDevice]](ListOf(LISTED_DEVICE), _ROW, lambda listed: listed)


def devices_report(
    devices: Sequence[Device],
    facts: Mapping[str, tuple[Facts, datetime]],
    holdings: Mapping[str, Holding],
    quarantines: Mapping[str, Quarantine],
) -> Report:
    """Return the inventory's devices as a report. The maps are by device name, and need not name every device."""

    def listed(device: Device) -> ListedDevice:
        known, probed_at = facts.get(device.name, (None, None))
        return ListedDevice(device, known, probed_at, holdings.get(device.name), quarantines.get(device.name))

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.fleet import device_table

        return device_table(devices, facts, holdings, quarantines)

    return Report([listed(device) for device in devices], DEVICES, draw)
