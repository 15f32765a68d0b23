"""What goes wrong, how long for, and how it is put right again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.phases import Scene
from tests.chaos.schedule import Fault
from tests.servers import processes

Strike = Callable[[Scene], bool | None]
"""Lets something happen; False where what was to be struck was not there any more."""
Heal = Callable[[Scene], None]
LONG = 0.15
DRIP_S = 0.3


@dataclass(frozen=True, slots=True)
class Mishap:
    """A fault: what strikes, for how long at most while a controller works on, and what puts it right.

    Now and then it lasts `long_s`: longer than any patience of the real settings, not only of the short ones here.
    """

    strike: Strike
    heal: Heal
    lasts_s: float
    long_s: float | None = None

    def duration_s(self, chances: random.Random) -> float:
        """Return for how long it lasts this time."""
        return self.long_s if self.long_s is not None and chances.random() < LONG else self.lasts_s


def _nothing(scene: Scene) -> None:
    pass


def _reset(scene: Scene) -> None:
    scene.device.relay.cut()
    scene.device.relay.restore()


def _fall_silent(scene: Scene) -> None:
    scene.device.relay.blackhole()


def _answer_again(scene: Scene) -> None:
    """Pass on what was held back or, as a router that was restarted, know nothing of the connections any more."""
    if scene.chances.random() < 0.5:
        scene.device.relay.cut()
    scene.device.relay.restore()


def _freeze(scene: Scene) -> None:
    scene.device.server.freeze()


def _thaw(scene: Scene) -> None:
    scene.device.server.thaw()


def _restart_sshd(scene: Scene) -> None:
    scene.device.server.stop()
    scene.device.server.start()


def _cut_power(scene: Scene) -> None:
    scene.device.cut_power()


def _kill_runner(scene: Scene) -> bool:
    return scene.wait(lambda: scene.device.kill(scene.device.runner()))


def _kill_trial(scene: Scene) -> bool:
    """Kill it from outside by the signal that the kernel uses when memory runs out."""
    return scene.wait(lambda: scene.device.kill(scene.device.trial()))


def _fill_disk(scene: Scene) -> None:
    """Leave any number of pages: the records, a blob or the worker end in the midst of one."""
    scene.device.fill_disk(scene.chances.choice((0, 1, 2, 3, 5, 8, 13, 21, 34)))


def _free_disk(scene: Scene) -> None:
    scene.device.free_disk()


def _make_read_only(scene: Scene) -> None:
    scene.device.read_only()


def _make_writable(scene: Scene) -> None:
    scene.device.writable()


def _set_clock(scene: Scene) -> None:
    hours = scene.chances.choice((-30, -5, -1, 1, 5, 30))
    scene.device.board.set_clock(hours * 3600)


def _kill_controller(scene: Scene) -> bool:
    if scene.controller.has_ended:
        return False
    scene.controller.kill()
    if scene.chances.random() < 0.5:  # with it went what was still in its machine
        _reset(scene)
    return True


def _lock_database(scene: Scene) -> None:
    scene.database.unlock()  # from the phase, if that needed it
    scene.database.lock()


def _unlock_database(scene: Scene) -> None:
    scene.database.unlock()


def _take_database(scene: Scene) -> None:
    scene.database.take_away()


def _bring_database(scene: Scene) -> None:
    scene.database.bring_back()


def _fill_database(scene: Scene) -> None:
    scene.database.fill(scene.controller, scene.chances.randint(0, 20_000))


def _free_database(scene: Scene) -> None:
    scene.database.free(scene.controller)


def _kill_gateway(scene: Scene) -> bool:
    def gateways() -> list[int]:
        below = processes.descendants(scene.controller.pid)
        return [pid for pid in below if processes.name(pid).startswith("ray::Gateway")]

    if not scene.wait(lambda: bool(gateways())):
        return False
    processes.kill(gateways())
    return True


def _hang_sensor(scene: Scene) -> None:
    scene.device.board.hang_sensor()


def _free_sensor(scene: Scene) -> None:
    scene.device.board.free_sensor()


def _leave_survivors(scene: Scene) -> None:
    scene.device.ask_for_survivors()


def _end_survivors(scene: Scene) -> None:
    scene.device.end_survivors()


def _drip(scene: Scene) -> None:
    scene.device.relay.restore()  # from the phase, which holds the link
    scene.device.relay.drip(DRIP_S)


def _stop_dripping(scene: Scene) -> None:
    scene.device.relay.restore()


def _flood(scene: Scene) -> None:
    """Let the device say true things without end, or nothing but that it lives."""
    assert scene.device.spoiled is not None
    scene.device.spoiled.spoil(scene.chances.choice(("flood-again", "flood-signs", "stand-still")))


def _stop_flooding(scene: Scene) -> None:
    assert scene.device.spoiled is not None
    scene.device.spoiled.heal()


MISHAPS: dict[Fault, Mishap] = {
    Fault.TCP_RESET: Mishap(_reset, _nothing, 0),
    Fault.PACKET_LOSS: Mishap(_fall_silent, _answer_again, 3, 30),
    Fault.FREEZE: Mishap(_freeze, _thaw, 3, 30),
    Fault.SSHD_RESTART: Mishap(_restart_sshd, _nothing, 0),
    Fault.POWER_CUT: Mishap(_cut_power, _nothing, 0),
    Fault.RUNNER_KILLED: Mishap(_kill_runner, _nothing, 0),
    Fault.TRIAL_KILLED: Mishap(_kill_trial, _nothing, 0),
    Fault.DISK_FULL: Mishap(_fill_disk, _free_disk, 3),
    Fault.READ_ONLY: Mishap(_make_read_only, _make_writable, 3),
    Fault.CLOCK_JUMP: Mishap(_set_clock, _nothing, 0),
    Fault.CONTROLLER_KILLED: Mishap(_kill_controller, _nothing, 0),
    Fault.DATABASE_LOCKED: Mishap(_lock_database, _unlock_database, 2),
    Fault.DATABASE_GONE: Mishap(_take_database, _bring_database, 2),
    Fault.DATABASE_FULL: Mishap(_fill_database, _free_database, 3),
    Fault.GATEWAY_KILLED: Mishap(_kill_gateway, _nothing, 0),
    Fault.DAEMON_KILLED: Mishap(_kill_controller, _nothing, 0),
    Fault.SENSOR_HANGS: Mishap(_hang_sensor, _free_sensor, 5, 20),
    Fault.SURVIVOR: Mishap(_leave_survivors, _end_survivors, 4, 12),
    Fault.DRIP: Mishap(_drip, _stop_dripping, 6, 30),
    Fault.FLOOD: Mishap(_flood, _stop_flooding, 5, 30),
}
