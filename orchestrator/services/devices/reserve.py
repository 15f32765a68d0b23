"""Reserve and release a device for a person, and keep a device from every run: quarantine and readmit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, DeviceReserved
from orchestrator.domain.lease import Busy, Granted, Lease, LeaseRequest
from orchestrator.domain.recovery import Quarantine
from orchestrator.driving.identity import TEXT_MAX, ControllerIdentity
from orchestrator.driving.leases import POLL_S
from orchestrator.driving.renewals import RENEWALS_PER_LEASE
from orchestrator.store.base import DeviceRecords, Leases, RecoveryRecords

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring

OnWait = Callable[[Busy], None]
"""Hears of a place in the queue, at first and after each change."""


@dataclass(frozen=True, slots=True)
class ReserveRequest:
    """Ask for a device for `lasts_s` seconds. `waits`: queue for a busy device."""

    device: str
    lasts_s: float
    reason: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Reserved:
    """Hold a reservation. `twins`: other names of the machine. `is_machine_known`: the device has told its machine."""

    lease: Lease
    twins: tuple[str, ...]
    is_machine_known: bool


def reserve(request: ReserveRequest, wiring: FleetWiring, on_wait: OnWait) -> Reserved:
    """Reserve a device of the inventory for the caller's own runs, with all names of its machine.

    Raise DeviceReserved for a device of another holder, unless the request waits. Raise ConfigError for
    an unknown device, or for a reason of several lines.
    """
    inventory, store = wiring.inventory(), wiring.store
    device = inventory.device(request.device)
    identity = wiring.identity(waits=request.waits)
    lease = reserve_device(device, request.lasts_s, request.reason, identity, store.leases, on_wait=on_wait)
    others = [other for other in inventory.devices.values() if other.name != device.name]
    return Reserved(lease, *_machine_of(device, others, store.devices))


def _machine_of(device: Device, others: Sequence[Device], records: DeviceRecords) -> tuple[tuple[str, ...], bool]:
    """Return the other names of a device's machine, and whether the device has told its machine."""
    known = records.latest_facts([device.name, *(other.name for other in others)])
    machines = {name: facts.machine for name, (facts, _) in known.items() if facts.machine is not None}
    machine = machines.get(device.name)
    # Two devices that both allow company share their machine, but no lease.
    shared = [other for other in others if other.exclusive or device.exclusive]
    return tuple(other.name for other in shared if machine and machines.get(other.name) == machine), machine is not None


def release(device: str, wiring: FleetWiring, reservation: int | None = None) -> Lease:
    """End the caller's reservation of a device, or the reservation with an id, of any holder.

    Return the ended lease. Raise ConfigError if there is no such reservation, DeviceReserved if the reservation of the
    device is another holder's.
    """
    name = wiring.inventory().device(device).name
    return release_device(name, wiring.identity(reservation=reservation), wiring.store.leases)


def quarantine(device: str, reason: str, wiring: FleetWiring) -> tuple[Quarantine, bool]:
    """Keep further runs from a device. Return its quarantine, and True for a device already in quarantine."""
    declared = wiring.inventory().device(device)
    known = wiring.store.recovery.quarantines([declared.name])  # before the write: afterwards both cases look the same
    return quarantine_device(declared, reason, wiring.identity(), wiring.store.recovery), bool(known)


def readmit(device: str, wiring: FleetWiring) -> Quarantine:
    """Let runs use a device again. Raise ConfigError for a device outside of quarantine."""
    name = wiring.inventory().device(device).name
    return readmit_device(name, wiring.identity(), wiring.store.recovery)


def reserve_device(
    device: Device,
    lasts_s: float,
    reason: str,
    identity: ControllerIdentity,
    leases: Leases,
    *,
    on_wait: OnWait,
    pause: Callable[[float], None] = time.sleep,
) -> Lease:
    """Reserve a device now, or queue for the device. Raise DeviceReserved for a device of another holder.

    The `lasts_s` seconds begin with the grant. An end of any kind leaves no place in the queue behind.
    """
    why, place_s = _reason(reason, "say what the device is needed for"), identity.lease_s
    request = LeaseRequest(
        identity.holder, identity.controller, None, why, lasts_s, queues=identity.waits, place_s=place_s
    )
    answer = leases.request_leases([device], request)[device.name]
    if isinstance(answer, Busy) and answer.waiting is not None:
        answer = _Queueing(device, request, leases).wait(answer, on_wait, pause)
    if isinstance(answer, Busy):
        raise DeviceReserved(answer.refusal, identity.advice(answer), device=device.name)
    return answer.lease


