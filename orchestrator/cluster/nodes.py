"""List the nodes of a joined Ray cluster, and compare the versions of two processes of the cluster."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

from orchestrator import __version__
from orchestrator.cluster.joining import JOIN_HINT, first_line
from orchestrator.domain.cluster import Node
from orchestrator.domain.errors import RayUnavailable


@dataclass(frozen=True, slots=True)
class Versions:
    """Hold what must be the same on all nodes. Picklable without a class of benchfleet: see `told`."""

    ray: str
    python: str
    benchfleet: str

    def __str__(self) -> str:
        return f"Ray {self.ray}, Python {self.python}"

    def told(self) -> tuple[str, str, str]:
        """Return the versions as plain values, which another release can read."""
        return self.ray, self.python, self.benchfleet

    def against(self, there: Versions) -> str | None:
        """Say how a node differs from this process, or return None. The versions of Python differ by more than a patch.

        Ray itself refuses a node of another version at its start, not a node whose packages were replaced later.
        """
        pairs = (
            ("Ray", self.ray, there.ray),
            ("Python", _minor(self.python), _minor(there.python)),
            ("benchfleet", self.benchfleet, there.benchfleet),
        )
        found = [f"{what} {theirs} instead of {ours}" for what, ours, theirs in pairs if ours != theirs]
        return " and ".join(found) or None


VERSIONS_HINT = "install the same versions in the environment of `ray start` there, and start the node again"


def versions_here() -> Versions:
    """Return the versions of this process, which has joined a cluster."""
    import ray

    return Versions(ray.__version__, platform.python_version(), __version__)


def own_node() -> str:
    """Return the id of the node that this process runs on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def living_nodes(ray: Any, address: str) -> list[Node]:
    """Return the living nodes. Raise RayUnavailable if the cluster does not answer."""
    try:
        nodes = ray.nodes()
    except Exception as error:  # Ray has no class of its own for a head that has gone
        raise RayUnavailable(f"Ray does not answer at {address}: {first_line(error)}", JOIN_HINT) from error
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node.get("Labels") or {}) for node in nodes if node["Alive"]
    ]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
