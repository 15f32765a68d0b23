"""Measure one controller with 500, 1,000 and 2,000 simulated devices, and 1, 2 and 4 controllers on one PostgreSQL.

The devices are those of `orchestrator.testing.fleet`: an SSH server in a process of its own, with made-up logs. The
controllers are `benchfleet run`, unchanged, each with a part of the devices and a driver and database connection of its
own, as gateways of sites are. CPU and memory are those of the controllers alone. Fleet, controllers and database share
the processors of this machine, so that wall time and trials per second are those of all three together; CPU time per
trial is not, and says what a processor of its own would do.

A cost that does not depend on the number of trials is told apart by two runs: with few trials, and with many.
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
from dataclasses import dataclass
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
FEW, MANY = 2, int(os.environ.get("FLEET_TRIALS", "22"))
TRIAL_S = 5.0
"""Long enough that all devices are connected at once before the first ends."""
ON_PAPER = 10_000

RUN = (sys.executable, "-m", "orchestrator", "run", "sweep.yaml", "--json")
_COUNT = "select count(*) from v_history where metric = 'latency_ns'"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What controllers took together, and the wall time of the last one to end."""

    wall_s: float
    cpu_s: float
    memory_mb: float
    database_cpu_s: float | None
    committed: int


def measure() -> Iterator[Figure]:
    """Let one controller grow, then several share a database."""
    yield from _grow()
    try:
        yield from _share()
    except ServerUnavailable as error:
        raise SystemExit(f"PostgreSQL: {error}") from None


def _grow() -> Iterator[Figure]:
    """Measure one controller on SQLite with more and more devices."""
    few: dict[int, Cost] = {}
    many: dict[int, Cost] = {}
    for devices in DEVICES:
        few[devices] = _carry_out(devices, FEW, 1)
        many[devices] = _carry_out(devices, MANY, 1)
        yield from _figures(f"{devices} devices, sqlite", devices, few[devices], many[devices])
    base, least, most = DEVICES[0], DEVICES[min(1, len(DEVICES) - 1)], DEVICES[-1]
    memory = _slope(base, most, lambda devices: many[devices].memory_mb * 1024)
    way_in = _slope(base, most, lambda devices: few[devices].cpu_s * 1000)
    yield Figure("memory per device", memory, "KB", at_most=300)
    yield Figure("controller CPU per device (way in and out, 2 trials)", way_in, "ms")
    if least < most:
        grown = _per_trial(most, few[most], many[most]) / _per_trial(least, few[least], many[least])
        yield Figure(f"CPU per trial, {most} devices / {least}", grown, "ratio", at_most=1.5)
        upper = _slope(least, most, lambda devices: few[devices].cpu_s)
        lower = _slope(base, least, lambda devices: few[devices].cpu_s)
        yield Figure(f"CPU per further device, beyond {least} / up to {least}", upper / lower, "ratio", at_most=1.5)
    yield Figure(
        f"on paper: memory of {ON_PAPER} devices in one controller",
        many[most].memory_mb + (ON_PAPER - most) * memory / 1024,
        "MB",
    )


def _share() -> Iterator[Figure]:
    """Measure controllers that share a PostgreSQL."""
    per_trial: dict[int, float] = {}
    database_ms = 0.0
    for gateways in GATEWAYS:
        few = _carry_out(GATEWAY_DEVICES, FEW, gateways, postgres=True)
        many = _carry_out(GATEWAY_DEVICES, MANY, gateways, postgres=True)
        name = f"{gateways} gateways, {GATEWAY_DEVICES} devices, postgresql"
        yield from _figures(name, GATEWAY_DEVICES, few, many)
        per_trial[gateways] = _per_trial(GATEWAY_DEVICES, few, many)
        assert few.database_cpu_s is not None
        assert many.database_cpu_s is not None
        trials = GATEWAY_DEVICES * (MANY - FEW)
        database_ms = (many.database_cpu_s - few.database_cpu_s) * 1000 / trials
        yield Figure(f"{name}: database CPU per trial", database_ms, "ms")
    first, last = GATEWAYS[0], GATEWAYS[-1]
    if first < last:
        yield Figure(f"CPU per trial, {last} gateways / {first}", per_trial[last] / per_trial[first], "ratio", 1.5)
    yield Figure("on paper: trials/s that one processor of the database bears", 1000 / database_ms, "trials/s")
    yield Figure("on paper: trials/s that one processor of a gateway bears", 1000 / per_trial[first], "trials/s")


