"""Look at a Ray cluster: who is there, and whether each node could carry anything out for this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.cluster.joining import JOIN_HINT, first_line, join_cluster
from orchestrator.cluster.nodes import VERSIONS_HINT, Versions, living_nodes, versions_here
from orchestrator.cluster.priority import take_login_priority
from orchestrator.domain.cluster import Cluster, Node
from orchestrator.domain.errors import DeviceError, RayUnavailable

_ANSWER_S_MAX = 60.0
"""How long all nodes together may take to start a process each."""


def look_at(address: str) -> Cluster:
    """Return the cluster at an address, with what is wrong with each node. Raise RayUnavailable."""
    ray, _ = join_cluster(address)
    nodes = living_nodes(ray, address)
    try:
        asked = [_ask(ray, node) for node in nodes]
        ray.wait(asked, num_returns=len(asked), timeout=_ANSWER_S_MAX)
    except Exception as error:  # Ray has no class of its own for a head that has gone
        raise RayUnavailable(f"Ray does not answer at {address}: {first_line(error)}", JOIN_HINT) from error
    found = [replace(node, trouble=_trouble(ray, node, answer)) for node, answer in zip(nodes, asked, strict=True)]
    return Cluster(address, str(versions_here()), found)


def _ask(ray: Any, node: Node) -> Any:
    pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=node.id, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=pinned)(_tell).remote()


def _tell() -> tuple[tuple[str, str, str], DeviceError | None]:
    """Return the versions of a node, and why a device there would be slower than it is."""
    try:
        take_login_priority()
    except DeviceError as error:
        return versions_here().told(), error
    return versions_here().told(), None


def _trouble(ray: Any, node: Node, answer: Any) -> RayUnavailable | DeviceError | None:
    there: DeviceError | None
    try:
        told, there = ray.get(answer, timeout=0)
    except Exception as error:  # noqa: BLE001 - Ray has no class of its own for a head that has gone
        return RayUnavailable(
            f"no process starts there: {first_line(error)}",
            "is benchfleet[ray] installed in the environment of `ray start` there? Ray's logs are there, too",
        )
    other = versions_here().against(Versions(*told))
    return there if other is None else RayUnavailable(f"it has {other}", VERSIONS_HINT)
