"""One history: a run of several devices, one fault at one phase, whatever completes the run, and the evidence."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.board import INTERPRETER
from tests.chaos.checker import Verdict, judge
from tests.chaos.controllers import Controller
from tests.chaos.databases import ChaosDatabase
from tests.chaos.device import NO_KILL, ChaosDevice, interpreter_for_nobody
from tests.chaos.evidence import gather
from tests.chaos.faults import MISHAPS
from tests.chaos.phases import Scene
from tests.chaos.schedule import Case, Fault, Phase, Rival
from tests.chaos.witness import write_program
from tests.lab import Lab
from tests.servers import processes

DEVICES = ("victim", "bystander")
DAEMON = ("daemon", "--drain")
END_S = 90.0
RESUMES_MAX = 6
SETTLE_S = 10.0
UNENDING_S = 60.0
LINGERING = 0.4
"""In so many histories trials leave processes behind, which the runner, or the next one, has to end."""
SECOND_NAME = "victim-too"
SECOND_LAB = (Rival.OTHER_DATABASE, Rival.OTHER_USER)
"""Who has an inventory and a database of their own."""
SECOND_PLACE = (Rival.TWIN, Rival.OTHER_NAME, Rival.OTHER_USER)
"""Who has another state folder on the machine."""
AFTER_START = tuple(Phase)[tuple(Phase).index(Phase.RUNNER_START) + 1 :]


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a history; `hit` is whether the fault struck in its phase, `resumes` how often it took."""

    case: Case
    verdict: Verdict
    hit: bool
    outcome: str
    resumes: int
    recovery_s: float
    left_on_disk: Sequence[str]


@dataclass(frozen=True, slots=True)
class Side:
    """One lab: the files that its controllers are started with, and its database."""

    lab: Lab
    database: ChaosDatabase

    def runs(self) -> list[str]:
        """Return the runs, the first one first."""
        with suppress(sqlite3.OperationalError):
            return [str(run) for (run,) in self.database.rows("SELECT id FROM run ORDER BY started_at, id")]
        return []

    def has_ended(self, run: str) -> bool:
        """Whether every trial of a run has been tried: one that failed is not tried again by itself."""
        states = f"SELECT r.state FROM run_device r WHERE r.run_id = '{run}'"
        trials = f"SELECT t.state FROM trial t JOIN run_device r ON r.id = t.run_device_id WHERE r.run_id = '{run}'"
        return {state for (state,) in self.database.rows(states)} <= {"complete"} and {
            state for (state,) in self.database.rows(trials)
        } <= {"measured", "failed"}

    def is_held(self, run: str) -> bool:
        """Whether a run has a device that nobody gave back."""
        held = f"SELECT 1 FROM lease WHERE run_id = '{run}' AND granted_at IS NOT NULL AND ended_at IS NULL"
        return bool(self.database.rows(held))


