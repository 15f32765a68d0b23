"""`benchfleet sql` ends when told to, whatever the database is computing, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.servers import processes

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

LONG_CALL = "SELECT instr(printf('%.*c', 8000000, 'a'), printf('%.*c', 4000000, 'a') || 'b')"
"""A single call of a function that takes hours, and that SQLite cannot interrupt."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    done = made.run("db", "upgrade")
    assert done.returncode == 0, done.stderr
    return made


def busy_reader(asking: subprocess.Popen[str]) -> int:
    """Return the process that computes for a command, once it has spent processor time on the call."""

    def computing() -> list[int]:
        return [pid for pid in processes.children(asking.pid) if _ticks(pid) > 50]

    processes.wait_until(lambda: bool(computing()), "the call is under way", 60)
    return computing()[0]


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_statement_ends_with_its_command(lab: Lab, told: signal.Signals) -> None:
    asking = lab.start("sql", LONG_CALL)
    try:
        reader = busy_reader(asking)
        asking.send_signal(told)
        code = asking.wait(20)
    finally:
        asking.kill()
        asking.wait()
    assert code == (-signal.SIGKILL if told is signal.SIGKILL else 3)
    processes.wait_until(lambda: processes.name(reader) == "", "the reading process is gone", 20)
    said = (lab.directory / "said.txt").read_text()
    assert said == ("" if told is signal.SIGKILL else "error: interrupted\n")


def test_a_reader_that_is_killed_is_told(lab: Lab) -> None:
    asking = lab.start("sql", LONG_CALL)
    try:
        processes.kill([busy_reader(asking)])
        assert asking.wait(20) == 4
    finally:
        asking.kill()
        asking.wait()
    said = (lab.directory / "said.txt").read_text()
    assert "the process that reads it ended with exit status -9" in said
    assert "Traceback" not in said
