"""See from outside when a device's run has come to a phase, to the byte where the phase has bytes.

What tells: the controller's journal, the files of the state folder, the trials' own stamps, rows that are committed.
The bytes of a phase are counted by the relay, which holds the link there until the fault has struck.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.controllers import Controller
from tests.chaos.databases import ChaosDatabase
from tests.chaos.device import ChaosDevice
from tests.chaos.schedule import Phase
from tests.servers.tcp_relay import Direction

WAIT_S = 120.0
_HANDSHAKE_BYTES = 4_000
_LOADER_BYTES = 12_000
_WORKER_BYTES = 90_000
_QUESTION_BYTES = 1_500
_FORGET_BYTES = 160
_BLOBS = 4
"""What a plan of a history needs: itself, the model, the program, the ballast."""


@dataclass(slots=True)
class Scene:
    """Where a phase is awaited: who drives, the device that is to be struck, and what chance decides."""

    controller: Controller
    device: ChaosDevice
    database: ChaosDatabase
    chances: random.Random
    trials: int
    upload_bytes: int

    def reached(self, phase: Phase) -> bool:
        """Wait for the phase; False where the controller was over before."""
        return _AWAIT[phase](self)

    def wait(self, holds: Callable[[], bool]) -> bool:
        """Wait for something that can be seen."""
        return self.controller.wait_for(holds, WAIT_S)

    def at_byte(self, byte_count: int, direction: Direction = Direction.BOTH) -> bool:
        """Wait until so many more bytes have passed, and hold the link there."""
        return self.wait(self.device.relay.hold_after(self.chances.randint(0, byte_count), direction).is_set)

    def some_trial(self) -> int:
        """Return how many trials are to have begun: any but the very last."""
        return self.chances.randint(1, max(1, self.trials - 1))


def _connect(scene: Scene) -> bool:
    # A rival may be the first to connect. Struck before the controller had opened the database, that controller
    # would make another one in the place of the one that is away.
    return scene.wait(lambda: scene.controller.count(scene.device.name, "connect") > 0) and scene.at_byte(
        _HANDSHAKE_BYTES
    )


def _worker_upload(scene: Scene) -> bool:
    return scene.wait(lambda: scene.controller.count(scene.device.name, "start worker") > 0) and scene.at_byte(
        _LOADER_BYTES + _WORKER_BYTES
    )


def _probe(scene: Scene) -> bool:
    folder = scene.device.state_dir / "worker"
    return scene.wait(lambda: any(len(path.name) == 64 for path in _entries(folder))) and scene.at_byte(
        _QUESTION_BYTES, Direction.TO_CLIENT
    )


def _blob_upload(scene: Scene) -> bool:
    return scene.wait(lambda: scene.controller.count(scene.device.name, "upload") > 0) and scene.at_byte(
        scene.upload_bytes, Direction.TO_TARGET
    )


def _plan_hand_over(scene: Scene) -> bool:
    folder = scene.device.state_dir / "blobs"
    return scene.wait(lambda: sum(len(path.name) == 64 for path in _entries(folder)) == _BLOBS) and scene.at_byte(
        _QUESTION_BYTES // 3
    )


def _runner_start(scene: Scene) -> bool:
    """Any of the files that a runner makes, in the order in which it makes them."""
    names = ("runner.log", "wake", "log", "reserve", "plan.json", "pid")
    name = scene.chances.choice(names)
    return scene.wait(lambda: any((path / name).exists() for path in _runs(scene.device)))


def _mid_trial(scene: Scene) -> bool:
    begun = scene.some_trial()
    return scene.wait(lambda: len(seen := scene.device.sightings()) >= begun and not seen[-1].ended)


def _between_trials(scene: Scene) -> bool:
    """After the end of a process, or at any byte of the log that tells of it and of the next."""
    ended = scene.some_trial()
    if not scene.wait(lambda: sum(seen.ended for seen in scene.device.sightings()) >= ended):
        return False
    size = scene.device.log_size() + scene.chances.choice((0, 0, scene.chances.randint(1, 1200)))
    return scene.wait(lambda: scene.device.log_size() >= size)


def _follow(scene: Scene) -> bool:
    return scene.wait(lambda: scene.controller.count(scene.device.name, "follow") > 0) and scene.at_byte(
        _QUESTION_BYTES * scene.trials, Direction.TO_CLIENT
    )


def _ingest_commit(scene: Scene) -> bool:
    """Half of the time a commit is being waited for, with the database's lock in our hands; else one is just done."""
    wanted = scene.chances.randint(1, scene.trials * 2)
    if scene.chances.random() < 0.5:
        return scene.wait(lambda: committed(scene) >= wanted)
    if not scene.wait(lambda: scene.device.log_size() > 0):
        return False
    scene.database.lock()
    size = scene.device.log_size()
    return scene.wait(lambda: scene.device.log_size() > size)


def _finish(scene: Scene) -> bool:
    return scene.wait(lambda: _is_finished(scene.device))


def _acknowledge(scene: Scene) -> bool:
    """With the link held at a byte of the message that lets the device forget, or of its answer."""
    if not scene.wait(lambda: _is_finished(scene.device)):
        return False
    return scene.at_byte(_FORGET_BYTES, Direction.TO_TARGET)


def _trim(scene: Scene) -> bool:
    return scene.wait(lambda: bool(scene.device.keeper.logs())) and scene.wait(
        lambda: not any((path / "log").exists() and path.name[0] != "." for path in _runs(scene.device))
    )


def _cancel(scene: Scene) -> bool:
    """While a cancellation is on its way: before it is sent, at a byte of it, or once the device knows of it."""
    step = scene.chances.choice(("start worker", "cancel", None))
    if step is None:
        return scene.wait(lambda: any((path / "cancel").exists() for path in _runs(scene.device)))
    return scene.wait(lambda: scene.controller.count(scene.device.name, step) > 0) and scene.at_byte(
        _FORGET_BYTES, Direction.TO_TARGET
    )


def committed(scene: Scene) -> int:
    """Return the last record of the device that is in the database, by its own account."""
    with suppress(sqlite3.OperationalError):
        rows = scene.database.rows(
            "SELECT COALESCE(MAX(o.last_seq), 0) FROM event_offset o JOIN run_device r ON r.id = o.run_device_id"
            f" JOIN device d ON d.id = r.device_id WHERE d.name = '{scene.device.name}'"
        )
        return int(rows[0][0])
    return 0


def _is_finished(device: ChaosDevice) -> bool:
    return any(b'"kind":"run-finished"' in path.read_bytes()[-4096:] for path in device.keeper.logs())


def _runs(device: ChaosDevice) -> list[Path]:
    return _entries(device.state_dir / "runs")


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


_AWAIT: dict[Phase, Callable[[Scene], bool]] = {
    Phase.CONNECT: _connect,
    Phase.WORKER_UPLOAD: _worker_upload,
    Phase.PROBE: _probe,
    Phase.BLOB_UPLOAD: _blob_upload,
    Phase.PLAN_HAND_OVER: _plan_hand_over,
    Phase.RUNNER_START: _runner_start,
    Phase.MID_TRIAL: _mid_trial,
    Phase.BETWEEN_TRIALS: _between_trials,
    Phase.FOLLOW: _follow,
    Phase.INGEST_COMMIT: _ingest_commit,
    Phase.FINISH: _finish,
    Phase.ACKNOWLEDGE: _acknowledge,
    Phase.TRIM: _trim,
    Phase.CANCEL: _cancel,
}
