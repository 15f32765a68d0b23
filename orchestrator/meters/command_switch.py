"""Switch a device's supply by the commands that its inventory names: of a PDU, a smart plug, a USB hub."""

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
from orchestrator.meters.base import Pause

COMMAND_S_MAX = 60.0
_SAID_BYTES_MAX = 300
_BY_HAND = "try recovery.power_cycle of the inventory by hand, as the user of this command"

_under_way: set[threading.Thread] = set()


class CommandSwitch:
    """Runs argument vectors, never a shell, in a session of their own, so that Ctrl-C does not end them half-way.

    They read nothing. What they print is told only where they fail, and of their words only the program: the others
    may be secrets.
    """

    def cycle(self, device: Device, pause: Pause) -> None:
        """Run the inventory's `off`, wait, run its `on`; `on` runs whatever became of `off`, or of who waits."""
        cycle = device.recovery.power_cycle
        if cycle is None:
            raise PowerSwitchFailed("no command switches its power", "recovery: {power_cycle: …} in the inventory")
        thread = threading.current_thread()
        _under_way.add(thread)  # the process stays until the power is back
        failed = ""
        try:
            _cut(cycle.off, pause, cycle.off_s)
        except PowerSwitchFailed as error:
            failed = f"{error.message}; "
            raise
        finally:
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
        with tempfile.TemporaryFile() as said:
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
    """Let no process of ours end between off and on, however often it is told to: its threads would end with it."""
    if not _under_way:
        return
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, signal.SIG_IGN)
    sys.stderr.write("waiting until a device has its power back\n")
    for thread in list(_under_way):
        thread.join(2 * COMMAND_S_MAX)