class _Queueing:
    """Hold a place in the queue of one device."""

    def __init__(self, device: Device, request: LeaseRequest, leases: Leases) -> None:
        self._device = device
        self._request = request
        self._leases = leases

    def wait(self, busy: Busy, on_wait: OnWait, pause: Callable[[float], None]) -> Granted:
        """Wait until the device is granted. An exception gives the place back."""
        name, answer, shown = self._device.name, busy, ""
        place: int | None = busy.waiting
        try:
            while True:
                # Said again only after a change: the queue is looked at every two seconds.
                if (words := f"{answer.ahead} {answer.sentence}") != shown:
                    shown = words
                    on_wait(answer)
                # A place ends by itself after `place_s`, like a lease, and each look renews the place.
                pause(min(POLL_S, self._request.place_s / RENEWALS_PER_LEASE))
                places = {} if place is None else {name: place}
                now = self._leases.request_leases([self._device], self._request, places)[name]
                if isinstance(now, Granted):
                    place = None  # a granted place has the id of the lease, and must not be ended below
                    return now
                answer, place = now, now.waiting
        finally:
            if place is not None:
                self._leases.end_leases([place])


def require_reservation(identity: ControllerIdentity, devices: Sequence[str], leases: Leases) -> None:
    """Raise ConfigError if the identity names a reservation of none of the devices.

    Such a reservation is over, or never was.
    """
    if identity.reservation is None:
        return
    holdings = leases.holdings(devices).values()
    held = [lease for holding in holdings for lease in (*holding.held, *holding.beside) if lease.is_reservation]
    if all(lease.id != identity.reservation for lease in held):
        words = f"there is no reservation {identity.reservation} of {', '.join(devices)}"
        raise ConfigError(words, "benchfleet devices list says who has what")


def release_device(name: str, identity: ControllerIdentity, leases: Leases) -> Lease:
    """End the identity's own reservation of a device, or the reservation named by the identity.

    Raise ConfigError without such a reservation, and DeviceReserved for another holder's reservation without its id.
    """
    holding = leases.holdings([name]).get(name)
    found = [lease for lease in holding.held if lease.is_reservation] if holding else []
    beside = [lease for lease in holding.beside if lease.is_reservation] if holding else []
    if not found and beside:
        other = beside[0].device
        hint = f"benchfleet devices release {other}"
        raise ConfigError(f"{name}: nobody has reserved it by this name, but its machine as {other}", hint)
    if not found:
        raise ConfigError(f"{name}: nobody has reserved it", "benchfleet devices list says who has what")
    lease = found[0]
    require_reservation(identity, [name], leases)
    if lease.holder != identity.holder and lease.id != identity.reservation:
        hint = f"it ends by itself; to end it early, as agreed with them: {_release(lease)}"
        raise DeviceReserved(f"reserved by {lease.holder}, not by {identity.holder}", hint, device=name)
    leases.end_leases([lease.id])
    return lease


def _release(lease: Lease) -> str:
    return f"benchfleet devices release {lease.device} --reservation {lease.id}"


def quarantine_device(
    device: Device, reason: str, identity: ControllerIdentity, records: RecoveryRecords
) -> Quarantine:
    """Keep further runs from a device. A device already in quarantine keeps the first reason."""
    return records.quarantine(device, _reason(reason, "say what is wrong with the device"), identity.holder)


def readmit_device(name: str, identity: ControllerIdentity, records: RecoveryRecords) -> Quarantine:
    """End a device's quarantine. Raise ConfigError if there is no quarantine."""
    ended = records.readmit(name, identity.holder)
    if ended is None:
        raise ConfigError(f"{name}: it is not in quarantine", "benchfleet devices list says which are")
    return ended


def _reason(text: str, hint: str) -> str:
    # The reason stands in other people's lists and in hints, each on one line.
    if not text.isprintable() or not 0 < len(text.strip()) <= TEXT_MAX:
        raise ConfigError(f"--reason: one line of at most {TEXT_MAX} characters", hint)
    return text.strip()
