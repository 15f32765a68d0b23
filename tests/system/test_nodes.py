"""Devices that are nodes of a Ray cluster: reached by commands and daemons, and what bad luck makes of them."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgresDatabases, SqliteDatabases
from tests.lab import OK_PROGRAM, Lab
from tests.servers.processes import wait_until
from tests.servers.raylets import Raylets
from tests.system.test_sites import TOKEN, SiteLab, waiting_for

# Not imported here: Ray reads once, at the import, whether it wants a token, and other tests set that before.
IS_RAY_THERE = importlib.util.find_spec("ray") is not None
pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not IS_RAY_THERE, reason="Ray is not installed: pip install 'benchfleet[ray]'"),
]
NODES = ("host=desk-2,rack=4", "host=server-1,rack=4")
OTHER_RAY = """\
import sys
if any("default_worker.py" in word for word in sys.orig_argv):
    import ray
    ray.__version__ = "2.1.0"
"""
"""Makes the processes of a node those of another release of Ray, as an upgrade under a running node does."""
FAKE_SMI = """\
#!/bin/sh
echo "GPU 0: Fake H100 (UUID: GPU-0)"
echo "GPU 1: Fake T4 (UUID: GPU-1)"
"""


class NodeLab(SiteLab):
    """A lab whose devices are nodes; where the command is, there is none."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory, url)
        self.devices.clear()

    def told(self, name: str) -> list[str]:
        """Return the words that the trials of a device have written."""
        return (self.directory / name).read_text().split()


@pytest.fixture(scope="module")
def raylets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raylets]:
    """Start a cluster of nodes, two of them with one label in common."""
    with Raylets(NODES, {**Lab(tmp_path_factory.mktemp("nodes")).environment, **TOKEN}) as started:
        yield started


@pytest.fixture
def lab(sqlite_databases: SqliteDatabases, tmp_path: Path) -> NodeLab:
    return NodeLab(tmp_path / "lab", sqlite_databases.migrated())


def test_nodes_are_probed_and_measured_like_other_devices(lab: NodeLab, raylets: Raylets, tmp_path: Path) -> None:
    lab.add_local("desk", exclusive=False)
    lab.add_node("desk-2", exclusive=False)
    lab.add_node("gone-1", exclusive=False)
    lab.add_node("pair", exclusive=False, node={"rack": "4"})
    lab.add_node("second", exclusive=False, node={"rack": 4, "host": "server-1"})
    there = ("--ray-address", raylets.address)
    probed = {row["name"]: row for row in lab.json("devices", "probe", *there)}
    assert {name for name, row in probed.items() if row["error"] is None} == {"desk", "desk-2", "second"}
    missing, several = probed["gone-1"]["error"], probed["pair"]["error"]
    assert f"no node of the Ray cluster at {raylets.address} has the labels host=gone-1" in missing["message"]
    assert missing["hint"] == f"on a machine there: ray start --address={raylets.address} --labels host=gone-1"
    assert "2 nodes of the Ray cluster" in several["message"]
    assert "rack=4" in several["message"]
    unnamed = {row["name"]: row for row in lab.json("devices", "probe", "--select", "desk-2")}
    assert "no cluster is named" in unnamed["desk-2"]["error"]["message"]
    assert unnamed["desk-2"]["error"]["hint"] == "--ray-address HOST:PORT"
    # Ray starts processes at another priority than its raylet has: trials must not be slower for it.
    lab.write_exec_sweep(f"nice > {lab.directory}/told\n{OK_PROGRAM}", "one", trials=2)
    done = lab.run("run", "one.yaml", "--select", "desk-2", *there)
    assert done.returncode == 0, done.stderr
    assert lab.counted() == {"one": [1, 1]}
    assert lab.told("told") == [str(os.nice(0))]
    assert lab.rows("SELECT DISTINCT transport FROM device WHERE name = 'desk-2'") == [{"transport": "ray"}]


def test_doctor_lists_the_nodes_and_says_which_are_missing(lab: NodeLab, raylets: Raylets) -> None:
    lab.add_node("desk-2", exclusive=False)
    lab.add_node("gone-1", exclusive=False)
    found = lab.json("doctor", "--ray-address", raylets.address, timeout_s=150)["findings"]
    ray = [(one["health"], one["words"]) for one in found if one["part"] == "ray"]
    assert ray[0][1].startswith(f"{raylets.address}: {len(NODES) + 1} nodes, Ray ")
    told = {words.partition(": ")[2] for health, words in ray[1:] if health == "fine"}
    assert told == {"no labels", "host=desk-2,rack=4", "host=server-1,rack=4"}
    assert [words for health, words in ray if health == "wrong"] == ["gone-1: no node has the labels host=gone-1"]


