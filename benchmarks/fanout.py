"""Measure fifty devices, twenty one-second trials each: benchfleet against a Fabric thread pool doing the same work.

All devices are state folders on one real sshd on loopback, so that both sides share its cost. The peer does what a
lab's first script does: a thread and a Fabric connection per device, the program put there, one `run` per trial,
results kept in memory. benchfleet commits every result to SQLite. Wall time is from process start to process end; CPU
is the controller alone.

Controller and devices share this machine's processors, which real devices do not: starting fifty interpreters is then
most of what a sweep waits for. The floor says how much: the peer, but with one bare Python per device that runs all of
its trials, and does nothing of what a worker is for.

A herd follows: five hundred devices, ten five-second trials each, every device at an address of its own. None may be
lost, in one command.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import timed_environment
from benchmarks.figures import Figure
from tests.servers.sshd import NO_STARTUP_FILES, SshServer

DEVICES = int(os.environ.get("FANOUT_DEVICES", "50"))
TRIALS = int(os.environ.get("FANOUT_TRIALS", "20"))
HERD_DEVICES = int(os.environ.get("FANOUT_HERD_DEVICES", "500"))
HERD_TRIALS = 10
HERD_TRIAL_S = 5

PROGRAM = """\
sleep {seconds}
echo '{"metric": "latency_ns", "samples": [1000000000]}'
echo '{"done": true}'
"""

RUN = (sys.executable, "-m", "orchestrator", "run", "sweep.yaml", "--json")

ONE_RUN_PER_TRIAL = """
        return [link.run(shlex.join(["sh", there]), hide=True, in_stream=False).stdout for _ in range(int(trials))]
"""

ONE_PYTHON_PER_DEVICE = """
        loop = (
            "import json, subprocess, sys\\n"
            "for _ in range(int(sys.argv[2])):\\n"
            "    print(subprocess.run(['sh', sys.argv[1]], stdout=-1).stdout.decode(), flush=True)\\n"
        )
        command = [sys.executable, "-E", "-s", "-c", loop, there, trials]
        return [link.run(shlex.join(command), hide=True, in_stream=False).stdout]
"""

PEER = """\
import json, os, shlex, sys
from concurrent.futures import ThreadPoolExecutor
from fabric import Connection

host, port, user, key, program, folder, devices, trials = sys.argv[1:]

def work(device):
    key_only = {"key_filename": key, "look_for_keys": False}
    there = os.path.join(folder, "peer-%d.sh" % device)
    with Connection(host, user=user, port=int(port), connect_kwargs=key_only) as link:
        link.put(program, there)
        {work}

with ThreadPoolExecutor(int(devices)) as pool:
    results = [line for lines in pool.map(work, range(int(devices))) for line in lines]
assert sum(result.count('"done": true') for result in results) == int(devices) * int(trials)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def measure() -> list[Figure]:
    """Run the peer, then benchfleet on empty devices, again on devices that know it, and on a herd."""
    return [*_measure_fifty(), *_measure_herd()]


def _measure_fifty() -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="benchfleet-fanout-") as name,
        SshServer(Path(name, "sshd"), environment=NO_STARTUP_FILES) as server,
    ):
        folder = Path(name)
        (folder / "trial.sh").write_text(PROGRAM.replace("{seconds}", "1"))
        peer = _cost(_peer(ONE_RUN_PER_TRIAL, folder, server), folder)
        floor = _cost(_peer(ONE_PYTHON_PER_DEVICE, folder, server), folder)
        _write_lab(folder, server, [server.host] * DEVICES, TRIALS)
        first = _cost(RUN, folder)
        again = _cost(RUN, folder)
        committed = _committed(folder / "benchfleet.db")
    wanted = 2 * DEVICES * TRIALS
    return [
        Figure("peer wall", peer.wall_s, "s"),
        Figure("peer controller CPU", peer.cpu_s, "s"),
        Figure("floor wall (a bare Python per device)", floor.wall_s, "s"),
        Figure("first sweep wall", first.wall_s, "s"),
        Figure("first sweep controller CPU", first.cpu_s, "s"),
        Figure("second sweep wall", again.wall_s, "s"),
        Figure("second sweep controller CPU", again.cpu_s, "s"),
        Figure("first sweep wall / peer", first.wall_s / peer.wall_s, "ratio", 1.0),
        Figure("first sweep CPU / peer", first.cpu_s / peer.cpu_s, "ratio", 0.5),
        Figure("second sweep wall / peer", again.wall_s / peer.wall_s, "ratio", 1.0),
        Figure("second sweep CPU / peer", again.cpu_s / peer.cpu_s, "ratio", 0.5),
        Figure("floor wall / peer", floor.wall_s / peer.wall_s, "ratio"),
        Figure("results not committed", wanted - committed, "trials", 0),
    ]


