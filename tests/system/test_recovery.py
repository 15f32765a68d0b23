"""Devices that fail and are brought back without a person: over real SSH, with a reboot and a socket made of files.

What a board's reboot and a switchable socket do is played here: their commands leave a file, and the test then cuts the
device's power, or lets its sshd start.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.device import ChaosDevice
from tests.lab import OK_PROGRAM, Lab
from tests.servers import processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

WAIT_S = 90.0
SLOW = "sleep 1\n" + OK_PROGRAM
"""Trials that take a while, so that a mishap falls into the middle of the run."""
EVENTS = "SELECT rung, reason, succeeded FROM recovery_event ORDER BY id"


class Shelf:
    """A lab with one board, and what its commands to reboot and to switch its socket were called for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.lab = Lab(folder / "lab")
        self.orders = folder / "orders"
        self.orders.mkdir()
        self._gate = folder / "gate"
        os.mkfifo(self._gate)
        self.board = ChaosDevice("pi-01", folder / "pi-01", stack, small_disk=False)
        self.board.declare(self.lab)

    def command(self, order: str, exit_code: int = 0) -> list[str]:
        """Return a command that leaves a file; one that does not work says why."""
        words = f"touch {shlex.quote(str(self.orders / order))}; echo no such outlet; exit {exit_code}"
        return ["sh", "-c", words]

    def slow_command(self, order: str, waits: bool) -> list[str]:
        """Return a command that leaves a file when it begins and another when it ends; it may wait to be let go."""
        begin, end = (shlex.quote(str(self.orders / name)) for name in (order, f"{order}-done"))
        wait = f"read line < {shlex.quote(str(self._gate))};" if waits else ""
        return ["sh", "-c", f"touch {begin}; {wait} touch {end}"]

    def let_go(self) -> None:
        """Let the command that waits go on."""
        self._gate.write_text("go\n")

    def configure(self, **recovery: Any) -> None:
        """Say in the inventory what may be tried for the board."""
        self.lab.devices["pi-01"]["recovery"] = {"boot_s_max": 30, **recovery}
        self.lab.write("inventory/lab.yaml", json.dumps({"devices": self.lab.devices}))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self.lab.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_for(self, order: str) -> None:
        processes.wait_until((self.orders / order).exists, f"{order} is ordered", WAIT_S)

    def events(self) -> list[tuple[str, bool]]:
        return [(row["rung"], bool(row["succeeded"])) for row in self.lab.rows(EVENTS)]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    with ExitStack() as stack:
        yield Shelf(tmp_path, stack)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=WAIT_S)
    assert "Traceback" not in errors
    return process.returncode, errors


def test_a_killed_runner_is_started_again_and_every_trial_counts_once(shelf: Shelf) -> None:
    process = shelf.start("run", str(shelf.lab.write_exec_sweep(SLOW)))
    shelf.lab.wait_for_results("pi-01", at_least=1)
    assert shelf.board.kill(shelf.board.runner())
    code, errors = ended(process)
    assert code == 0, errors
    assert shelf.lab.counts("pi-01") == [1, 1, 1]
    assert shelf.events() == [("restart", True)]
    assert "killed" in shelf.lab.rows(EVENTS)[0]["reason"]
    shown = shelf.lab.run("runs", "show", "last").stdout
    assert "what was tried for devices that failed" in shown
    assert "restart" in shown


def test_a_board_whose_runner_dies_is_rebooted_and_goes_on(shelf: Shelf) -> None:
    shelf.configure(restarts_max=0, reboot=shelf.command("reboot"))
    process = shelf.start("run", str(shelf.lab.write_exec_sweep(SLOW)))
    shelf.lab.wait_for_results("pi-01", at_least=1)
    assert shelf.board.kill(shelf.board.runner())
    shelf.wait_for("reboot")
    shelf.board.cut_power()
    code, errors = ended(process)
    assert code == 0, errors
    assert shelf.lab.counts("pi-01") == [1, 1, 1]
    assert shelf.events() == [("reboot", True)]


