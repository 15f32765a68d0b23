"""What `doctor` says of a Ray cluster, by what the inventory asks of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.checkup import Health
from orchestrator.domain.cluster import Cluster, Node
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import RayUnavailable
from orchestrator.services.doctor.cluster import check_cluster
from orchestrator.settings import Settings, load_settings

HEAD = "10.0.0.2:6379"
BERLIN = Node("a" * 56, "10.0.1.1", {"ray.io/node-id": "a" * 56, "site": "berlin"})
RACKS = [Node(letter * 56, f"10.0.2.{number}", {"rack": "4"}) for number, letter in enumerate("bc")]
BOARD = Device("pi", TransportKind.SSH, tags={"site": "berlin"})
POSTGRES = {"db": "postgresql:///lab", "executor": "ray", "ray_address": HEAD}


def settings(tmp_path: Path, **flags: str) -> Settings:
    return load_settings(flags, {"HOME": str(tmp_path)}, folder=tmp_path)


def said(settings: Settings, *devices: Device, nodes: tuple[Node, ...] = (BERLIN,)) -> list[tuple[Health, str]]:
    found = check_cluster(settings, devices, lambda address: Cluster(address, "Ray 2.60, Python 3.11", nodes))
    return [(one.health, one.words) for one in found]


def wrong(found: list[tuple[Health, str]]) -> list[str]:
    return [words for health, words in found if health is Health.WRONG]


def test_without_any_need_of_ray_nobody_looks(tmp_path: Path) -> None:
    assert said(settings(tmp_path), BOARD) == []


def test_a_cluster_in_order_lists_its_nodes(tmp_path: Path) -> None:
    found = said(settings(tmp_path, **POSTGRES), BOARD)
    assert found == [
        (Health.FINE, f"{HEAD}: 1 node, Ray 2.60, Python 3.11"),
        (Health.FINE, "node 10.0.1.1: site=berlin"),
    ]


def test_sites_and_devices_without_their_node_are_told_with_what_starts_one(tmp_path: Path) -> None:
    oslo = Device("pi-9", TransportKind.SSH, tags={"site": "oslo"})
    gone = Device("gpu-1", TransportKind.RAY, tags={"site": "rome"}, node={"host": "gpu-1"})
    pair = Device("pair", TransportKind.RAY, node={"rack": "4"})
    devices = (BOARD, oslo, gone, pair)
    assert wrong(said(settings(tmp_path, **POSTGRES), *devices, nodes=(BERLIN, *RACKS))) == [
        "site oslo has no node, and its devices would be left",
        "gpu-1: no node has the labels host=gpu-1",
        "pair: 2 nodes have the labels rack=4: 10.0.2.0, 10.0.2.1",
    ]
    remedies = [one.remedy for one in check_cluster(settings(tmp_path, **POSTGRES), devices, _no_nodes)]
    assert f"on a machine there: ray start --address={HEAD} --labels site=oslo" in remedies


def _no_nodes(address: str) -> Cluster:
    return Cluster(address, "", ())


def test_devices_without_a_cluster_and_sites_without_postgresql_are_told(tmp_path: Path) -> None:
    node = Device("gpu-1", TransportKind.RAY, node={"host": "gpu-1"})
    (words,) = wrong(said(settings(tmp_path), node))
    assert words == "no cluster is named, and of one these are nodes: gpu-1"
    on_file = {**POSTGRES, "db": "sqlite:///lab.db"}
    assert "SQLite is on one" in wrong(said(settings(tmp_path, **on_file), BOARD))[0]
    alone = {"ray_address": HEAD, "db": "sqlite:///lab.db"}
    there = Node("d" * 56, "10.0.3.1", {"host": "gpu-1"})
    assert wrong(said(settings(tmp_path, **alone), node, nodes=(there,))) == [], "a person's own runs may use SQLite"


def test_what_is_wrong_with_a_node_and_a_head_that_is_away(tmp_path: Path) -> None:
    old = Node("e" * 56, "10.0.4.1", {}, RayUnavailable("it has Ray 2.1.0 instead of 2.60.0", "install"))
    found = said(settings(tmp_path, **POSTGRES), BOARD, nodes=(BERLIN, old))
    assert wrong(found) == ["node 10.0.4.1: no labels: it has Ray 2.1.0 instead of 2.60.0"]

    def away(address: str) -> Cluster:
        raise RayUnavailable(f"Ray does not answer at {address}", "check --ray-address")

    (finding,) = check_cluster(settings(tmp_path, **POSTGRES), [BOARD], away)
    assert (finding.health, finding.words, finding.remedy) == (
        *(Health.WRONG, f"Ray does not answer at {HEAD}"),
        "check --ray-address",
    )


@pytest.mark.parametrize("executor", ["threads", "ray"])
def test_sites_matter_to_daemons_with_gateways_alone(tmp_path: Path, executor: str) -> None:
    node = Device("gpu-1", TransportKind.RAY, node={"site": "berlin"})
    oslo = Device("pi-9", TransportKind.SSH, tags={"site": "oslo"})
    found = wrong(said(settings(tmp_path, **{**POSTGRES, "executor": executor}), oslo, node))
    assert len(found) == (executor == "ray")