def test_a_node_that_dies_and_comes_back_loses_no_trial(lab: NodeLab, raylets: Raylets, tmp_path: Path) -> None:
    lab.add_node("server-1", exclusive=False)
    gate = tmp_path / "gate"
    lab.write_exec_sweep(waiting_for(gate), "one", trials=2)
    started = lab.start("run", "one.yaml", "--select", "server-1", "--ray-address", raylets.address)
    try:
        lab.wait_for_trials("server-1")
        raylets.kill("host=server-1,rack=4")
        raylets.add("host=server-1,rack=4")
        gate.touch()
        assert started.wait(240) == 0, lab.said()
    finally:
        started.kill()
        started.wait(30)
    assert lab.counted() == {"one": [1, 1]}
    assert lab.rows(
        "SELECT COUNT(*) AS n FROM attempt a JOIN trial t ON t.id = a.trial_id WHERE t.kind = 'measure'"
    ) == [{"n": 2}], "the runner went on by itself"


def test_a_gateway_of_its_own_drives_a_node(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    lab = NodeLab(tmp_path / "lab", postgres_databases.migrated())
    lab.add_local("desk", exclusive=False)
    lab.add_node("server-1", exclusive=False, site="berlin")
    gate = tmp_path / "gate"
    lab.submit(waiting_for(gate))
    with lab.daemon(raylets.address) as daemon:
        lab.wait_for_trials("desk", "server-1")
        raylets.kill("host=server-1,rack=4")
        wait_until(lambda: "node host=server-1: the gateway ended" in lab.said(), "the daemon has noticed", 120)
        raylets.add("host=server-1,rack=4")
        gate.touch()
        assert daemon.wait(240) == 0, lab.said()
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1] * 4})
    drivers = {who.partition(",")[0] for who in lab.controllers()["server-1"]}
    assert drivers == {"gateway of node host=server-1"}
    assert len(lab.controllers()["server-1"]) == 2, "the gateway that was killed, and the next one"
    assert "(raylet)" not in lab.said(), "the raylet's own last words are for Ray's log"


def test_a_daemon_refuses_labels_of_several_nodes(
    postgres_databases: PostgresDatabases, raylets: Raylets, tmp_path: Path
) -> None:
    lab = NodeLab(tmp_path / "lab", postgres_databases.migrated())
    lab.add_node("pair", exclusive=False, node={"rack": 4})
    lab.submit(OK_PROGRAM)
    with lab.daemon(raylets.address) as daemon:
        assert daemon.wait(120) == 3, lab.said()
    (state,) = lab.states().values()
    assert re.search(r"node rack=4: \d nodes of the Ray cluster", state)
    assert lab.rows("SELECT state FROM submission") == [{"state": "held"}]
    assert lab.counted() == {}, "nothing was measured on either"


def test_a_node_of_other_versions_is_refused_by_name(lab: NodeLab, raylets: Raylets, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "sitecustomize.py").write_text(OTHER_RAY)
    raylets.add("host=old-1", PYTHONPATH=f"{tmp_path / 'old'}:{lab.environment['PYTHONPATH']}")
    try:
        lab.add_node("old-1", exclusive=False)
        (row,) = lab.json("devices", "probe", "--ray-address", raylets.address)
        assert "the node host=old-1 has Ray 2.1.0 instead of" in row["error"]["message"]
        assert "install the same versions" in row["error"]["hint"]
    finally:
        raylets.kill("host=old-1")


def test_a_device_has_the_gpu_that_it_asks_for_or_says_that_there_is_none(
    lab: NodeLab, raylets: Raylets, tmp_path: Path
) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(FAKE_SMI)
    smi.chmod(0o755)
    raylets.add("host=gpus-1", PATH=f"{smi.parent}:{os.environ['PATH']}")
    try:
        for name, gpu in (("second", 1), ("ninth", 8)):
            lab.add_node(name, exclusive=False, gpu=gpu, node={"host": "gpus-1"})
        lab.add_node("blind", exclusive=False, gpu=0, node={"host": "desk-2"})
        lab.write_exec_sweep(
            f"echo $CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER > {lab.directory}/told\n{OK_PROGRAM}", "one", trials=1
        )
        done = lab.run("run", "one.yaml", "--ray-address", raylets.address)
        assert done.returncode == 3, done.stderr
        lab.assert_told(done, "ninth", "asks for GPU 8", "0: Fake H100, 1: Fake T4")
        lab.assert_told(done, "blind", "asks for GPU 0", "nvidia-smi")
    finally:
        raylets.kill("host=gpus-1")
    assert lab.told("told") == ["1", "PCI_BUS_ID"]
    begun = "SELECT DISTINCT d.name FROM attempt a JOIN trial t ON t.id = a.trial_id JOIN run_device r"
    assert lab.rows(f"{begun} ON r.id = t.run_device_id JOIN device d ON d.id = r.device_id") == [{"name": "second"}]
    facts = "SELECT CAST(s.facts ->> 'gpu' AS text) AS gpu FROM device_snapshot s JOIN device d ON d.id = s.device_id"
    assert lab.rows(f"{facts} WHERE d.name = 'second'")[0]["gpu"] == "1"
