"""Measure one controller with 500, 1,000 and 2,000 simulated devices, and 1, 2 and 4 controllers on one PostgreSQL.

The devices are those of `orchestrator.testing.fleet`: an SSH server in a process of its own, with made-up logs. The
controllers are `benchfleet run`, unchanged, each with a part of the devices and a driver and database connection of its
own, as gateways of sites are, but without Ray. CPU and memory are those of the controllers alone. Fleet, controllers
and database share the processors of this machine, so that trials per second are those of all three together. The CPU
time of a trial is not, and says what a processor of its own would bear.

The fleet holds all devices in their first trial until each is followed, and in their last trial until all before are
committed. What the controllers have taken by then is the way in, and the trials in between. So the figures of trials
have no handshake in them, and memory is that of a fleet which is connected as a whole.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.environment import timed_environment
from benchmarks.figures import Figure
from tests.servers import processes
from tests.servers.errors import ServerUnavailable
from tests.servers.fleet import FleetServer
from tests.servers.postgres import PostgresServer

DEVICES = tuple(map(int, os.environ.get("FLEET_DEVICES", "1,500,1000,2000").split(",")))
GATEWAYS = tuple(map(int, os.environ.get("FLEET_GATEWAYS", "1,2,4").split(",")))
GATEWAY_DEVICES = int(os.environ.get("FLEET_GATEWAY_DEVICES", "400"))
TRIALS = int(os.environ.get("FLEET_TRIALS", "12"))
OFFERED_PER_S = float(os.environ.get("FLEET_OFFERED_PER_S", "300"))
"""How many trials all devices end in a second: no more than a controller commits, or records wait in its memory."""
ON_PAPER = 10_000

RUN = (sys.executable, "-m", "orchestrator", "run", "sweep.yaml", "--json")
_TRIAL_S_MIN = 0.5
_LOOK_S, _PATIENCE_S = 0.5, 1800.0
_COUNT = "select count(*) from attempt where counted"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spent:
    """What controllers have taken together until a moment, what they hold then, and what their database has taken."""

    at_s: float
    cpu_s: float
    database_cpu_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Course:
    """What controllers had taken when they began, when all devices were followed, when all trials but one, and all."""

    devices: int
    began: Spent
    followed: Spent
    measured: Spent
    over: Spent
    memory_mb: float
    committed: int

    @property
    def trials(self) -> int:
        """Return the trials between the two holds."""
        return self.devices * (TRIALS - 1)

    @property
    def in_and_out_ms(self) -> float:
        """Return the CPU time of everything but the trials in between, of one device."""
        spent = self.followed.cpu_s - self.began.cpu_s + self.over.cpu_s - self.measured.cpu_s
        return spent * 1000 / self.devices

    @property
    def trial_ms(self) -> float:
        """Return the CPU time of one trial."""
        return (self.measured.cpu_s - self.followed.cpu_s) * 1000 / self.trials

    @property
    def database_ms(self) -> float:
        """Return the CPU time that the database takes for one trial."""
        return (self.measured.database_cpu_s - self.followed.database_cpu_s) * 1000 / self.trials

    @property
    def trials_per_s(self) -> float:
        """Return how many trials were committed in a second of wall time."""
        return self.trials / (self.measured.at_s - self.followed.at_s)


def measure() -> Iterator[Figure]:
    """Let one controller grow, then several share a database."""
    yield from _grow()
    try:
        yield from _share()
    except ServerUnavailable as error:
        raise SystemExit(f"PostgreSQL: {error}") from None


def _grow() -> Iterator[Figure]:
    """Measure one controller on SQLite with more and more devices."""
    _carry_out(1, 1)  # whatever is compiled or cached at the first start
    courses = {}
    for devices in DEVICES:
        courses[devices] = _carry_out(devices, 1)
        yield from _figures(f"{devices} devices, sqlite", courses[devices], 400 if devices <= 2000 else None)
    base, most = DEVICES[0], DEVICES[-1]
    least = next((devices for devices in DEVICES if devices > base), most)
    added_mb = courses[most].followed.memory_mb - courses[base].followed.memory_mb
    added_kb = added_mb * 1024 / max(1, most - base)
    yield Figure("memory per device", added_kb, "KB", at_most=300)
    if least < most:
        small, large = courses[least], courses[most]
        yield Figure(f"CPU per trial, {most} devices / {least}", large.trial_ms / small.trial_ms, "ratio", 1.5)
        grown = large.in_and_out_ms / small.in_and_out_ms
        yield Figure(f"CPU per device besides, {most} devices / {least}", grown, "ratio", 1.5)
    on_paper = courses[most].followed.memory_mb + (ON_PAPER - most) * added_kb / 1024
    yield Figure(f"on paper: memory of {ON_PAPER} devices in one controller", on_paper, "MB")
    yield Figure(f"on paper: CPU to take {ON_PAPER} devices in and out", courses[most].in_and_out_ms * 10, "s")


def _share() -> Iterator[Figure]:
    """Measure controllers that share a PostgreSQL."""
    courses = {}
    for gateways in GATEWAYS:
        courses[gateways] = _carry_out(GATEWAY_DEVICES, gateways, postgres=True)
        name = f"{gateways} gateways, {GATEWAY_DEVICES} devices, postgresql"
        yield from _figures(name, courses[gateways])
        yield Figure(f"{name}: database CPU per trial", courses[gateways].database_ms, "ms")
    first, last = courses[GATEWAYS[0]], courses[GATEWAYS[-1]]
    if first is not last:
        yield Figure("CPU per trial, most gateways / fewest", last.trial_ms / first.trial_ms, "ratio", 1.5)
        yield Figure("database CPU per trial, most gateways / fewest", last.database_ms / first.database_ms, "ratio")
    yield Figure("on paper: trials/s of one processor for the database", 1000 / last.database_ms, "trials/s")
    yield Figure("on paper: trials/s of one processor for a gateway", 1000 / last.trial_ms, "trials/s")


def _figures(name: str, course: Course, memory_mb_max: float | None = None) -> Iterator[Figure]:
    yield Figure(f"{name}: until all are followed", course.followed.at_s - course.began.at_s, "s")
    yield Figure(f"{name}: committed", course.trials_per_s, "trials/s")
    at_most = 2.0 if course.devices > 1 else None
    yield Figure(f"{name}: CPU per trial", course.trial_ms, "ms", at_most=at_most)
    yield Figure(f"{name}: CPU per device besides", course.in_and_out_ms, "ms")
    yield Figure(f"{name}: memory, all followed", course.followed.memory_mb, "MB", at_most=memory_mb_max)
    yield Figure(f"{name}: memory, at most", course.memory_mb, "MB")
    yield Figure(f"{name}: not committed", course.devices * TRIALS - course.committed, "trials", at_most=0)


def _carry_out(devices: int, gateways: int, *, postgres: bool = False) -> Course:
    """Run a sweep on so many fresh simulated devices, divided among controllers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchfleet-fleet-")))
        names = [f"device-{number:05}" for number in range(devices)]
        fleet = stack.enter_context(
            FleetServer(folder / "fleet", names, pace={"trial_s": max(_TRIAL_S_MIN, devices / OFFERED_PER_S)})
        )
        server = stack.enter_context(PostgresServer(folder / "postgres", durable=True)) if postgres else None
        url = server.create_database("fleet") if server else None
        inventory = fleet.inventory()
        labs = []
        for number in range(gateways):
            labs.append(folder / f"gateway-{number}")
            own = dict(list(inventory.items())[number::gateways])
            _write_lab(labs[-1], own, TRIALS, url, fleet.known_hosts)
        if url is not None:
            subprocess.run([*RUN[:3], "db", "upgrade"], cwd=labs[0], env=timed_environment(), check=True, stdout=-3)

        def committed() -> int:
            return sum(map(_committed, labs)) if url is None else _committed_postgres(url)

        course = _drive(fleet, labs, None if server is None else server.pid, committed)
        return replace(course, committed=committed())