def test_a_board_that_does_not_answer_has_its_power_cycled(shelf: Shelf) -> None:
    cycle = {"off": shelf.command("off"), "on": shelf.command("on"), "off_s": 0.2}
    shelf.configure(power_cycle=cycle, reboot=shelf.command("reboot"))
    shelf.board.server.stop()
    process = shelf.start("run", str(shelf.lab.write_exec_sweep()))
    shelf.wait_for("on")
    shelf.board.board.boot()
    shelf.board.server.start()
    code, errors = ended(process)
    assert code == 0, errors
    assert (shelf.orders / "off").exists()
    assert not (shelf.orders / "reboot").exists(), "a board that does not answer cannot be told to reboot"
    assert shelf.events() == [("power-cycle", True)]


@pytest.mark.parametrize("during", ["off", "on"])
def test_ctrl_c_leaves_no_board_without_power_however_often(shelf: Shelf, during: str) -> None:
    """As at a terminal, the whole group gets it; the socket's command takes longer than the controller waits."""
    cycle = {name: shelf.slow_command(name, name == during) for name in ("off", "on")}
    shelf.configure(power_cycle={**cycle, "off_s": 0.2})
    shelf.board.server.stop()
    told = shelf.lab.directory / "stderr"
    with told.open("w") as errors:
        process = shelf.lab.start(
            "run", str(shelf.lab.write_exec_sweep()), start_new_session=True, stdout=subprocess.DEVNULL, stderr=errors
        )
    shelf.wait_for(during)
    os.killpg(process.pid, signal.SIGINT)
    processes.wait_until(lambda: "has its power back" in told.read_text(), "it is told what is waited for", WAIT_S)
    os.killpg(process.pid, signal.SIGINT)
    shelf.let_go()
    assert process.wait(WAIT_S) == 3, told.read_text()
    assert (shelf.orders / "on-done").exists()


def test_a_board_that_nothing_helps_is_in_quarantine_until_a_person_readmits_it(shelf: Shelf) -> None:
    shelf.configure(quarantine=True, power_cycle={"on": shelf.command("on")}, boot_s_max=2)
    shelf.board.server.stop()
    sweep = str(shelf.lab.write_exec_sweep())
    code, errors = ended(shelf.start("run", sweep))
    assert code == 4
    assert "it is in quarantine now" in errors
    assert "did not come back with a new boot within 2 s" in errors
    assert shelf.events() == [("power-cycle", False), ("quarantine", True)]

    shelf.board.server.start()
    kept_out = shelf.lab.run("run", sweep)
    assert kept_out.returncode == 4
    shelf.lab.assert_told(kept_out, "pi-01", "in quarantine since", "did not come back", "devices readmit pi-01")
    assert "quarantine since" in shelf.lab.run("devices", "list").stdout
    assert shelf.lab.run("devices", "probe").returncode == 0, "looking is allowed"

    readmitted = shelf.lab.run("devices", "readmit", "pi-01")
    assert readmitted.stdout.startswith("pi-01: admitted again"), readmitted
    assert shelf.lab.run("devices", "readmit", "pi-01").returncode == 2
    assert shelf.lab.run("run", sweep).returncode == 0


def test_a_person_keeps_runs_from_a_board(shelf: Shelf) -> None:
    told = shelf.lab.run("devices", "quarantine", "pi-01", "--reason", "its fan is broken")
    assert (told.returncode, "its fan is broken" in told.stdout) == (0, True)
    assert shelf.lab.json("devices", "list")[0]["quarantine"]["reason"] == "its fan is broken"
    done = shelf.lab.run("run", str(shelf.lab.write_exec_sweep()))
    shelf.lab.assert_told(done, "pi-01", "in quarantine since", "its fan is broken")
    assert shelf.lab.run("devices", "quarantine", "pi-01", "--reason", "two\nlines").returncode == 2


def test_a_first_connection_is_tried_again_as_often_as_the_inventory_says(shelf: Shelf) -> None:
    shelf.configure(retries=40)
    shelf.board.server.stop()
    told = shelf.lab.directory / "stderr"
    with told.open("w") as errors:
        process = shelf.lab.start("run", str(shelf.lab.write_exec_sweep()), stdout=subprocess.DEVNULL, stderr=errors)
    processes.wait_until(lambda: "  connect  attempt " in told.read_text(), "the board is tried again", WAIT_S)
    shelf.board.server.start()
    assert process.wait(WAIT_S) == 0, told.read_text()
    assert shelf.events() == [("retry", True)]
