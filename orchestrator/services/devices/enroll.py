"""Enrol a device: show a person the device's host key, and put the key on record after a yes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from orchestrator.domain.device import Device
from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring, HostKeys

AT_ONCE = 16
"""So many devices are asked for their keys at once."""


def enroll(device: str, wiring: FleetWiring, agreed: Callable[[Enrollment], bool]) -> Enrollment:
    """Show the host key of a declared device by `agreed`, and record the key after a yes.

    Raise ConfigError for a device without a host key, HostKeyChanged if another key is on record.
    """
    return enroll_device(wiring.inventory().device(device), wiring.host_keys(), agreed)


def enroll_device(device: Device, host_keys: HostKeys, agreed: Callable[[Enrollment], bool]) -> Enrollment:
    """Show the key by `agreed`, and record the key after a yes. A key on record is not asked about."""
    if not device.transport.has_host_key:
        raise ConfigError(f"{device.name} is not reached by ssh and has no host key", f"declared at {device.source}")
    seen = host_keys.look(device)
    if seen.recorded or not agreed(seen):
        return seen
    return host_keys.record(device)


def enroll_shelf(
    select: str, wiring: FleetWiring, agreed: Callable[[Sequence[Enrollment]], bool]
) -> Mapping[str, Enrollment | DeviceError]:
    """Show the new host keys of selected devices by `agreed`, all together, and record the keys after one yes.

    Devices without a host key are left out. Return the enrolment or the error of each device: a device that cannot be
    reached, or that shows another key than the key on record, is a value. Raise ConfigError where no device has a key.
    """
    devices = [device for device in wiring.inventory().select(select) if device.transport.has_host_key]
    if not devices:
        raise ConfigError(f"--select {select}: none of these devices is reached by ssh", "benchfleet devices list")
    host_keys = wiring.host_keys()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = dict(
            zip((one.name for one in devices), pool.map(lambda one: _look(host_keys, one), devices), strict=True)
        )
    new = [one for one in seen.values() if isinstance(one, Enrollment) and not one.recorded]
    if new and agreed(new):
        wanted = {one.device for one in new}
        seen |= {device.name: _record(host_keys, device) for device in devices if device.name in wanted}
    return seen


def _look(host_keys: HostKeys, device: Device) -> Enrollment | DeviceError:
    try:
        return host_keys.look(device)
    except DeviceError as error:
        return error


def _record(host_keys: HostKeys, device: Device) -> Enrollment | DeviceError:
    try:
        return host_keys.record(device)
    except DeviceError as error:
        return error
