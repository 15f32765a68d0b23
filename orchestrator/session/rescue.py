"""Rescue a silent device: order a reboot or cycle the power, and wait for a new boot."""

from __future__ import annotations

import threading
from contextlib import closing

from orchestrator.domain.device import Device
from orchestrator.domain.errors import AuthenticationFailed, DeviceError, LinkLost, NoAnswer, RebootFailed
from orchestrator.domain.recovery import Rescue, Rung
from orchestrator.power.switch import PowerSwitch
from orchestrator.session import answers
from orchestrator.transport.base import Asker, Connector, Transport

PAUSE_S = 1.0
PAUSE_S_MAX = 10.0
COMMAND_S_MAX = 30.0
STATUS_UNKNOWN = -1
"""The exit status of a command with an unseen end. A reboot may close the connection before its command ends."""

WHILE_BOOTING = (RebootFailed, AuthenticationFailed)
"""Errors of a device whose home folder or /proc is not mounted yet."""

_NOT_RUNNABLE = (126, 127)
_NO_COMMAND = (
    "name the command by its path: recovery.reboot in the inventory; a login without a terminal seldom has /sbin in "
    "its PATH"
)
_REFUSED = "check recovery.reboot in the inventory: the command must need no password on the device"
_SAME_BOOT = (
    "it answers, with the boot that it had: does recovery.reboot really reboot it, and is the outlet of power: its own?"
)

_TELL_BOOT = "print(open('/proc/sys/kernel/random/boot_id').read().strip())"


class Rescuer:
    """Rescues a device, once. Setting `told_to_close` ends every wait with LinkLost."""

    def __init__(
        self, device: Device, connector: Connector, switch: PowerSwitch, told_to_close: threading.Event, asker: Asker
    ) -> None:
        self._device = device
        self._connector = connector
        self._switch = switch
        self._told_to_close = told_to_close
        self._asker = asker

    def rescue(self, rescue: Rescue) -> Rung:
        """Reboot or power-cycle the device, wait for a new boot, and return the rung that was climbed.

        With `rescue.if_silent`, a device that answers is not touched, and the rung is RETRY. Raise DeviceError if the
        reboot fails, or NoAnswer if no new boot answers within `recovery.boot_s_max`.
        """
        if rescue.rung is Rung.REBOOT:
            before: str | None = self._boot_id()
            self._pause(0)  # raises if we were told to close meanwhile: an abandoned device must not lose power
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
            except LinkLost:  # the device is going down already
                return
        if done.exit_status not in (0, STATUS_UNKNOWN):
            said = answers.words((done.stderr or done.stdout).decode(errors="replace"))
            raise RebootFailed(
                f"the command to reboot ended with exit status {done.exit_status}: {said}",
                _NO_COMMAND if done.exit_status in _NOT_RUNNABLE else _REFUSED,
            )

    def _await_other_boot(self, before: str | None) -> None:
        boot_s_max = self._device.recovery.boot_s_max
        deadline, pause_s = self._asker.own_clock_s() + boot_s_max, PAUSE_S
        found: str | None = None
        while (left_s := deadline - self._asker.own_clock_s()) > 0.0:
            self._pause(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, PAUSE_S_MAX)
            found, _ = self._look()
            if found is not None and found != before:
                return
        hint = "look at the device" if found is None else _SAME_BOOT
        raise NoAnswer(f"the device did not come back with a new boot within {boot_s_max:g} s", hint)

    def _look(self) -> tuple[str | None, bool]:
        """Return the device's boot id if known, and True if the device answers at all."""
        try:
            return self._boot_id(), True
        except DeviceError as failure:
            if not failure.retryable and not isinstance(failure, WHILE_BOOTING):
                raise
            return None, not failure.retryable  # an error that no retry helps with is an answer too

    def _boot_id(self) -> str:
        """Return the id of the device's present boot. Raise RebootFailed if the device does not tell."""
        with closing(self._connector.connect(self._device)) as transport:
            return self._ask_boot_id(transport)

    def _ask_boot_id(self, transport: Transport) -> str:
        done = transport.run([self._device.interpreter, "-E", "-s", "-c", _TELL_BOOT], COMMAND_S_MAX)
        said = answers.words(done.stdout.decode(errors="replace"))
        if done.exit_status != 0 or not said:
            words = answers.words(done.stderr.decode(errors="replace")) or f"exit status {done.exit_status}"
            raise RebootFailed(
                f"the device's boot id cannot be read: {words}",
                f"does {self._device.interpreter} start there, and is /proc mounted? try: "
                f"{self._device.interpreter} --version",
            )
        return said

    def _pause(self, seconds: float) -> None:
        if self._told_to_close.wait(seconds):
            raise LinkLost("the rescue was broken off on request", "benchfleet runs resume last")
