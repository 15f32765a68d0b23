"""Let a person have a device, or keep it from everybody: reserve and release, quarantine and readmit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, DeviceReserved
from orchestrator.domain.lease import Busy, Claim, Granted, Lease
from orchestrator.domain.recovery import Quarantine
from orchestrator.services.device_leases import POLL_S, RENEWALS_PER_LEASE
from orchestrator.services.tenant import TEXT_MAX, Tenant
from orchestrator.services.way_out import way_out
from orchestrator.store.base import Leases, RecoveryRecords

OnWait = Callable[[Busy], None]
"""Hears of each place in the queue that is news."""


def reserve_device(
    device: Device,
    lasts_s: float,
    reason: str,
    tenant: Tenant,
    store: Leases,
    *,
    on_wait: OnWait,
    pause: Callable[[float], None] = time.sleep,
) -> Lease:
    """Reserve a device, from now or from when its turn comes; raise DeviceReserved where it is somebody else's.

    The time begins when the device is granted. Whatever ends the waiting, no place in the queue is left behind.
    """
    why, place_s = _reason(reason, "say what the device is needed for"), tenant.lease_s
    claim = Claim(tenant.holder, tenant.controller, None, why, lasts_s, queues=tenant.waits, place_s=place_s)
    answer = store.claim_leases([device], claim)[device.name]
    if isinstance(answer, Busy) and answer.waiting is not None:
        answer = _Queueing(device, claim, store).wait(answer, on_wait, pause)
    if isinstance(answer, Busy):
        raise DeviceReserved(answer.refusal, way_out(answer, tenant.holder), device=device.name)
    return answer.lease


class _Queueing:
    """A place in the queue of one device."""

    def __init__(self, device: Device, claim: Claim, store: Leases) -> None:
        self._device = device
        self._claim = claim
        self._store = store

    def wait(self, busy: Busy, on_wait: OnWait, pause: Callable[[float], None]) -> Granted:
        """Return when the device is granted; an exception gives the place back."""
        name, answer, shown = self._device.name, busy, ""
        place: int | None = busy.waiting
        try:
            while True:
                if (words := f"{answer.ahead} {answer.sentence}") != shown:
                    shown = words
                    on_wait(answer)
                pause(min(POLL_S, self._claim.place_s / RENEWALS_PER_LEASE))
                places = {} if place is None else {name: place}
                now = self._store.claim_leases([self._device], self._claim, places)[name]
                if isinstance(now, Granted):
                    place = None
                    return now
                answer, place = now, now.waiting
        finally:
            if place is not None:
                self._store.end_leases([place])


def require_reservation(tenant: Tenant, devices: Sequence[str], store: Leases) -> None:
    """Raise ConfigError where a reservation is named that none of these devices has: it is over, or never was."""
    if tenant.reservation is None:
        return
    held = [lease for holding in store.holdings(devices).values() for lease in holding.held if lease.is_reservation]
    if all(lease.id != tenant.reservation for lease in held):
        words = f"there is no reservation {tenant.reservation} of {', '.join(devices)}"
        raise ConfigError(words, "benchfleet devices list says who has what")


def release_device(name: str, tenant: Tenant, store: Leases) -> Lease:
    """End a reservation: one's own, or the one that is named by its id; raise where there is none of these."""
    holding = store.holdings([name]).get(name)
    found = [lease for lease in holding.held if lease.is_reservation] if holding else []
    if not found:
        raise ConfigError(f"{name}: nobody has reserved it", "benchfleet devices list says who has what")
    lease = found[0]
    require_reservation(tenant, [name], store)
    if lease.holder != tenant.holder and lease.id != tenant.reservation:
        hint = f"it ends by itself; to end it early, as agreed with them: {_release(lease)}"
        raise DeviceReserved(f"reserved by {lease.holder}, not by {tenant.holder}", hint, device=name)
    store.end_leases([lease.id])
    return lease


def _release(lease: Lease) -> str:
    return f"benchfleet devices release {lease.device} --reservation {lease.id}"


def quarantine_device(device: Device, reason: str, tenant: Tenant, store: RecoveryRecords) -> Quarantine:
    """Keep further runs from a device; one that is in quarantine already stays so for its first reason."""
    return store.quarantine(device, _reason(reason, "say what is wrong with the device"), tenant.holder)


def readmit_device(name: str, tenant: Tenant, store: RecoveryRecords) -> Quarantine:
    """End a device's quarantine; raise ConfigError where there is none."""
    ended = store.readmit(name, tenant.holder)
    if ended is None:
        raise ConfigError(f"{name}: it is not in quarantine", "benchfleet devices list says which are")
    return ended


def _reason(text: str, hint: str) -> str:
    if not text.isprintable() or not 0 < len(text.strip()) <= TEXT_MAX:
        raise ConfigError(f"--reason: one line of at most {TEXT_MAX} characters", hint)
    return text.strip()
