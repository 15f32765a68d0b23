"""What is tried when a device fails: a ladder, from trying again to taking the device out of service.

A higher rung costs more, so each is climbed only once the ones below have not helped. The first three are climbed on
any device; a device is rebooted, cycled or quarantined only where its inventory says how, or that it may.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Rung(StrEnum):
    """One thing to try, in the order in which they are tried."""

    RETRY = "retry"
    RECONNECT = "reconnect"
    RESTART = "restart"
    REBOOT = "reboot"
    POWER_CYCLE = "power-cycle"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """Commands of this side, as argument vectors, that cut a device's power and give it back `off_s` later.

    Without `off` the command `on` does both, as that of a switchable socket may.
    """

    on: tuple[str, ...]
    off: tuple[str, ...] = ()
    off_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """How far the ladder goes for a device.

    `retries`: how often a first connection is tried again. `reconnect_s_max`: for how long a lost one is sought.
    `restarts_max`: how often one command starts a runner anew that ended before its plan. `reboot` is an argument
    vector on the device. A device has `boot_s_max` to answer again. `quarantine`: where nothing has helped, keep
    further runs from the device until a person admits it again.
    """

    retries: int = 0
    reconnect_s_max: float = 180.0
    restarts_max: int = 3
    reboot: tuple[str, ...] = ()
    power_cycle: PowerCycle | None = None
    boot_s_max: float = 300.0
    quarantine: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryEvent:
    """A rung that was climbed for a device; `succeeded` is None while that is not known."""

    device: str
    rung: Rung
    reason: str
    began_at: datetime
    ended_at: datetime | None
    succeeded: bool | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why no run may use a device, since when, and who said so; `run` is the one whose recovery failed."""

    device: str
    reason: str
    holder: str
    run: str | None
    since: datetime

    @property
    def author(self) -> str:
        """Return who put it there: a person, or a run and whoever started that."""
        return self.holder if self.run is None else f"run {self.run} of {self.holder}"


@dataclass(frozen=True, slots=True)
class Rescue:
    """What a new session does to its device first; `if_silent`: only if the device does not answer now either."""

    rung: Rung
    if_silent: bool = False


def next_rescue(recovery: Recovery, climbed: Collection[Rung], *, answers: bool) -> Rung | None:
    """Return what to do to a device that did not come back by itself; a device that `answers` can be told to reboot."""
    if Rung.POWER_CYCLE in climbed:  # nothing is above it, and nobody climbs down
        return None
    if recovery.reboot and answers and Rung.REBOOT not in climbed:
        return Rung.REBOOT
    return Rung.POWER_CYCLE if recovery.power_cycle is not None else None
