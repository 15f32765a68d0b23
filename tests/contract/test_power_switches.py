"""What every switch of a device's supply must do; one that runs the inventory's commands is the only kind so far."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import PowerSwitchFailed
from orchestrator.domain.recovery import PowerCycle, Recovery
from orchestrator.power.command_switch import CommandSwitch
from orchestrator.power.switch import PowerSwitch

HOSTILE = 'it\'s $(touch gone) `touch gone`; "two\nlines" -x'


class Outlet:
    """A socket that writes down what it was told, and whether its `off` works."""

    def __init__(self, folder: Path) -> None:
        self._account = folder / "account"
        self._script = folder / "outlet.py"
        self._script.write_text(
            "import sys\n"
            f"open({str(self._account)!r}, 'a').write(sys.argv[1] + '\\n')\n"
            "print(sys.stdin.read() + 'no such outlet \\x1b[2J')\n"
            "sys.exit(sys.argv[2] == 'fails')\n"
        )

    def command(self, order: str, how: str = "works") -> tuple[str, ...]:
        return (sys.executable, str(self._script), order, how)

    @property
    def account(self) -> list[str]:
        return self._account.read_text().splitlines() if self._account.exists() else []


@pytest.fixture
def outlet(tmp_path: Path) -> Outlet:
    return Outlet(tmp_path)


@pytest.fixture
def switch() -> PowerSwitch:
    return CommandSwitch()


def device(cycle: PowerCycle | None) -> Device:
    return Device("pi-03", TransportKind.SSH, recovery=Recovery(power_cycle=cycle))


def test_the_power_is_cut_and_given_back_after_a_while(switch: PowerSwitch, outlet: Outlet) -> None:
    paused: list[tuple[float, list[str]]] = []
    cycle = PowerCycle(on=outlet.command("on"), off=outlet.command("off"), off_s=7.0)
    switch.cycle(device(cycle), lambda seconds: paused.append((seconds, outlet.account)))
    assert paused == [(7.0, ["off"])]
    assert outlet.account == ["off", "on"]


def test_a_socket_that_cycles_by_itself_needs_no_off(switch: PowerSwitch, outlet: Outlet) -> None:
    switch.cycle(device(PowerCycle(on=outlet.command("cycle"))), lambda _: pytest.fail("nothing to wait for"))
    assert outlet.account == ["cycle"]


def test_the_power_comes_back_even_if_nobody_waits_any_more(switch: PowerSwitch, outlet: Outlet) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    cycle = PowerCycle(on=outlet.command("on"), off=outlet.command("off"))
    with pytest.raises(KeyboardInterrupt):
        switch.cycle(device(cycle), interrupted)
    assert outlet.account == ["off", "on"]


def test_a_command_that_fails_is_told_with_what_it_said(switch: PowerSwitch, outlet: Outlet) -> None:
    cycle = PowerCycle(on=outlet.command("on"), off=outlet.command("off", "fails"))
    with pytest.raises(PowerSwitchFailed, match="exit status 1: no such outlet") as caught:
        switch.cycle(device(cycle), lambda _: None)
    assert str(caught.value).startswith("power_cycle.off (python")
    assert outlet.account == ["off", "on"], "it may have cut the power before it failed"


def test_where_neither_command_works_both_are_told(switch: PowerSwitch, outlet: Outlet) -> None:
    cycle = PowerCycle(on=("/nonexistent/pdu",), off=outlet.command("off", "fails"))
    with pytest.raises(
        PowerSwitchFailed, match=r"power_cycle\.off .*no such outlet.*; power_cycle\.on \(pdu\): No such"
    ):
        switch.cycle(device(cycle), lambda _: None)


def test_secrets_among_the_words_are_not_told(switch: PowerSwitch) -> None:
    cycle = PowerCycle(on=("sh", "-c", "exit 3", "curl", "-u", "admin:hunter2"))
    with pytest.raises(PowerSwitchFailed, match="exit status 3") as caught:
        switch.cycle(device(cycle), lambda _: None)
    assert "hunter2" not in str(caught.value)


def test_a_command_that_leaves_a_daemon_behind_has_ended(switch: PowerSwitch, tmp_path: Path) -> None:
    """The daemon keeps the command's output open, and waits for a reader of its own."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    switch.cycle(device(PowerCycle(on=("sh", "-c", f"cat {fifo} & exit 0"))), lambda _: None)
    with fifo.open("w") as writer:
        writer.write("end\n")


def test_a_command_that_is_not_there_is_told_with_where_to_look(switch: PowerSwitch) -> None:
    with pytest.raises(PowerSwitchFailed, match="No such file") as caught:
        switch.cycle(device(PowerCycle(on=("/nonexistent/pdu",))), lambda _: None)
    assert "recovery.power_cycle" in (caught.value.hint or "")


def test_a_device_without_a_switch_is_told_so(switch: PowerSwitch) -> None:
    with pytest.raises(PowerSwitchFailed):
        switch.cycle(device(None), lambda _: None)


def test_no_shell_reads_the_words(switch: PowerSwitch, outlet: Outlet, tmp_path: Path) -> None:
    command = list(outlet.command("on"))
    command[2] = HOSTILE
    switch.cycle(replace(device(None), recovery=Recovery(power_cycle=PowerCycle(on=tuple(command)))), lambda _: None)
    assert "\n".join(outlet.account) == HOSTILE
    assert not (tmp_path / "gone").exists()
