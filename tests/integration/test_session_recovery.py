"""A session that seeks its device again, or brings it back from another boot, and says so."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.conversation import FactsReported, FollowEnded, RungClimbed, SessionEnded
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import AuthenticationFailed, LinkLost, PowerSwitchFailed, RebootFailed, Unreachable
from orchestrator.domain.recovery import PowerCycle, Recovery, Rescue, Rung
from orchestrator.power.command_switch import CommandSwitch
from orchestrator.session import rescue
from orchestrator.session.rescue import Rescuer
from orchestrator.testing.faulty_transport import Cut, Fault, FaultyConnector, Refusal
from orchestrator.transport.base import Asker
from orchestrator.transport.local import LocalConnector
from tests.chaos.board import Board
from tests.integration.session_bench import OK, Bench, Talk

NO_ANSWER = [Refusal()] * 3
"""While it boots."""


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescue, "PAUSE_S", 0.01)


class Rebootable:
    """A board on this machine whose command to reboot is a program of this test."""

    def __init__(self, folder: Path) -> None:
        self.board = Board(folder / "board")
        self.folder = folder

    def device(self, program: str, **recovery: object) -> Device:
        script = self.folder / "reboot.py"
        script.write_text(f"BOOT_ID = {str(self.folder / 'board' / 'boot_id')!r}\n{program}")
        words = (sys.executable, str(script))
        made = Recovery(**{"reboot": words, "boot_s_max": 5.0, **recovery})  # type: ignore[arg-type]
        return Device("board", TransportKind.LOCAL, python=str(self.board.python), recovery=made, exclusive=False)


@pytest.fixture
def rebootable(tmp_path: Path) -> Rebootable:
    return Rebootable(tmp_path)


def bring_back(device: Device, rung: Rung, faults: Sequence[Fault] = (), *, if_silent: bool = False) -> Rung:
    connector = FaultyConnector(LocalConnector(), {"board": list(faults)})
    return Rescuer(device, connector, CommandSwitch(), threading.Event(), Asker()).rescue(Rescue(rung, if_silent))


MARK = "open(BOOT_ID.replace('board/boot_id', 'ordered'), 'w')"
REBOOTS = "open(BOOT_ID, 'w').write('another boot\\n')"


def test_a_reboot_is_over_once_the_device_answers_from_another_boot(rebootable: Rebootable) -> None:
    """The connections: to learn of the boot, to order another, three while it is down, and the one that is answered."""
    bring_back(rebootable.device(REBOOTS), Rung.REBOOT, [None, None, *NO_ANSWER, None])


def test_a_device_that_answers_from_the_same_boot_has_not_come_back(rebootable: Rebootable) -> None:
    with pytest.raises(Unreachable, match=r"did not come back with a new boot within 0\.5 s") as caught:
        bring_back(rebootable.device("", boot_s_max=0.5), Rung.REBOOT)
    assert "it answers, with the boot that it had" in (caught.value.hint or "")


def test_a_device_that_stays_silent_is_to_be_looked_at(rebootable: Rebootable) -> None:
    with pytest.raises(Unreachable, match="did not come back") as caught:
        bring_back(rebootable.device(REBOOTS, boot_s_max=1.5), Rung.REBOOT, [None, None, *([Refusal()] * 20)])
    assert caught.value.hint == "look at the device"


def test_a_command_to_reboot_that_the_login_does_not_find_is_not_taken_for_one_that_wants_a_password(
    rebootable: Rebootable,
) -> None:
    """As `reboot` in the login of a user of Debian, whose PATH has no /sbin."""
    missing = replace(rebootable.device(""), recovery=Recovery(reboot=("no-such-reboot",), boot_s_max=1.0))
    with pytest.raises(RebootFailed, match="exit status 127") as caught:
        bring_back(missing, Rung.REBOOT)
    assert "by its path" in (caught.value.hint or "")
    assert "password" not in (caught.value.hint or "")


def test_a_boot_id_that_no_interpreter_reads_is_not_blamed_on_proc_alone(rebootable: Rebootable) -> None:
    device = replace(rebootable.device(REBOOTS), python="/no/such/python3")
    with pytest.raises(RebootFailed, match=r"cannot be read: .*python3") as caught:
        bring_back(device, Rung.REBOOT)
    assert "does /no/such/python3 start there" in (caught.value.hint or "")


def test_a_command_that_is_not_allowed_is_told_with_what_it_said(rebootable: Rebootable) -> None:
    device = rebootable.device("import sys; sys.exit('sudo: a password is required')")
    with pytest.raises(RebootFailed, match="exit status 1: sudo: a password is required") as caught:
        bring_back(device, Rung.REBOOT)
    assert "recovery.reboot" in (caught.value.hint or "")


def test_a_device_that_does_not_answer_cannot_be_told_to_reboot(rebootable: Rebootable) -> None:
    with pytest.raises(Unreachable):
        bring_back(rebootable.device(REBOOTS), Rung.REBOOT, [Refusal()])


def test_a_link_that_the_reboot_cuts_is_no_failure(rebootable: Rebootable) -> None:
    bring_back(rebootable.device(REBOOTS), Rung.REBOOT, [None, Cut(after_read_bytes=0)])


def test_power_is_cycled_whether_or_not_the_device_answered_before(rebootable: Rebootable) -> None:
    device = rebootable.device(REBOOTS)
    cycle = PowerCycle(on=device.recovery.reboot)
    cycled = replace(device, recovery=replace(device.recovery, power_cycle=cycle))
    bring_back(cycled, Rung.POWER_CYCLE)
    bring_back(cycled, Rung.POWER_CYCLE, [Refusal(), *NO_ANSWER])


def test_a_device_that_answers_after_all_is_spared_where_only_silence_is_a_reason(rebootable: Rebootable) -> None:
    """One connection was refused; its power is not to be cut for that."""
    device = rebootable.device(REBOOTS)
    cycled = replace(device, recovery=replace(device.recovery, power_cycle=PowerCycle(on=("/nonexistent/pdu",))))
    assert bring_back(cycled, Rung.POWER_CYCLE, if_silent=True) is Rung.RETRY


def test_a_device_that_refuses_us_answers(rebootable: Rebootable) -> None:
    """It may be in the middle of an update that a person has begun."""
    device = rebootable.device("")
    cycled = replace(device, recovery=replace(device.recovery, power_cycle=PowerCycle(on=("/nonexistent/pdu",))))
    refusal = Refusal(AuthenticationFailed("System is booting up"))
    assert bring_back(cycled, Rung.POWER_CYCLE, [refusal], if_silent=True) is Rung.RETRY


def test_a_home_that_is_not_mounted_yet_is_waited_for(rebootable: Rebootable) -> None:
    refusal = Refusal(AuthenticationFailed("no key fits"))
    assert bring_back(rebootable.device(REBOOTS), Rung.REBOOT, [None, None, refusal, None]) is Rung.REBOOT


def test_a_socket_that_does_not_work_is_told(rebootable: Rebootable) -> None:
    device = rebootable.device("")
    broken = replace(device.recovery, power_cycle=PowerCycle(on=("/nonexistent/pdu",)))
    with pytest.raises(PowerSwitchFailed):
        bring_back(replace(device, recovery=broken), Rung.POWER_CYCLE)


def test_whoever_is_told_to_close_does_not_wait_for_the_boot(rebootable: Rebootable) -> None:
    told = threading.Event()
    told.set()
    with pytest.raises(LinkLost, match="broken off on request"):
        Rescuer(rebootable.device(MARK), LocalConnector(), CommandSwitch(), told, Asker()).rescue(Rescue(Rung.REBOOT))
    assert not (rebootable.folder / "ordered").exists(), "nor is it ordered"


@pytest.fixture
def talk(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Talk]:
    def make(faults: Sequence[Fault], **recovery: object) -> Talk:
        bench = Bench(tmp_path)
        bench.device = replace(bench.device, recovery=Recovery(**recovery))  # type: ignore[arg-type]
        made = Talk(bench, faults)
        request.addfinalizer(made.end)
        return made

    return make


def rungs(talk: Talk) -> list[tuple[Rung, bool]]:
    return [(report.rung, report.succeeded) for report in talk.reports if isinstance(report, RungClimbed)]


def test_a_first_connection_is_retried_and_that_is_told(talk: Callable[..., Talk]) -> None:
    talking = talk([Refusal(), Refusal()], connect_retries=3)
    talking.until(RungClimbed)
    assert rungs(talking) == [(Rung.RETRY, True)]
    assert any(isinstance(report, FactsReported) for report in talking.reports), "connected is not yet reached"
    assert next(r.reason for r in talking.reports if isinstance(r, RungClimbed)) == "board: connect: refused on purpose"


def test_a_first_connection_that_is_refused_once_too_often_is_left_at_that(talk: Callable[..., Talk]) -> None:
    talking = talk([Refusal()] * 3, connect_retries=2)
    ended = talking.until(SessionEnded)
    assert isinstance(ended.error, Unreachable)
    assert rungs(talking) == [(Rung.RETRY, False)]


def test_without_retries_a_device_that_is_not_there_is_told_at_once(talk: Callable[..., Talk]) -> None:
    talking = talk([Refusal()])
    assert isinstance(talking.until(SessionEnded).error, Unreachable)
    assert rungs(talking) == []


def test_a_lost_link_is_sought_and_that_is_told(talk: Callable[..., Talk], tmp_path: Path) -> None:
    talking = talk([Cut(after_read_bytes=6_000), Refusal()])
    talking.until(FactsReported)
    talking.post(Bench(tmp_path).assignment(OK, trials=6))
    talking.until(FollowEnded)
    assert rungs(talking) == [(Rung.RECONNECT, True)]
