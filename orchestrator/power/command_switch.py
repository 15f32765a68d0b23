"""Switch a device's supply by the commands of the inventory, such as those of a PDU, a smart plug or a USB hub."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.device import Device
from orchestrator.domain.errors import PowerSwitchFailed
from orchestrator.power.switch import Pause

COMMAND_S_MAX = 60.0
"""Kill a command after this many seconds."""

_SAID_BYTES_MAX = 300
_BY_HAND = "try recovery.power_cycle of the inventory by hand, as the user of this command"

_under_way: set[threading.Thread] = set()


class CommandSwitch:
    """Run the `off` and `on` commands of a device as argument vectors, never through a shell.

    A command reads an empty standard input. The output of a command is shown only if the command fails. Messages name
    the program and leave out the arguments, because arguments may hold secrets.
    """

    def cycle(self, device: Device, pause: Pause) -> None:
        """Run `off` of the inventory, pause for `off_s` seconds, then run `on`.

        `on` runs even if `off` failed or the pause was interrupted. Raise PowerSwitchFailed with the failures of both
        commands, or if the inventory has no command for the device.
        """
        cycle = device.recovery.power_cycle
        if cycle is None:
            raise PowerSwitchFailed("no command switches its power", "recovery: {power_cycle: …} in the inventory")
        thread = threading.current_thread()
        # Registered before `off`: the exit handler below keeps the process alive until `on` has run.
        _under_way.add(thread)
        failed = ""
        try:
            _cut(cycle.off, pause, cycle.off_s)
        except PowerSwitchFailed as error:
            failed = f"{error.message}; "
            raise
        finally:
            # In `finally`: a second Ctrl-C between off and on once left a board without power.
            try:
                _run("on", cycle.on)
            except PowerSwitchFailed as error:
                raise PowerSwitchFailed(failed + error.message, error.hint) from error
            finally:
                _under_way.discard(thread)


def _cut(off: Sequence[str], pause: Pause, off_s: float) -> None:
    if off:
        _run("off", off)
        pause(off_s)


def _run(name: str, argv: Sequence[str]) -> None:
    what = f"power_cycle.{name} ({Path(argv[0]).name})"
    try:
        # A file, not a pipe: a full pipe blocks the command, and a child left behind would keep a pipe open.
        with tempfile.TemporaryFile() as said:
            # In a session of its own: Ctrl-C in our terminal must not end the command half-way.
            process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
            status = _wait(process, what)
            told = _tail(said.fileno())
    except OSError as error:
        hint = "check recovery.power_cycle in the inventory"
        raise PowerSwitchFailed(f"{what}: {error.strerror}", hint) from None
    if status != 0:
        raise PowerSwitchFailed(f"{what}: exit status {status}: {told}", _BY_HAND)


def _wait(process: subprocess.Popen[bytes], what: str) -> int:
    with process:
        try:
            return process.wait(COMMAND_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            raise PowerSwitchFailed(f"{what}: did not end within {COMMAND_S_MAX:g} s", _BY_HAND) from None


def _tail(file: int) -> str:
    size = os.fstat(file).st_size
    text = os.pread(file, _SAID_BYTES_MAX, max(0, size - _SAID_BYTES_MAX)).decode(errors="replace")
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


@atexit.register
def _wait_for_power() -> None:
    """Keep this process alive while a device is without power.

    The end of the process would end the thread which is about to run `on`.
    """
    if not _under_way:
        return
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Impatient people press Ctrl-C again. Here a signal would leave the device off for good.
        signal.signal(told, signal.SIG_IGN)
    sys.stderr.write("waiting until a device has its power back\n")
    for thread in list(_under_way):
        thread.join(2 * COMMAND_S_MAX)
