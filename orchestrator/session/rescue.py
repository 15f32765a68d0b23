"""Bring a device back that does not come back by itself: reboot it, or cycle its power, and wait for another boot."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import closing

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import AuthenticationFailed, DeviceError, LinkLost, NoAnswer, RebootFailed
from orchestrator.domain.recovery import Rescue, Rung
from orchestrator.meters.base import PowerSwitch
from orchestrator.session import answers
from orchestrator.transport.base import Connector, Transport

PAUSE_S = 1.0
PAUSE_S_MAX = 10.0
COMMAND_S_MAX = 30.0
STATUS_UNKNOWN = -1
"""Of a command whose end was not seen, as that of a reboot need not be."""

WHILE_BOOTING = (RebootFailed, AuthenticationFailed)
"""A home or a /proc that is not mounted yet."""

_TELL_BOOT = "print(open('/proc/sys/kernel/random/boot_id').read().strip())"


class Rescuer:
    """One use: `rescue` a device; it stops waiting once `told_to_close` is set."""

    def __init__(
        self, device: Device, connector: Connector, switch: PowerSwitch, told_to_close: threading.Event
    ) -> None:
        self._device = device
        self._connector = connector
        self._switch = switch
        self._told_to_close = told_to_close

    def rescue(self, rescue: Rescue) -> Rung:
        """Return what was done once the device answers from another boot; raise DeviceError where it does not.

        A device that answers after all, where only a silent one is to be touched, is left as it is: that was a retry.
        """
        if rescue.rung is Rung.REBOOT:
            before: str | None = self._boot_id()
            self._pause(0)
            self._order_reboot()
        else:
            before, answers_now = self._look()
            if answers_now and rescue.if_silent:
                return Rung.RETRY
            self._pause(0)
            self._switch.cycle(self._device, self._pause)
        self._await_other_boot(before)
        return rescue.rung

    def _order_reboot(self) -> None:
        with closing(self._connector.connect(self._device)) as transport:
            try:
                done = transport.run(self._device.recovery.reboot, COMMAND_S_MAX)
            except LinkLost:  # it is going down already
                return
        if done.exit_status not in (0, STATUS_UNKNOWN):
            said = answers.words((done.stderr or done.stdout).decode(errors="replace"))
            hint = "check recovery.reboot in the inventory; may the user do that without a password?"
            raise RebootFailed(f"the command to reboot ended with exit status {done.exit_status}: {said}", hint)

    def _await_other_boot(self, before: str | None) -> None:
        boot_s_max = self._device.recovery.boot_s_max
        deadline, pause_s = time.monotonic() + boot_s_max, PAUSE_S
        while time.monotonic() < deadline:
            self._pause(min(pause_s, max(0.0, deadline - time.monotonic())))
            pause_s = min(pause_s * 1.5, PAUSE_S_MAX)
            found, _ = self._look()
            if found is not None and found != before:
                return
        raise NoAnswer(f"it did not come back from another boot within {boot_s_max:g} s", "look at the device")

    def _look(self) -> tuple[str | None, bool]:
        """Return the device's present boot, where it tells, and whether it answers at all."""
        try:
            return self._boot_id(), True
        except DeviceError as failure:
            if not failure.retryable and not isinstance(failure, WHILE_BOOTING):
                raise
            return None, not failure.retryable

    def _boot_id(self) -> str:
        """Return what tells the device's present boot from any other."""
        with closing(self._connector.connect(self._device)) as transport:
            return self._ask_boot_id(transport)

    def _ask_boot_id(self, transport: Transport) -> str:
        python = self._device.python or (sys.executable if self._device.transport is TransportKind.LOCAL else "python3")
        done = transport.run([python, "-E", "-s", "-c", _TELL_BOOT], COMMAND_S_MAX)
        said = answers.words(done.stdout.decode(errors="replace"))
        if done.exit_status != 0 or not said:
            raise RebootFailed("it does not tell its boots apart", "is /proc mounted there?")
        return said

    def _pause(self, seconds: float) -> None:
        if self._told_to_close.wait(seconds):
            raise LinkLost("nobody waits for it any more", "benchfleet runs resume last")
