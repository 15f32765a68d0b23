"""Compare a Ray cluster with what settings and inventory ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestrator.domain.checkup import Finding, Health
from orchestrator.domain.cluster import Cluster, Node, labels_text, nodes_having, start_hint
from orchestrator.domain.device import SITE_TAG, Device, TransportKind
from orchestrator.domain.errors import OrchestratorError
from orchestrator.settings import ExecutorKind, Settings

PART = "ray"
_NODES_TOLD_MAX = 200


def wants_cluster(settings: Settings, devices: Sequence[Device]) -> bool:
    """Say whether anything here needs Ray."""
    return settings.executor is ExecutorKind.RAY or any(one.transport is TransportKind.RAY for one in devices)


def check_cluster(settings: Settings, devices: Sequence[Device], look: Callable[[str], Cluster]) -> Iterator[Finding]:
    """Yield how the cluster of the settings stands. Yield nothing where nothing needs Ray."""
    if not wants_cluster(settings, devices):
        return
    nodes = [one for one in devices if one.transport is TransportKind.RAY]
    if settings.ray_address is None:
        if nodes:
            names = ", ".join(one.name for one in nodes)
            words = f"no cluster is named, and of one these are nodes: {names}"
            yield Finding(PART, Health.WRONG, words, 'ray_address = "HOST:PORT" in benchfleet.toml, or --ray-address')
        return
    has_sites = settings.executor is ExecutorKind.RAY
    if has_sites and settings.db.startswith("sqlite:") and (nodes or any(one.site for one in devices)):
        # A person's own runs pass through this machine alone, and may use SQLite all the same.
        words = "a daemon's gateways write to the database from other machines, and SQLite is on one"
        yield Finding(PART, Health.WRONG, words, "use PostgreSQL (docs/postgresql.md)")
    try:
        cluster = look(settings.ray_address)
    except OrchestratorError as error:
        yield Finding.of_error(PART, error)
        return
    number = len(cluster.nodes)
    words = f"{cluster.address}: {number} node{'' if number == 1 else 's'}, {cluster.versions}"
    yield Finding(PART, Health.FINE, words)
    for node in cluster.nodes[:_NODES_TOLD_MAX]:
        yield _of_node(node)
    sites = {one.site: {SITE_TAG: one.site} for one in devices if one.site and one.transport is not TransportKind.RAY}
    for site, labels in sorted(sites.items()) if has_sites else ():
        if not nodes_having(labels, cluster.nodes):
            words = f"site {site} has no node, and its devices would be left"
            yield Finding(PART, Health.WRONG, words, start_hint(labels, cluster.address))
    for device in nodes:
        yield from _of_device(device, cluster)


def _of_node(node: Node) -> Finding:
    # Ray gives each node its own id as a label, which no person reads.
    told = {key: value for key, value in sorted(node.labels.items()) if value != node.id}
    words = f"node {node.address}: {labels_text(told) or 'no labels'}"
    if node.trouble is None:
        return Finding(PART, Health.FINE, words)
    return Finding(PART, Health.WRONG, f"{words}: {node.trouble}", node.trouble.hint)


def _of_device(device: Device, cluster: Cluster) -> Iterator[Finding]:
    found, labels = nodes_having(device.node, cluster.nodes), labels_text(device.node)
    if not found:
        yield Finding(
            PART,
            Health.WRONG,
            f"{device.name}: no node has the labels {labels}",
            start_hint(device.node, cluster.address),
        )
    elif len(found) > 1:
        addresses = ", ".join(node.address for node in found)
        words = f"{device.name}: {len(found)} nodes have the labels {labels}: {addresses}"
        yield Finding(PART, Health.WRONG, words, "name one more label in `node:` of the inventory")
