"""Keep the leases of a driver: ask, queue for busy devices, have leases renewed, give back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.lease import Busy, Granted, Lease, LeaseRequest, StartLease
from orchestrator.driving.identity import ControllerIdentity
from orchestrator.driving.renewals import RENEWALS_PER_LEASE, Renewals, Renewed
from orchestrator.store.base import Leases

POLL_S = 2.0
"""The pause between two looks at a place in a queue."""


class DeviceLeases:
    """Hold the leases of a driver, and the driver's places in queues. All calls come from the driver's thread.

    Ended leases are collected, and written by the next `settle`. `tell` is called in another thread, with the outcome
    of each renewal.
    """

    def __init__(
        self,
        records: Leases,
        run: str,
        identity: ControllerIdentity,
        tell: Callable[[Renewed], None],
        *,
        collects: bool = False,
        takes_turns: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._identity = identity
        self._request = LeaseRequest(
            identity.holder,
            identity.controller,
            run,
            None,
            identity.lease_s,
            identity.reservation,
            queues=identity.waits,
            place_s=identity.lease_s,
            collects=collects,
            takes_turns=takes_turns,
        )
        self._clock = clock
        self._renewal_s = identity.lease_s / RENEWALS_PER_LEASE
        self._held: dict[str, Lease] = {}
        self._ids: dict[str, int] = {}  # kept beside, since each write asks for them
        self._waiting: dict[str, tuple[Device, int]] = {}
        self._ended: list[int] = []
        self._left: dict[int, float] = {}
        self._going_on: set[int] = set()
        self._ask_at = math.inf
        self._database: str | None = None
        self._renewals = Renewals(records, self._ids, identity.lease_s, tell)

    @property
    def ids(self) -> Mapping[str, int]:
        """Return the leases' ids by device: the database checks each write by the ids."""
        return self._ids

    @property
    def pause_s(self) -> float | None:
        """Return the seconds until the next look at a queue; None if none is due."""
        return None if self._ask_at == math.inf else max(0.0, self._ask_at - self._clock())

    def request(self, devices: Sequence[Device]) -> Mapping[str, Granted | Busy]:
        """Ask for devices. Return the answer for each."""
        places = {name: place for name, (_, place) in self._waiting.items()}
        answers = dict(self._records.request_leases(devices, self._request, places))
        for device in devices:
            answer = answers[device.name] = self._without_endless_turn(answers[device.name])
            self._waiting.pop(device.name, None)
            if isinstance(answer, Granted):
                self._held[device.name] = answer.lease
                self._ids[device.name] = answer.lease.id
            elif answer.waiting is not None:
                self._waiting[device.name] = (device, answer.waiting)
        if self._held:
            self._renewals.begin()
        # Each look renews the place, which must not run out between two looks.
        self._ask_at = self._clock() + min(POLL_S, self._renewal_s) if self._waiting else math.inf
        return answers

    def confirm(self, devices: Sequence[Device]) -> Mapping[str, Busy]:
        """Look again at leases, after facts have told the machines. Return the answers for given-up leases."""
        held = {device.name: self._held[device.name].id for device in devices if device.name in self._held}
        answers = self._records.confirm_leases(devices, self._request, held)
        for device in devices:
            answer = answers.get(device.name)
            if answer is None:
                continue
            self._drop(device.name)
            if answer.waiting is not None:
                self._waiting[device.name] = (device, answer.waiting)
                self._ask_at = min(self._ask_at, self._clock() + min(POLL_S, self._renewal_s))
        return answers

    def ask_if_due(self) -> Mapping[str, Granted | Busy]:
        """Look at every place in a queue, when due. Return the answer for each device."""
        if self._clock() < self._ask_at:
            return {}
        return self.request([device for device, _ in self._waiting.values()])

    def take(self, renewed: Renewed) -> Sequence[LeaseLost]:
        """Return the leases found lost by a renewal, and still held here. Raise the error of a renewal."""
        if renewed.error is not None:
            raise renewed.error
        # By id: the driver may have given back the lease meanwhile, and got the device again.
        lost = [one for key, one in renewed.lost.items() if self._ids.get(one.device) == key]
        for one in lost:
            self._drop(one.device)
        return lost

    def for_start(self, device: str, estimate_s: float | None) -> StartLease | None:
        """Return the lease in the form for the device, at the start of a plan."""
        lease = self._held.get(device)
        if lease is None or lease.token is None:
            return None
        if self._database is None:
            self._database = self._records.database_id()
        return StartLease(self._database, device, lease.token, self._identity.holder, estimate_s)

    def end(self, device: str) -> None:
        """Give a device back, or the place in the device's queue."""
        if device in self._held:
            self._ended.append(self._drop(device).id)
        if device in self._waiting:
            self._ended.append(self._waiting.pop(device)[1])

    def leave_running(self, device: str, longest_s: float) -> None:
        """Let a lease last for `longest_s` more, without renewals: the device goes on by itself."""
        lease = self._held.get(device)
        # A shared lease started no runner: there is nothing to be kept for.
        if lease is None or not lease.exclusive:
            self.end(device)
            return
        # No controller is there to renew: the lease must outlast the plan by itself.
        self._left[lease.id] = self._identity.lease_s + longest_s
        self._going_on.add(lease.id)
        self._drop(device)

    def settle(self) -> None:
        """Write the ended leases, and the longer leases of devices going on by themselves."""
        if not self._left and not self._ended:
            return
        left, self._left = self._left, {}
        ended, self._ended = self._ended, []
        with self._renewals.none_under_way():
            if left:
                self._records.leave_leases(left)
            if ended:
                self._records.end_leases(ended)
        # Perhaps for a device that was just given back, or left, under another name of its machine.
        if self._waiting:
            self._ask_at = self._clock()

    def close(self) -> None:
        """Renew no lease any more."""
        self._renewals.close()

    def _without_endless_turn(self, answer: Granted | Busy) -> Granted | Busy:
        """Give up a place behind another name of the run, going on by itself: its end would not be heard here."""
        if isinstance(answer, Granted) or answer.waiting is None or self._identity.waits:
            return answer
        if self._going_on.isdisjoint(lease.id for lease in answer.held):
            return answer
        self._ended.append(answer.waiting)
        return replace(answer, waiting=None)

    def _drop(self, device: str) -> Lease:
        del self._ids[device]
        return self._held.pop(device)

    @property
    def devices(self) -> Sequence[str]:
        """Return the devices held or waited for."""
        return [*self._held, *self._waiting]