class History:
    """A case in a folder of its own."""

    def __init__(self, case: Case, folder: Path, make_database: Callable[[Path, ExitStack], ChaosDatabase]) -> None:
        self._case = case
        self._folder = folder
        self._make_database = make_database
        self._chances = case.chances()
        self._controllers = 0

    def execute(self) -> Account:
        """Let it happen, and judge it."""
        with ExitStack() as stack:
            self._set_up(stack)
            main, rival = self._begin(stack)
            hit = self._strike(main, stack)
            healed = time.monotonic()
            ends = [main.end(END_S)]
            cancelled = self._finish_cancelling()
            if rival is not None:
                ends.append(rival.end(END_S))
            resumes = self._complete(cancelled)
            recovery_s = time.monotonic() - healed
            self._settle()
            evidence = gather([side.database for side in self._sides], self._devices, cancelled)
            (self._folder / "evidence.json").write_text(evidence.to_json())
            outcome = "exit " + " and ".join("hung" if code is None else str(code) for code in ends)
            return Account(self._case, judge(evidence), hit, outcome, resumes, recovery_s, evidence.left_on_disk)

    def _set_up(self, stack: ExitStack) -> None:
        self._trials = self._chances.randint(3, 4)
        self._lingers = self._chances.random() < LINGERING
        self._durations_s = [self._chances.uniform(0.03, 0.15) for _ in range(self._trials)]
        if self._case.phase is Phase.CANCEL:  # a command to cancel takes longer to start than a trial
            self._begun = self._chances.randint(1, self._trials)
            self._durations_s[self._begun - 1 :] = [UNENDING_S] * (self._trials - self._begun + 1)
        self._ballast_bytes = 5 << 20 if self._case.phase is Phase.BLOB_UPLOAD else 50_000
        self._of_nobody = interpreter_for_nobody() if self._case.rival is Rival.OTHER_USER else None
        self._interpreter = self._of_nobody or INTERPRETER
        self._sides = [self._make_side("lab", self._folder, stack)]
        self._database = self._sides[0].database
        fault = self._case.fault
        self._devices = [
            ChaosDevice(
                name, self._folder / name, stack, self._interpreter,
                small_disk=fault is Fault.DISK_FULL and name == DEVICES[0],
                sensors=fault is Fault.SENSOR_HANGS,
                can_flood=fault is Fault.FLOOD and name == DEVICES[0],
                prefix=NO_KILL if fault is Fault.SURVIVOR else (),
            )
            for name in DEVICES
        ]  # fmt: skip
        for device in self._devices:
            device.declare(self._sides[0].lab)
        self._add_neighbour(stack)

    def _make_side(self, name: str, folder: Path, stack: ExitStack) -> Side:
        lab = Lab(self._folder / name)
        # all the bytes that a device is sent, so that no chance is drawn again for the second lab
        (lab.directory / "ballast").write_bytes(random.Random(self._case.index).randbytes(self._ballast_bytes))
        for sweep in ("sweep", "other"):
            self._write_sweep(lab, sweep)
        database = self._make_database(folder, stack)
        stack.callback(database.unlock)
        return Side(lab, database)

    def _add_neighbour(self, stack: ExitStack) -> None:
        """Give the victim's machine the second name, and whoever uses it a lab, as the rival has it."""
        rival, victim = self._case.rival, self._devices[0]
        place = victim.places[0]
        if rival in SECOND_PLACE:
            name = victim.name if rival is Rival.OTHER_USER else SECOND_NAME
            place = victim.add_place(name, as_nobody=self._of_nobody is not None)
        if rival in SECOND_LAB:
            folder = self._folder / "second"
            folder.mkdir()
            self._sides.append(self._make_side("lab-too", folder, stack))
        if rival in (*SECOND_PLACE, *SECOND_LAB):
            victim.declare(self._sides[-1].lab, place)

    def _write_sweep(self, lab: Lab, name: str) -> None:
        program = lab.directory / f"{name}.py"
        command = write_program(program, self._durations_s, self._interpreter, lingers=self._lingers)
        runtime = {"exec": {"name": "witness", "command": command, "files": [program.name, "ballast"]}}
        lab.write_exec_sweep(name=name, runtimes=[runtime], trials=self._trials)

    def _start(self, stack: ExitStack, side: Side, *arguments: str) -> Controller:
        self._controllers += 1
        output = self._folder / f"{self._controllers}-{arguments[0]}-{arguments[1].partition('.')[0]}.txt"
        controller = Controller(side.lab, output, *arguments, "--db", side.database.url)
        stack.callback(controller.kill)
        return controller

    def _begin(self, stack: ExitStack) -> tuple[Controller, Controller | None]:
        """Start the controller that will be struck, and the rival; the one to be struck cancels, in that phase."""
        first, rival = self._sides[0], self._case.rival
        if self._case.fault is Fault.DAEMON_KILLED:
            return self._begin_daemons(stack)
        options = ["--executor", "ray"] if self._case.fault is Fault.GATEWAY_KILLED else []
        if rival is Rival.OTHER_NAME:
            options += ["--select", " or ".join(DEVICES)]
        main = self._start(stack, first, "run", "sweep.yaml", *options)
        if self._case.phase is Phase.CANCEL:
            main.wait_for(lambda: len(self._devices[0].sightings()) >= self._begun, END_S)
            return self._start(stack, first, "runs", "cancel", "last"), main
        if rival is Rival.SAME_RUN:
            main.wait_for(lambda: bool(first.runs()), END_S)
            return main, self._start(stack, first, "runs", "resume", "last")
        if rival in (Rival.NONE, Rival.TWIN):
            return main, None
        if self._case.phase in AFTER_START:  # the device is the first one's by then
            main.wait_for(lambda: len(self._devices[0].keeper.logs()) > 0, END_S)
        only = ["--select", SECOND_NAME] if rival is Rival.OTHER_NAME else []
        return main, self._start(stack, self._sides[-1], "run", "other.yaml", *only)

    def _begin_daemons(self, stack: ExitStack) -> tuple[Controller, Controller | None]:
        """Submit the run, and start the daemon that will be struck, and another one once the first has the run."""
        first = self._sides[0]
        submitted = self._start(stack, first, "submit", "sweep.yaml")
        if submitted.end(END_S) != 0:
            raise AssertionError(f"nothing was submitted:\n{submitted.said()}")
        main = self._start(stack, first, *DAEMON)
        if self._case.rival is not Rival.OTHER_DAEMON:
            return main, None
        main.wait_for(lambda: bool(first.runs()), END_S)
        return main, self._start(stack, first, *DAEMON)

    def _strike(self, controller: Controller, stack: ExitStack) -> bool:
        """Let the fault strike once the phase has come, and put it right after a while; say whether it came."""
        upload_bytes = self._ballast_bytes + 30_000
        scene = Scene(controller, self._devices[0], self._database, self._chances, self._trials, upload_bytes)
        mishap = MISHAPS[self._case.fault]
        hit = scene.reached(self._case.phase)
        stack.callback(mishap.heal, scene)
        hit = mishap.strike(scene) is not False and hit
        if self._case.fault not in (Fault.PACKET_LOSS, Fault.DRIP):
            scene.device.relay.restore()
        if self._case.fault is not Fault.DATABASE_LOCKED:
            self._database.unlock()
        controller.wait_for(lambda: False, mishap.duration_s(self._chances))
        mishap.heal(scene)
        scene.device.relay.restore()
        return hit

    def _finish_cancelling(self) -> list[str]:
        """Cancel until every device has heard of it; return the runs that were to be cancelled."""
        if self._case.phase is not Phase.CANCEL:
            return []
        runs = self._sides[0].runs()[:1]
        for run in runs:
            self._repeat(self._sides[0], run, "runs", "cancel", run)
        return runs

    def _complete(self, cancelled: Sequence[str]) -> int:
        """Complete what was begun, by the next daemon or as a person does; return how often that took."""
        if self._case.fault is Fault.DAEMON_KILLED:
            # Also a run that the daemon had not yet begun.
            return self._repeat(self._sides[0], None, *DAEMON)
        wanted = [
            (side, run)
            for side in self._sides
            for run in side.runs()
            if run not in cancelled and self._wants_resuming(side, run)
        ]
        times = 0
        for _ in range(RESUMES_MAX):
            times += len(wanted)
            # In turns: a run may be refused because another one, which is to be resumed too, has the device.
            wanted = [(side, run) for side, run in wanted if not self._give(side, run, "runs", "resume", run)]
        return times

    def _wants_resuming(self, side: Side, run: str) -> bool:
        """Whether a run is incomplete, may be so on a device alone, or has a device that nobody gave back."""
        late = self._case.phase in (Phase.ACKNOWLEDGE, Phase.TRIM)
        return late or not side.has_ended(run) or side.is_held(run)

    def _repeat(self, side: Side, run: str | None, *words: str) -> int:
        """Give a command until it has done its work, or nothing of the run is missing; return how often that took."""
        for times in range(1, RESUMES_MAX + 1):
            if self._give(side, run, *words):
                return times
        return RESUMES_MAX

    def _give(self, side: Side, run: str | None, *words: str) -> bool:
        """Give a command once; return whether it has done its work, or nothing of the run is missing."""
        with ExitStack() as stack:
            code = self._start(stack, side, *words).end(END_S)
            return code == 0 or (run is not None and side.has_ended(run))

    def _settle(self) -> None:
        """Wait for what is just ending: followers whose controller is gone, and sshd's own."""
        with suppress(TimeoutError):
            processes.wait_until(
                lambda: not any(device.left_running() for device in self._devices), "the devices are idle", SETTLE_S
            )