def _drive(fleet: FleetServer, labs: Sequence[Path], database: int | None, committed: Callable[[], int]) -> Course:
    """Run a controller in each lab side by side, and note what they have taken at each hold."""
    fleet.hold(0)
    running = [(lab, _start(lab)) for lab in labs]
    pids = [process.pid for _, process in running]
    try:
        began = _spent(pids, database)
        _wait_until(lambda: fleet.count_held() == len(fleet.names), running)
        followed = _spent(pids, database)
        fleet.hold(TRIALS - 1)
        # By the database: what the fleet has sent may wait in the controllers for a while.
        _wait_until(lambda: committed() == len(fleet.names) * (TRIALS - 1), running)
        measured = _spent(pids, database)
        fleet.let_go_on()
        cpu_s, memory_mb = 0.0, 0.0
        for lab, process in running:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)  # nobody waits for it again
            _refuse_failure(lab, process)
            cpu_s += usage.ru_utime + usage.ru_stime
            memory_mb += usage.ru_maxrss / 1024
        over = Spent(time.monotonic(), cpu_s, _cpu_s(database, with_children=True) if database else 0.0, 0.0)
    finally:
        for _, process in running:
            if process.returncode is None:
                process.kill()
                process.wait()
    return Course(len(fleet.names), began, followed, measured, over, memory_mb, 0)


