"""Describe the recovery of a failing device: a ladder, from a retry to taking the device out of service.

A higher rung costs more, and is climbed only after the lower rungs did not help. The first three rungs are climbed for
any device. The others are climbed only if the inventory allows them. docs/decisions/0012 has the reasons.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Rung(StrEnum):
    """Name the rungs of the ladder, in climbing order."""

    RETRY = "retry"
    RECONNECT = "reconnect"
    RESTART = "restart"
    REBOOT = "reboot"
    POWER_CYCLE = "power-cycle"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """Name the controller's commands to cut a device's power, and to give the power back `off_s` seconds later.

    The commands are argument vectors. Without `off` the command `on` does both.
    """

    on: tuple[str, ...]
    off: tuple[str, ...] = ()
    off_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Bound the recovery of a device.

    `connect_retries` counts further tries of a first connection. A lost connection is sought for `reconnect_s_max`
    seconds. A command starts a runner that ended before its plan at most `restarts_max` times anew. `reboot` is an
    argument vector on the device. After a boot the device has `boot_s_max` seconds to answer. Both are seconds of the
    device's own time: the queue for a turn to connect is left out. With `quarantine` a device beyond recovery is kept
    from further runs until a person readmits the device.
    """

    connect_retries: int = 0
    reconnect_s_max: float = 180.0
    restarts_max: int = 3
    reboot: tuple[str, ...] = ()
    power_cycle: PowerCycle | None = None
    boot_s_max: float = 300.0
    quarantine: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryEvent:
    """Hold a rung climbed for a device. `succeeded` is None while unknown."""

    device: str
    rung: Rung
    reason: str
    began_at: datetime
    ended_at: datetime | None
    succeeded: bool | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Keep a device from further runs, for a reason and since a date.

    `run` is the run of the failed recovery, or None if the person `holder` decided.
    """

    device: str
    reason: str
    holder: str
    run: str | None
    since: datetime

    @property
    def author(self) -> str:
        """Return the author of the quarantine: a person, or a run with the run's holder."""
        return self.holder if self.run is None else f"run {self.run} of {self.holder}"


@dataclass(frozen=True, slots=True)
class Rescue:
    """Order the first act of a new session. With `if_silent` the session acts only on a device still silent."""

    rung: Rung
    if_silent: bool = False


def next_rescue(recovery: Recovery, climbed: Collection[Rung], *, answers: bool) -> Rung | None:
    """Return the next rung for a device that did not come back by itself, or None at the end of the ladder.

    `climbed` are the rungs climbed already. A device that `answers` can be told to reboot.
    """
    if Rung.POWER_CYCLE in climbed:  # the highest rung that acts on a device, and nobody climbs down
        return None
    if recovery.reboot and answers and Rung.REBOOT not in climbed:
        return Rung.REBOOT
    # A device that cannot be asked for a boot, or did not come back from one, is left to the power switch.
    return Rung.POWER_CYCLE if recovery.power_cycle is not None else None
