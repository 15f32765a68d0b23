"""Runs over several sites: raylets that stand for them, gateways that die, and a site that nobody is at."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.execution import sites as execution
from tests.databases import PostgresDatabases, SqliteDatabases
from tests.lab import OK_PROGRAM, Lab
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_until
from tests.servers.raylets import Raylets
from tests.servers.tcp_relay import TcpRelay
from tests.site_jobs import IdleJob
from tests.system.test_queue import GATED, QueueLab

# Not imported here: Ray reads once, at the import, whether it wants a token, and other tests set that before.
IS_RAY_THERE = importlib.util.find_spec("ray") is not None
pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not IS_RAY_THERE, reason="Ray is not installed: pip install 'benchfleet[ray]'"),
]
TOKEN = {"RAY_AUTH_MODE": "disabled"}
STATES = "SELECT d.name AS device, r.state FROM run_device r JOIN device d ON d.id = r.device_id"
BEGUN = """\
SELECT DISTINCT d.name AS device FROM attempt a JOIN trial t ON t.id = a.trial_id
JOIN run_device r ON r.id = t.run_device_id JOIN device d ON d.id = r.device_id"""


class SiteLab(QueueLab):
    """A lab with a device where the daemon is, and further ones at sites."""

    def __init__(self, directory: Path, url: str, **sites: str) -> None:
        super().__init__(directory, url)
        for name, site in sites.items():
            self.add_local(name, exclusive=False, site=site)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **TOKEN}

    def submit(self, program: str, trials: int = 2) -> None:
        """Submit a sweep of one cell for every device."""
        self.write_exec_sweep(program, "one", trials=trials)
        done = self.run("submit", "one.yaml", "--name", "one")
        assert done.returncode == 0, done.stderr

    @contextmanager
    def daemon(self, address: str) -> Iterator[subprocess.Popen[str]]:
        """Have a daemon work at the queue until nothing is left, on the sites of a cluster."""
        started = self.start("daemon", "--drain", "--executor", "ray", "--ray-address", address)
        try:
            yield started
        finally:
            started.kill()
            started.wait(30)

    def said(self) -> str:
        """Return what daemons have said."""
        return (self.directory / "said.txt").read_text()

    def controllers(self) -> dict[str, set[str]]:
        """Return by device who has had leases of it."""
        found: dict[str, set[str]] = {}
        for row in self.rows("SELECT d.name AS device, l.controller FROM lease l JOIN device d ON d.id = l.device_id"):
            found.setdefault(row["device"], set()).add(row["controller"])
        return found

    def log_of(self, device: str) -> bytes:
        """Return what the runners of a device have written and nobody has forgotten."""
        return b"".join(path.read_bytes() for path in self.state_dir(device).glob("runs/*/log"))

    def wait_for_trials(self, *devices: str) -> None:
        """Wait until each device has begun a trial."""

        def begun() -> bool:
            return {row["device"] for row in self.rows(BEGUN)} == set(devices)

        wait_until(begun, f"a trial has begun on {', '.join(devices)}", 240)


@pytest.fixture(scope="module")
def raylets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raylets]:
    """Start a cluster with one node at each of two sites. Its nodes know no database of their own."""
    with Raylets(["berlin", "oslo"], {**Lab(tmp_path_factory.mktemp("nodes")).environment, **TOKEN}) as started:
        yield started


def waiting_for(gate: Path) -> str:
    return f"while [ ! -e {gate} ]; do sleep 0.05; done\n{OK_PROGRAM}"


def test_gateways_drive_their_sites_and_are_placed_again(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    sites = {"berlin-1": "berlin", "berlin-2": "berlin", "oslo-1": "oslo"}
    lab = SiteLab(tmp_path / "lab", postgres_databases.migrated(), **sites)
    gate = tmp_path / "gate"
    lab.submit(waiting_for(gate))
    with lab.daemon(raylets.address) as daemon:
        lab.wait_for_trials("desk", *sites)
        # Another machine of the site is there, and then the gateway's own one goes.
        raylets.add("berlin")
        raylets.kill("berlin")
        wait_until(lambda: "site berlin: the gateway ended" in lab.said(), "the daemon has noticed", 120)
        gate.touch()
        assert daemon.wait(240) == 0, lab.said()
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1] * 8})
    drivers = {name: {who.partition(",")[0] for who in found} for name, found in lab.controllers().items()}
    assert drivers["berlin-1"] == drivers["berlin-2"] == {"gateway of berlin"}
    assert drivers["oslo-1"] == {"gateway of oslo"}
    assert all(who.startswith("daemon of ") for who in drivers["desk"])
    # By processes: the gateway that was killed, and the next one. The other site noticed nothing.
    assert [len(lab.controllers()[name]) for name in ("berlin-1", "oslo-1")] == [2, 1]


def test_a_daemon_dies_with_its_gateways_and_the_next_one_goes_on(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    lab = SiteLab(tmp_path / "lab", postgres_databases.migrated(), **{"oslo-1": "oslo"})
    gate = tmp_path / "gate"
    lab.submit(waiting_for(gate))
    with lab.daemon(raylets.address):
        lab.wait_for_trials("desk", "oslo-1")
    # Killed by now, and nobody else has told the gateway.
    with lab.daemon(raylets.address) as second:
        gate.touch()
        assert second.wait(240) == 0, lab.said()
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1] * 4})
    assert lab.claims() == {"one": 2}


def test_a_daemon_that_is_stopped_gives_its_run_back_at_once(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    """Ray takes signals for itself when a process joins the cluster, and the daemon is to end as any other does."""
    lab = SiteLab(tmp_path / "lab", postgres_databases.migrated(), **{"oslo-1": "oslo"})
    gate = tmp_path / "gate"
    lab.submit(waiting_for(gate))
    with lab.daemon(raylets.address) as daemon:
        lab.wait_for_trials("desk", "oslo-1")
        daemon.terminate()
        assert daemon.wait(120) == 0, lab.said()
    assert "SIGTERM received" not in lab.said()
    assert "stopped; devices that run go on by themselves" in lab.said()
    assert lab.rows("SELECT state FROM submission") == [{"state": "waiting"}]
    assert lab.rows("SELECT 1 FROM daemon WHERE ended_at IS NULL") == []
    gate.touch()
    with lab.daemon(raylets.address) as second:
        assert second.wait(240) == 0, lab.said()
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1] * 4})


def test_a_person_cancels_a_run_at_a_site(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    lab = SiteLab(tmp_path / "lab", postgres_databases.migrated(), **{"oslo-1": "oslo"})
    lab.submit(waiting_for(tmp_path / "never"))
    with lab.daemon(raylets.address) as daemon:
        lab.wait_for_trials("desk", "oslo-1")
        assert lab.run("queue", "cancel", "one").returncode == 0
        assert daemon.wait(120) == 0, lab.said()
    assert {row["device"]: row["state"] for row in lab.rows(STATES)} == dict.fromkeys(("desk", "oslo-1"), "cancelled")
    assert {who.partition(",")[0] for who in lab.controllers()["oslo-1"]} == {"gateway of oslo"}


def test_a_run_that_a_person_ends_by_itself_stays_ended_at_a_site(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    lab = SiteLab(tmp_path / "lab", postgres_databases.migrated(), **{"oslo-1": "oslo"})
    lab.submit(waiting_for(tmp_path / "never"))
    with lab.daemon(raylets.address) as daemon:
        lab.wait_for_trials("desk", "oslo-1")
        done = lab.run("runs", "cancel", "one")
        assert done.returncode == 0, done.stderr
        assert daemon.wait(120) == 0, lab.said()
    assert {row["device"]: row["state"] for row in lab.rows(STATES)} == dict.fromkeys(("desk", "oslo-1"), "cancelled")


def test_a_gateway_waits_for_a_database_that_goes_away(raylets: Raylets, tmp_path: Path) -> None:
    """The device goes on by itself, and the gateway of before brings in what happened meanwhile."""
    folder = tmp_path / "gates"
    folder.mkdir()
    with PostgresServer(tmp_path) as server:
        lab = SiteLab(tmp_path / "lab", PostgresDatabases(server).migrated(), **{"oslo-1": "oslo"})
        lab.write_exec_sweep(GATED.format(folder=folder) + OK_PROGRAM, "one", trials=3)
        done = lab.run("submit", "one.yaml", "--select", "oslo-1")
        assert done.returncode == 0, done.stderr
        with lab.daemon(raylets.address) as daemon:
            wait_until((folder / "started-0").exists, "the first trial has begun", 240)
            server.stop()
            for number in range(3):
                wait_until((folder / f"started-{number}").exists, "the device goes on by itself", 60)
                (folder / f"gate-{number}").touch()
            wait_until(lambda: b"run-finished" in lab.log_of("oslo-1"), "the device has ended the run", 60)
            assert daemon.poll() is None, lab.said()
            server.start()
            assert daemon.wait(240) == 0, lab.said()
        assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1, 1, 1]})
        assert lab.claims() == {"one": 1}
        assert lab.said().count("gateway on node") == 1, "no other gateway was needed"


def test_a_site_that_is_cut_off_from_the_database(postgres_databases: PostgresDatabases, tmp_path: Path) -> None:
    """The daemon has the database all the while, and leaves the run to the gateway, which has not."""
    folder = tmp_path / "gates"
    folder.mkdir()
    url, server = postgres_databases.migrated(), postgres_databases.server
    lab = SiteLab(tmp_path / "lab", url, **{"rome-1": "rome"})
    lab.write_exec_sweep(GATED.format(folder=folder) + OK_PROGRAM, "one", trials=3)
    done = lab.run("submit", "one.yaml", "--select", "rome-1")
    assert done.returncode == 0, done.stderr
    with TcpRelay(server.host, server.port) as relay:
        # The nodes know the server by another address.
        own = {"BENCHFLEET_DB": url.replace(f":{server.port}/", f":{relay.port}/")}
        nodes = {**Lab(tmp_path / "nodes").environment, **TOKEN, **own}
        with Raylets(["rome"], nodes) as raylets, lab.daemon(raylets.address) as daemon:
            wait_until((folder / "started-0").exists, "the first trial has begun", 240)
            assert relay.bytes_relayed > 0
            relay.blackhole()
            for number in range(3):
                wait_until((folder / f"started-{number}").exists, "the device goes on by itself", 60)
                (folder / f"gate-{number}").touch()
            wait_until(lambda: b"run-finished" in lab.log_of("rome-1"), "the device has ended the run", 60)
            assert daemon.poll() is None, lab.said()
            assert lab.counted()["one"] != [1, 1, 1]
            relay.cut()
            relay.restore()
            assert daemon.wait(240) == 0, lab.said()
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1, 1, 1]})
    assert lab.claims() == {"one": 1}


class Unstarted:
    """A gateway whose node cannot start it."""

    def __init__(self) -> None:
        raise ImportError("no module named orchestrator")

    def whereabouts(self) -> tuple[str, tuple[str, str, str]]:
        return "", ("", "", "")


def test_a_site_where_no_gateway_starts_is_left(raylets: Raylets, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(execution, "SiteGateway", Unstarted)
    said: list[str] = []
    sites = execution.RaySites(raylets.address, said.append)
    try:
        ends = sites.carry({"site oslo": IdleJob({"site": "oslo"})}, lambda: True)
    finally:
        sites.close()
    assert "site oslo: no gateway starts there" in str(ends["site oslo"])
    assert len(said) == execution.STARTS_MAX


def test_what_a_site_without_a_node_leaves_is_held_and_goes_on_later(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    lab = SiteLab(tmp_path / "lab", postgres_databases.migrated(), **{"oslo-1": "oslo", "rome-1": "rome"})
    lab.submit(OK_PROGRAM)
    with lab.daemon(raylets.address) as daemon:
        assert daemon.wait(240) == 3, lab.said()
    (state,) = lab.states().values()
    assert "site rome has no node in the Ray cluster" in state
    assert "--labels site=rome" in state
    assert lab.rows("SELECT state FROM submission") == [{"state": "held"}]
    assert lab.counted() == {"one": [1] * 4}, "the others have gone on meanwhile"
    # The board has moved to where somebody is.
    lab.add_local("rome-1", exclusive=False, site="oslo")
    assert lab.run("queue", "release", "one").returncode == 0
    with lab.daemon(raylets.address) as daemon:
        assert daemon.wait(120) == 0, lab.said()
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1] * 6})


def test_sites_want_a_database_that_all_of_them_reach(sqlite_databases: SqliteDatabases, tmp_path: Path) -> None:
    lab = SiteLab(tmp_path / "lab", sqlite_databases.migrated(), **{"oslo-1": "oslo"})
    lab.submit(OK_PROGRAM)
    with lab.daemon("127.0.0.1:1") as daemon:
        assert daemon.wait(120) == 3, lab.said()
    (state,) = lab.states().values()
    assert "SQLite is on one" in state
    assert lab.counted() == {}, "nothing was begun"


def test_a_run_is_complete_after_the_head_of_the_cluster_is_started_anew(
    postgres_databases: PostgresDatabases, tmp_path: Path
) -> None:
    """Ray ends a process whose head is gone, or is another one: the next daemon goes on, as after any death."""
    lab = SiteLab(tmp_path / "lab", postgres_databases.migrated(), **{"oslo-1": "oslo"})
    gate = tmp_path / "gate"
    lab.submit(waiting_for(gate))
    environment = {**Lab(tmp_path / "nodes").environment, **TOKEN}
    with Raylets(["oslo"], environment) as before:
        daemon = lab.start("daemon", "--drain", "--executor", "ray", "--ray-address", before.address)
        try:
            lab.wait_for_trials("desk", "oslo-1")
        except BaseException:
            daemon.kill()
            raise
    try:
        with Raylets(["oslo"], environment, port=int(before.address.rpartition(":")[2])) as after:
            assert after.address == before.address
            # The same daemon, or a service manager's next one: Ray may have ended the first.
            gate.touch()
            if daemon.wait(90) != 0:
                with lab.daemon(after.address) as second:
                    assert second.wait(240) == 0, lab.said()
    finally:
        daemon.kill()
        daemon.wait(30)
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1] * 4})
