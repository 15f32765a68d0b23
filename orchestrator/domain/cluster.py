"""Hold what is known of a Ray cluster and its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.errors import OrchestratorError


@dataclass(frozen=True, slots=True)
class Node:
    """Hold a living node of a cluster, and why nothing can run there, if a look has found a reason."""

    id: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    trouble: OrchestratorError | None = None

    def has(self, labels: Mapping[str, str]) -> bool:
        """Say whether the node has all of the labels."""
        return all(self.labels.get(key) == value for key, value in labels.items())


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hold a cluster as a look has found it. `versions` are those of this machine, as words."""

    address: str
    versions: str
    nodes: Sequence[Node]


def nodes_having(labels: Mapping[str, str], nodes: Iterable[Node]) -> list[Node]:
    """Return the nodes with all of the labels."""
    return [node for node in nodes if node.has(labels)]


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as `ray start --labels` takes them."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def start_hint(labels: Mapping[str, str], address: str) -> str:
    """Return the command that starts a node with the labels."""
    return f"on a machine there: ray start --address={address} --labels {labels_text(labels)}"
