"""A healthy device beside one that floods: results in time, and a controller that stays small, on both databases."""

from __future__ import annotations

import logging
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest

from tests.databases import Databases
from tests.lab import WAIT_S, Lab
from tests.servers.processes import wait_until
from tests.servers.spoiled_python import SpoiledPython
from tests.servers.sshd import SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

TRIALS = 40
MEMORY_MB_MAX = 400
IN_TIME_S = 15.0
"""How long after its end on the device a trial may be stored: no longer than a heartbeat, on a busy machine too."""
IN_TIME_PART = 0.95

DELAYS = """
SELECT t.key AS trial, a.finished_at AS finished, a.stored_at AS stored FROM attempt a
JOIN trial t ON t.id = a.trial_id JOIN run_device rd ON rd.id = t.run_device_id JOIN device d ON d.id = rd.device_id
WHERE d.name = 'healthy' AND a.counted
"""
SPOILT = """
SELECT count(*) AS attempts, count(CASE WHEN a.outcome = 'ok' THEN 1 END) AS ok FROM attempt a
JOIN trial t ON t.id = a.trial_id JOIN run_device rd ON rd.id = t.run_device_id JOIN device d ON d.id = rd.device_id
WHERE d.name = 'spoiled' AND a.outcome IS NOT NULL
"""
logger = logging.getLogger(__name__)


PROGRAM = """\
sleep 0.2
echo '{"metric": "latency_ns", "samples": [1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700]}'
echo '{"done": true}'
"""


@dataclass
class Neighbours:
    """Two devices of one run; the second says what it is told to."""

    lab: Lab
    url: str
    python: SpoiledPython

    def run(self) -> int:
        """Run a sweep on both until the healthy device has ended. Return the most memory of the controller, in MB."""
        sweep = self.lab.write_exec_sweep(PROGRAM, trials=TRIALS)
        process = self.lab.start("run", str(sweep), "--db", self.url)
        try:
            wait_until(lambda: "healthy  complete" in self.said() or process.poll() is not None, "its end", WAIT_S)
            assert "healthy  complete" in self.said(), self.said()
            return resident_kb(process) // 1024
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(WAIT_S)

    def said(self) -> str:
        return (self.lab.directory / "said.txt").read_text()

    def rows(self, statement: str) -> list[dict[str, object]]:
        found = self.lab.json("sql", statement, "--db", self.url)
        assert isinstance(found, list)
        return found


def resident_kb(process: subprocess.Popen[str]) -> int:
    """Return the most memory that the process has had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


@pytest.fixture
def neighbours(databases: Databases, ssh_server: SshServer, tmp_path: Path) -> Iterator[Neighbours]:
    lab = Lab(tmp_path)
    lab.trust(ssh_server)
    python = SpoiledPython(tmp_path / "python")
    lab.add_ssh("healthy", ssh_server)
    lab.add_ssh("spoiled", ssh_server, python=str(python.path))
    yield Neighbours(lab, databases.migrated(), python)
    python.heal()


@pytest.mark.parametrize("way", ["bomb", "flood-heavy"])
def test_a_device_that_floods_holds_up_no_other(neighbours: Neighbours, way: str) -> None:
    neighbours.python.spoil(way)
    peak_mb = neighbours.run()

    delays_s = sorted(seconds_between(row) for row in neighbours.rows(DELAYS))
    in_time = sum(delay_s <= IN_TIME_S for delay_s in delays_s)
    assert in_time >= IN_TIME_PART * TRIALS, delays_s
    assert peak_mb < MEMORY_MB_MAX
    (claimed,) = neighbours.rows(SPOILT)
    assert claimed["attempts"], "the other device has flooded meanwhile"
    if way == "bomb":
        assert claimed["ok"] == 0
    logger.info(
        "%s: %d of %d in time, median %.1f s, slowest %.1f s, %d MB",
        way,
        in_time,
        TRIALS,
        median(delays_s),
        delays_s[-1],
        peak_mb,
    )


def seconds_between(row: dict[str, object]) -> float:
    """Return the seconds from a trial's end on the device to its commit: both have the clock of this machine."""
    finished, stored = (datetime.fromisoformat(str(row[key])) for key in ("finished", "stored"))
    return (stored - finished).total_seconds()
