"""Load inventory files and merge them. A device name is unique over all files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.domain.device import SITE_TAG, STATE_DIR, USUAL_LIMITS, Device, Limits, TransportKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.recovery import PowerCycle, Recovery
from orchestrator.inventory.power import meter_of, power_complaints, sources_of
from orchestrator.inventory.schema import DefaultsSection, DeviceSection, InventorySection
from orchestrator.specs.document import Document
from orchestrator.specs.paths import expanded, is_special
from orchestrator.specs.schema import Complaint, load_section, refuse

SUFFIXES = (".yaml", ".yml")
RESCUES = ("reboot", "power_cycle")
NOT_RESCUED = {
    TransportKind.LOCAL.value: "would end the controller, which runs on this machine",
    TransportKind.RAY.value: "would end the gateway, which runs on the device",
}
"""Why a reboot or a power-cycle is refused, by transport."""
SSH_KEYS = ("host", "user", "port", "identity_file", "jump")

_INIT_HINT = "`benchfleet init DIR` writes an inventory; --inventory PATH names yours"


def load_inventory(paths: Sequence[Path]) -> Inventory:
    """Read all given files, and all *.yaml and *.yml files of the given folders, into one inventory.

    Raise ConfigError, with file and line, for a wrong file, for a name declared twice, for a power switch shared by two
    devices, and for jump hosts in a circle.
    """
    enabled: dict[str, Device] = {}
    disabled: dict[str, Device] = {}
    for path in _files(paths):
        loaded = _load_file(path)
        for device in loaded.devices:
            earlier = enabled.get(device.name) or disabled.get(device.name)
            if earlier is not None:
                raise ConfigError(
                    f"{device.source}: device {device.name!r} is already declared at {earlier.source}",
                    hint="rename one, or set `disabled: true` at the top of the file that is not in use",
                )
            (disabled if device.name in loaded.disabled else enabled)[device.name] = device
    _refuse_shared_switches(enabled.values())
    return _connect_jumps(enabled, disabled)


def _refuse_shared_switches(devices: Iterable[Device]) -> None:
    """Raise ConfigError if two devices name the same power commands: cycling one would cut the other's power."""
    users: dict[tuple[tuple[str, ...], tuple[str, ...]], Device] = {}
    for device in devices:
        cycle = device.recovery.power_cycle
        first = device if cycle is None else users.setdefault((cycle.off, cycle.on), device)
        if first is not device:
            raise ConfigError(
                f"{device.source}: the power_cycle of {device.name} switches {first.name} already, at {first.source}",
                "correct one of the two; if one switch feeds both, name it for neither: a switch belongs to one device",
            )


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise ConfigError(f"{path}: no such inventory file or folder", hint=_INIT_HINT) from None
        except OSError as error:  # a folder on the way may be closed to this user
            raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=_INIT_HINT) from None
        for file in _in_folder(path) if path.is_dir() else [path]:
            # A file named twice, or through a link, would declare each of its devices a second time.
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _in_folder(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from None
    if not files:
        raise ConfigError(f"{folder}: no inventory file (*.yaml) in this folder", hint=_INIT_HINT)
    for file in files:
        # Opening a pipe waits for a writer, perhaps for ever.
        if is_special(file):
            raise ConfigError(f"{file}: not a regular file", hint="move this entry out of the inventory folder")
    return files


@dataclass(frozen=True, slots=True)
class _LoadedFile:
    devices: tuple[Device, ...]
    disabled: frozenset[str]


def _load_file(path: Path) -> _LoadedFile:
    """Read one file. A disabled file is checked like any other file, and gives no devices."""
    section, document = load_section(path, InventorySection)
    complaints = [*_shared_switches(section), *power_complaints(("defaults",), section.defaults.power)]
    if meter_of(section.defaults.power) is not None:
        complaints.append(Complaint(("defaults", "power"), "a meter belongs to one device, not to all"))
    for name, device in section.devices.items():
        complaints += _contradictions(name, device, section.defaults)
        complaints += power_complaints(("devices", name), device.power)
    if complaints:
        raise refuse(document, complaints)
    if section.disabled:
        return _LoadedFile((), frozenset())
    reader = _DeviceReader(section.defaults, document, path.parent)
    return _LoadedFile(
        tuple(reader.read(name, device) for name, device in section.devices.items()),
        frozenset(name for name, device in section.devices.items() if device.disabled),
    )


def _contradictions(name: str, device: DeviceSection, defaults: DefaultsSection) -> Iterator[Complaint]:
    if device.transport in NOT_RESCUED:
        for key in SSH_KEYS:
            if getattr(device, key) is not None:
                yield Complaint(("devices", name, key), f"{name}: a {device.transport} device has no {key!r}")
    transport = device.transport or defaults.transport
    if transport in NOT_RESCUED:
        for key in RESCUES:
            if getattr(device.recovery, key) is not None:
                yield Complaint(("devices", name, "recovery", key), f"{name}: {key!r} {NOT_RESCUED[transport]}")
    if transport == TransportKind.RAY and device.node is None:
        yield Complaint(
            ("devices", name),
            f"{name}: the inventory does not say which node of the Ray cluster it is",
            f"node: {{host: {name}}}, and on the device: ray start --address=HEAD:PORT --labels host={name}",
        )
    if transport != TransportKind.RAY and device.node is not None:
        yield Complaint(("devices", name, "node"), f"{name}: 'node' is for `transport: ray` alone")
    if device.jump == name:
        yield Complaint(("devices", name, "jump"), f"{name}: a device cannot be its own jump host")


def _shared_switches(section: InventorySection) -> Iterator[Complaint]:
    """Complain of a power_cycle in `defaults`: all devices of the file would share the switch."""
    if section.defaults.recovery.power_cycle is not None:
        yield Complaint(("defaults", "recovery", "power_cycle"), "a switch belongs to one device, not to all")


class _DeviceReader:
    """Complete the devices of one file by the file's defaults."""

    def __init__(self, defaults: DefaultsSection, document: Document, folder: Path) -> None:
        self._defaults = defaults
        self._document = document
        self._folder = folder

    def read(self, name: str, device: DeviceSection) -> Device:
        transport = TransportKind(self._pick(device, "transport") or TransportKind.SSH)
        common = Device(
            name=name,
            transport=transport,
            python=self._pick(device, "python"),
            state_dir=self._pick(device, "state_dir") or STATE_DIR,
            exclusive=self._pick(device, "exclusive") is not False,
            allow=tuple(dict.fromkeys(self._pick(device, "allow"))),
            tags=self._all_tags(name, device),
            limits=self._limits(device),
            recovery=self._recovery(device),
            power_sources=sources_of(self._pick(device, "power")),
            meter=meter_of(self._pick(device, "power")),
            node=self._labels(name, device) if transport is TransportKind.RAY else {},
            gpu=device.gpu,
            source=self._document.where(("devices", name)),
        )
        return self._with_address(common, device) if transport is TransportKind.SSH else common

    def _with_address(self, common: Device, device: DeviceSection) -> Device:
        identity = self._pick(device, "identity_file")
        jump = self._pick(device, "jump")
        return replace(
            common,
            host=device.host or common.name,
            user=self._pick(device, "user"),
            port=self._pick(device, "port"),
            # Relative to the inventory file, so that the same inventory works from every working folder.
            identity_file=str((self._folder / expanded(identity)).absolute()) if identity else None,
            # A default jump host covers all devices of the file, the jump host included.
            jump=None if jump == common.name else jump,
        )

    def _pick(self, device: DeviceSection, key: str) -> Any:
        """Return the device's own value, an explicit null included. Without such a key return the default."""
        return getattr(device if key in device.model_fields_set else self._defaults, key)

    def _all_tags(self, name: str, device: DeviceSection) -> Mapping[str, str]:
        """Return the tags of a device. Its site is one of them, so that selectors and comparisons know it."""
        tags = {**self._tags(("defaults",), self._defaults), **self._tags(("devices", name), device)}
        site = self._pick(device, "site")
        return tags if site is None else {**tags, SITE_TAG: site}

    def _tags(self, place: tuple[str, ...], section: DefaultsSection) -> Mapping[str, str]:
        """Return the tags with each value as written in the file: YAML would turn `os: 22.10` into 22.1."""
        return {key: self._document.scalar((*place, "tags", key)) or "" for key in section.tags}

    def _labels(self, name: str, device: DeviceSection) -> Mapping[str, str]:
        """Return the labels of a device's node, as written like tags."""
        return {key: self._document.scalar(("devices", name, "node", key)) or "" for key in device.node or ()}

    def _limits(self, device: DeviceSection) -> Limits:
        own, default = device.limits, self._defaults.limits
        # Several devices played on one machine are each other's load, which no limit may hold against all of them.
        usual = {} if self._pick(device, "exclusive") is False else USUAL_LIMITS
        values = {**usual, **default.model_dump(exclude_unset=True), **own.model_dump(exclude_unset=True)}
        for key in ("cooldown_s_max", "cache_bytes_max"):
            # These limits always have a value. An explicit null therefore means the built-in default.
            if values.get(key, 0) is None:
                del values[key]
        return Limits(**values)

    def _recovery(self, device: DeviceSection) -> Recovery:
        own, default = device.recovery, self._defaults.recovery
        values = {**default.model_dump(exclude_unset=True), **own.model_dump(exclude_unset=True)}
        if self._pick(device, "transport") in NOT_RESCUED:
            # The file's defaults for rescues are meant for the other devices. A device's own were refused before.
            values = {key: value for key, value in values.items() if key not in RESCUES}
        cycle = values.pop("power_cycle", None)
        reboot = values.pop("reboot", None)
        retries = values.pop("retries", None)
        return Recovery(
            **{key: value for key, value in values.items() if value is not None},
            # A sweep has `retries` of trials; the file's word stands for connections here.
            connect_retries=retries or 0,
            reboot=tuple(reboot or ()),
            power_cycle=_power_cycle(cycle) if cycle else None,
        )


def _power_cycle(said: Mapping[str, Any]) -> PowerCycle:
    lasts = {} if said.get("off_s") is None else {"off_s": said["off_s"]}
    return PowerCycle(tuple(said["on"]), tuple(said.get("off") or ()), **lasts)


def _connect_jumps(enabled: Mapping[str, Device], disabled: Mapping[str, Device]) -> Inventory:
    """Return the inventory with `jump_device` set to the whole device of each jump host, recursively.

    A disabled device may serve as jump host. A jump name outside the inventory is left to ssh.
    """
    declared = {**enabled, **disabled}

    def connect(device: Device, behind: tuple[str, ...]) -> Device:
        if device.name in behind:
            circle = " -> ".join((*behind, device.name))
            raise ConfigError(
                f"{device.source}: the jump hosts go in a circle: {circle}",
                hint="set `jump: none` on the host that is reached directly (`defaults` apply to jump hosts too)",
            )
        through = declared.get(device.jump) if device.jump else None
        if through is None:
            return device
        if through.transport is not TransportKind.SSH:
            what = "this machine" if through.transport is TransportKind.LOCAL else "a node of a Ray cluster"
            raise ConfigError(
                f"{device.source}: {device.name} cannot jump through {through.name}, which is {what}",
                hint=f"remove `jump: {through.name}`, or write `jump: none` for this device if `defaults` say it",
            )
        return replace(device, jump_device=connect(through, (*behind, device.name)))

    return Inventory(
        {name: connect(device, ()) for name, device in enabled.items()},
        {name: connect(device, ()) for name, device in disabled.items()},
    )