def _figures(name: str, devices: int, few: Cost, many: Cost) -> Iterator[Figure]:
    lost = devices * (FEW + MANY) - few.committed - many.committed
    yield Figure(f"{name}: wall", many.wall_s, "s")
    yield Figure(f"{name}: committed", many.committed / many.wall_s, "trials/s")
    at_most = 2.0 if devices > 1 else None
    yield Figure(f"{name}: controller CPU per trial", _per_trial(devices, few, many), "ms", at_most=at_most)
    yield Figure(f"{name}: controller CPU in all", many.cpu_s, "s")
    yield Figure(f"{name}: memory", many.memory_mb, "MB", at_most=400 if devices <= 2000 else None)
    yield Figure(f"{name}: not committed", lost, "trials", at_most=0)


def _per_trial(devices: int, few: Cost, many: Cost) -> float:
    """Return the CPU milliseconds of one further trial: connecting and planning are in both runs, and drop out."""
    return (many.cpu_s - few.cpu_s) * 1000 / (devices * (MANY - FEW))


def _slope(low: int, high: int, of: Callable[[int], float]) -> float:
    """Return what one further device adds."""
    return (of(high) - of(low)) / (high - low) if high > low else of(high) / high


def _carry_out(devices: int, trials: int, gateways: int, *, postgres: bool = False) -> Cost:
    """Run a sweep on so many fresh simulated devices, divided among controllers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchfleet-fleet-")))
        names = [f"device-{number:05}" for number in range(devices)]
        fleet = stack.enter_context(FleetServer(folder / "fleet", names, pace={"trial_s": TRIAL_S}))
        server = stack.enter_context(PostgresServer(folder / "postgres", durable=True)) if postgres else None
        url = server.create_database("fleet") if server else None
        inventory = fleet.inventory()
        labs = []
        for number in range(gateways):
            lab = folder / f"gateway-{number}"
            own = dict(list(inventory.items())[number::gateways])
            _write_lab(lab, own, trials, url, fleet.known_hosts)
            labs.append(lab)
        if url is not None:
            subprocess.run([*RUN[:3], "db", "upgrade"], cwd=labs[0], env=timed_environment(), check=True, stdout=-3)
        cost = _cost(labs, None if server is None else server.pid)
        committed = sum(map(_committed, labs)) if url is None else _committed_postgres(url)
    return Cost(*cost, committed)


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


def _cost(labs: Sequence[Path], database: int | None) -> tuple[float, float, float, float | None]:
    """Run a controller in each lab side by side. Return wall, CPU, memory, and the database's CPU."""
    database_before = _cpu_of_server(database)
    began = time.monotonic()
    running = [(lab, _start(lab)) for lab in labs]
    cpu_s, memory_mb = 0.0, 0.0
    for lab, process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # nobody waits for it again
        if process.returncode:
            raise SystemExit(f"the run in {lab.name} failed:\n{(lab / 'errors').read_text()[-4000:]}")
        cpu_s += usage.ru_utime + usage.ru_stime
        memory_mb += usage.ru_maxrss / 1024
    wall_s = time.monotonic() - began
    spent = None if database_before is None else (_cpu_of_server(database) or 0.0) - database_before
    return wall_s, cpu_s, memory_mb, spent


def _start(lab: Path) -> subprocess.Popen[bytes]:
    with (lab / "output").open("wb") as output, (lab / "errors").open("wb") as errors:
        return subprocess.Popen(RUN, cwd=lab, env=timed_environment(), stdout=output, stderr=errors)


def _cpu_of_server(pid: int | None) -> float | None:
    """Return the CPU seconds of a PostgreSQL: the server, the processes below it, and those that have ended."""
    if pid is None:
        return None
    ticks = 0
    for process in (pid, *processes.descendants(pid)):
        with suppress(OSError):  # a process may end meanwhile: the server then has its time
            words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, words[11:15] if process == pid else words[11:13]))
    return ticks / _TICKS


def _committed(lab: Path) -> int:
    with closing(sqlite3.connect(lab / "benchfleet.db")) as connection:
        (count,) = connection.execute(_COUNT).fetchone()
    return int(count)


def _committed_postgres(url: str) -> int:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        (count,) = connection.execute(_COUNT).fetchone() or (0,)
    return int(count)