def _wait_until(comes: Callable[[], bool], running: Sequence[tuple[Path, subprocess.Popen[bytes]]]) -> None:
    """Wait until something has come. Raise SystemExit if a controller ends meanwhile."""
    deadline = time.monotonic() + _PATIENCE_S
    while not comes():
        for lab, process in running:
            if process.poll() is not None:
                _refuse_failure(lab, process)
                raise SystemExit(f"the run in {lab.name} ended before its devices did")
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing came of a hold within {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_S)  # seldom: a look costs the fleet or the database something


def _refuse_failure(lab: Path, process: subprocess.Popen[bytes]) -> None:
    if process.returncode:
        said = (lab / "errors").read_text()[-2000:] + (lab / "output").read_text()[-2000:]
        raise SystemExit(f"the run in {lab.name} ended with {process.returncode}:\n{said}")


def _spent(pids: Sequence[int], database: int | None) -> Spent:
    taken = sum(_cpu_s(pid) for pid in pids)
    spent = _cpu_s(database, with_children=True) if database else 0.0
    return Spent(time.monotonic(), taken, spent, sum(map(_memory_mb, pids)))


def _start(lab: Path) -> subprocess.Popen[bytes]:
    with (lab / "output").open("wb") as output, (lab / "errors").open("wb") as errors:
        return subprocess.Popen(RUN, cwd=lab, env=timed_environment(), stdout=output, stderr=errors)


def _cpu_s(pid: int, *, with_children: bool = False) -> float:
    """Return the CPU seconds of a process, perhaps with those of the processes below it, ended ones too."""
    ticks = 0
    for process in (pid, *(processes.descendants(pid) if with_children else ())):
        with suppress(OSError):  # a process may end meanwhile: the one above then has its time
            words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, words[11:15] if process == pid and with_children else words[11:13]))
    return ticks / _TICKS


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _committed(lab: Path) -> int:
    with closing(sqlite3.connect(lab / "benchfleet.db")) as connection:
        (count,) = connection.execute(_COUNT).fetchone()
    return int(count)


def _committed_postgres(url: str) -> int:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        (count,) = connection.execute(_COUNT).fetchone() or (0,)
    return int(count)


def _write_lab(lab: Path, devices: object, trials: int, url: str | None, known_hosts: Path) -> None:
    lab.mkdir()
    model = Path(__file__).parent.parent / "models" / "digits"
    (lab / "trial.sh").write_text("echo no simulated device runs this\n")
    sweep = {
        "sweep": "fleet",
        "model": str(model),
        "variants": ["fp32"],
        "runtimes": [{"exec": {"name": "simulated", "command": ["sh", "trial.sh"], "files": ["trial.sh"]}}],
        "trials": trials,
    }
    (lab / "inventory.yaml").write_text(json.dumps({"devices": devices}))  # JSON is YAML
    (lab / "sweep.yaml").write_text(json.dumps(sweep))
    (lab / "benchfleet.toml").write_text(
        f'db = "{url or "sqlite:///benchfleet.db"}"\ninventory = "inventory.yaml"\nknown_hosts = "{known_hosts}"\n'
        f'cache_dir = "{lab / "cache"}"\nmodels = "{model.parent}"\n'
    )
