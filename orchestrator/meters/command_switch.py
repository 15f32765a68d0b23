"""Switch a device's supply by the commands that its inventory names: of a PDU, a smart plug, a USB hub."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from orchestrator.domain.device import Device
from orchestrator.domain.errors import PowerSwitchFailed
from orchestrator.meters.base import Pause

COMMAND_S_MAX = 60.0
_SAID_MAX = 300


class CommandSwitch:
    """Runs argument vectors, never a shell; they read nothing, and what they print is shown only where they fail."""

    def cycle(self, device: Device, pause: Pause) -> None:
        """Run the inventory's `off`, wait, run its `on`; the power is given back even if nobody waits any more."""
        cycle = device.recovery.power_cycle
        if cycle is None:
            raise PowerSwitchFailed("no command switches its power", "recovery: {power_cycle: …} in the inventory")
        if not cycle.off:
            _run(cycle.on)
            return
        _run(cycle.off)
        try:
            pause(cycle.off_s)
        finally:
            _run(cycle.on)


def _run(argv: Sequence[str]) -> None:
    shown = shlex.join(argv)
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PowerSwitchFailed(f"{shown}: did not end within {COMMAND_S_MAX:.0f} s") from None
    except OSError as error:
        raise PowerSwitchFailed(f"{shown}: {error.strerror}", "check recovery.power_cycle in the inventory") from None
    if done.returncode != 0:
        said = " ".join(done.stdout.decode(errors="replace").split())[-_SAID_MAX:]
        raise PowerSwitchFailed(f"{shown}: exit status {done.returncode}: {said}")
