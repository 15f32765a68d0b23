"""Keep the leases of one driver: claim, renew while it lives, queue for what is in use, give back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.lease import Busy, Claim, Granted, Lease, StartLease
from orchestrator.services.tenant import Tenant
from orchestrator.store.base import Leases

RENEWALS_PER_LEASE = 3
POLL_S = 2.0
"""How often a place in a queue is looked at."""


class DeviceLeases:
    """The leases that a driver holds or waits for, of one run; all calls come from the driver's thread.

    What ends is collected, and written with the next `settle`.
    """

    def __init__(
        self,
        store: Leases,
        run: str,
        tenant: Tenant,
        *,
        collects: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._claim = Claim(
            tenant.holder,
            tenant.controller,
            run,
            None,
            tenant.lease_s,
            tenant.reservation,
            queues=tenant.waits,
            place_s=tenant.lease_s,
            collects=collects,
        )
        self._clock = clock
        self._renewal_s = tenant.lease_s / RENEWALS_PER_LEASE
        self._held: dict[str, Lease] = {}
        self._waiting: dict[str, tuple[Device, int]] = {}
        self._ended: list[int] = []
        self._left: dict[int, float] = {}
        self._renew_at = math.inf
        self._ask_at = math.inf
        self._database: str | None = None

    @property
    def ids(self) -> Mapping[str, int]:
        """Return the leases by device, for the database to check what is written."""
        return {name: lease.id for name, lease in self._held.items()}

    def has(self, device: str) -> bool:
        """Say whether a device is leased to this driver."""
        return device in self._held

    def has_exclusively(self, device: str) -> bool:
        """Say whether a device is this driver's alone, to do with as it must."""
        lease = self._held.get(device)
        return lease is not None and lease.exclusive

    @property
    def pause_s(self) -> float | None:
        """Return how long the driver may sleep; None for as long as it likes."""
        due = min(self._renew_at, self._ask_at)
        return None if due == math.inf else max(0.0, due - self._clock())

    def claim(self, devices: Sequence[Device]) -> Mapping[str, Granted | Busy]:
        """Claim devices; return what became of each."""
        places = {name: place for name, (_, place) in self._waiting.items()}
        answers = self._store.claim_leases(devices, self._claim, places)
        for device in devices:
            answer = answers[device.name]
            self._waiting.pop(device.name, None)
            if isinstance(answer, Granted):
                self._held[device.name] = answer.lease
            elif answer.waiting is not None:
                self._waiting[device.name] = (device, answer.waiting)
        now = self._clock()
        if self._held:
            self._renew_at = min(self._renew_at, now + self._renewal_s)
        self._ask_at = now + min(POLL_S, self._renewal_s) if self._waiting else math.inf
        return answers

    def ask_if_due(self) -> Mapping[str, Granted | Busy]:
        """Look at the queues that it is in, when it is time to; return what became of each place."""
        if self._clock() < self._ask_at:
            return {}
        return self.claim([device for device, _ in self._waiting.values()])

    def renew_if_due(self) -> Sequence[LeaseLost]:
        """Renew every lease when it is time to; return those that are lost."""
        if self._clock() < self._renew_at:
            return ()
        lost = self._store.renew_leases({lease.id: self._tenant.lease_s for lease in self._held.values()})
        for one in lost:
            self._held.pop(one.device, None)
        self._renew_at = self._clock() + self._renewal_s if self._held else math.inf
        return lost

    def for_start(self, device: str, estimate_s: float | None) -> StartLease | None:
        """Return what the device is told of the lease under which it starts a plan."""
        lease = self._held.get(device)
        if lease is None or lease.token is None:
            return None
        if self._database is None:
            self._database = self._store.database_id()
        return StartLease(self._database, device, lease.token, self._tenant.holder, estimate_s)

    def end(self, device: str) -> None:
        """Give a device back, or the place in its queue."""
        if device in self._held:
            self._ended.append(self._held.pop(device).id)
        if device in self._waiting:
            self._ended.append(self._waiting.pop(device)[1])

    def leave_running(self, device: str, longest_s: float) -> None:
        """Let a lease last while the device goes on by itself, at most so long; nobody renews it from now on."""
        lease = self._held.get(device)
        if lease is None or not lease.exclusive:
            self.end(device)
            return
        self._left[lease.id] = self._tenant.lease_s + longest_s
        del self._held[device]

    def settle(self) -> None:
        """Write down what has ended, and what goes on by itself."""
        if self._left:
            left, self._left = self._left, {}
            self._store.renew_leases(left)
        if self._ended:
            ended, self._ended = self._ended, []
            self._store.end_leases(ended)

    @property
    def holders(self) -> Sequence[str]:
        """Return the devices that it holds or waits for."""
        return [*self._held, *self._waiting]