def _measure_herd() -> list[Figure]:
    """Run benchfleet on many devices, each of which is another address of one sshd."""
    with (
        tempfile.TemporaryDirectory(prefix="benchfleet-herd-") as name,
        SshServer(Path(name, "sshd"), environment=NO_STARTUP_FILES, all_of_loopback=True) as server,
    ):
        folder = Path(name)
        (folder / "trial.sh").write_text(PROGRAM.replace("{seconds}", str(HERD_TRIAL_S)))
        hosts = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(HERD_DEVICES)]
        _write_lab(folder, server, hosts, HERD_TRIALS)
        cost = _cost(RUN, folder, may_be_incomplete=True)
        committed = _committed(folder / "benchfleet.db")
    return [
        Figure("herd wall", cost.wall_s, "s"),
        Figure("herd controller CPU", cost.cpu_s, "s"),
        Figure("herd controller memory", cost.memory_mb, "MB"),
        Figure("herd results not committed", HERD_DEVICES * HERD_TRIALS - committed, "trials", 0),
    ]


def _peer(work: str, folder: Path, server: SshServer) -> list[str]:
    """Return the command of a script that does the sweep's work in one of two ways."""
    script = PEER.replace("{work}", work.strip())
    reached = [server.host, str(server.port), server.user, str(server.identity_file)]
    return [sys.executable, "-c", script, *reached, str(folder / "trial.sh"), str(folder), str(DEVICES), str(TRIALS)]


def _write_lab(folder: Path, server: SshServer, hosts: Sequence[str], trials: int) -> None:
    """Write the files of a lab with one device for each of `hosts`, all of them addresses of the server."""
    known_hosts = folder / "known_hosts"
    known_hosts.write_text("".join(server.known_hosts_line_of(host) + "\n" for host in dict.fromkeys(hosts)))
    devices = {
        f"device-{number:02}": {
            "host": host,
            "port": server.port,
            "user": server.user,
            "identity_file": str(server.identity_file),
            "state_dir": str(folder / "state" / f"{number:02}"),
            "python": sys.executable,
            "exclusive": False,
        }
        for number, host in enumerate(hosts)
    }
    model = Path(__file__).parent.parent / "models" / "digits"
    sweep = {
        "sweep": "fanout",
        "model": str(model),
        "variants": ["fp32"],
        "runtimes": [{"exec": {"name": "sleep", "command": ["sh", "trial.sh"], "files": ["trial.sh"]}}],
        "trials": trials,
    }
    # JSON is YAML
    (folder / "inventory.yaml").write_text(json.dumps({"devices": devices}))
    (folder / "sweep.yaml").write_text(json.dumps(sweep))
    (folder / "benchfleet.toml").write_text(
        f'db = "sqlite:///benchfleet.db"\ninventory = "inventory.yaml"\nknown_hosts = "{known_hosts}"\n'
        f'cache_dir = "{folder / "cache"}"\nmodels = "{model.parent}"\n'
    )


def _cost(argv: Sequence[str], folder: Path, *, may_be_incomplete: bool = False) -> Cost:
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        began = time.monotonic()
        process = subprocess.Popen(argv, cwd=folder, env=timed_environment(), stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) and not may_be_incomplete:
        raise SystemExit(f"{argv[:4]} failed:\n{(folder / 'errors').read_text()[-4000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _committed(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("select count(*) from v_history where metric = 'latency_ns'").fetchone()
    return int(count)
