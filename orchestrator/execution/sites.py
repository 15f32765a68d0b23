"""Carry out a job for each place of a fleet, in a gateway actor on a node there.

A place is a site, or a node that is itself a device. The cluster's nodes say by labels where and what they are
(`ray start --labels site=berlin`). A job is a whole drive of the place's devices, which writes to the database by
itself: nothing per trial passes through Ray. A gateway that dies with its node is placed again on another node of the
site, or on the same node once that is back, and carries the same job out anew: a job is one that goes on with what is
there.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator import __version__
from orchestrator.cluster.joining import first_line, join_cluster
from orchestrator.cluster.nodes import VERSIONS_HINT, Versions, living_nodes, own_node, versions_here
from orchestrator.domain.cluster import Node, labels_text, nodes_having, start_hint
from orchestrator.domain.errors import OrchestratorError, RayUnavailable, SiteAbsent

ABSENT_S_MAX = 60.0
"""How long a place may be without a node before its devices are left."""
PLACED_MAX = 20
"""How often a gateway is placed for one job: what kills every gateway of a place is no chance."""
STARTS_MAX = 5
"""How often in a row a gateway may fail to start: a node without benchfleet never has one."""
_LOOK_S, _LEAVE_S_MAX, _PLACE_S_MAX = 1.0, 10.0, 120.0


class SiteJob(Protocol):
    """Be the work of a run at one place. Picklable, and done anew after the death of a gateway.

    `labels` are those of the nodes of the place. `is_node`: the place is one node.
    """

    @property
    def labels(self) -> Mapping[str, str]: ...  # noqa: D102 - see the class

    @property
    def is_node(self) -> bool: ...  # noqa: D102 - see the class

    def __call__(self, keeps_on: Callable[[], bool]) -> None:
        """Do the work until `keeps_on` says False. Raise OrchestratorError."""


class SiteGateway:
    """Carry jobs out, inside the actor."""

    def __init__(self) -> None:
        self._leaves = threading.Event()

    def whereabouts(self) -> tuple[str, tuple[str, str, str]]:
        """Return the id of the actor's node, and the versions there."""
        return own_node(), versions_here().told()

    def carry(self, version: str, packed: bytes) -> OrchestratorError | None:
        """Carry a packed job out, and return an expected failure: it is a value, no failure of the gateway."""
        if version != __version__:
            return RayUnavailable(
                f"the node has benchfleet {__version__}, and the daemon {version}",
                "install the daemon's version in the environment of `ray start` there",
            )
        # Bytes until here: another version may not know the classes of the job.
        job: SiteJob = pickle.loads(packed)  # noqa: S301 - from the daemon, by a cluster that trusts its drivers
        try:
            job(lambda: not self._leaves.is_set())
        except OrchestratorError as error:
            return error
        return None

    def leave(self) -> None:
        """Have the job leave its devices to themselves."""
        self._leaves.set()


@dataclass(slots=True)
class _Part:
    """Hold a job at its place: the gateway and the call that goes on, or since when the place has no node.

    `unstarted` counts the gateways that did not start since the last one that did.
    """

    name: str
    labels: Mapping[str, str]
    is_node: bool
    packed: bytes
    gateway: Any = None
    call: Any = None
    placed: int = 0
    unstarted: int = 0
    absent_since: float | None = None


@dataclass(slots=True)
class RaySites:
    """Carry jobs out at the sites of a Ray cluster. `says` gets a line for each event."""

    address: str
    says: Callable[[str], None]
    _ray: Any = field(default=None, init=False)

    def carry(
        self, jobs: Mapping[str, SiteJob], keeps_on: Callable[[], bool]
    ) -> Mapping[str, OrchestratorError | None]:
        """Carry jobs out side by side, each at its place. Return the error of each place, or None, once all are over.

        Once `keeps_on` says False, or at a KeyboardInterrupt, gateways leave their devices to themselves. Raise
        RayUnavailable if the cluster does not answer.
        """
        self.join()
        parts = [_Part(name, job.labels, job.is_node, pickle.dumps(job)) for name, job in jobs.items()]
        ends: dict[str, OrchestratorError | None] = {}
        try:
            while len(ends) < len(parts) and keeps_on():
                self._step([part for part in parts if part.name not in ends], ends)
        finally:
            self._leave(parts)
        return ends

    def join(self) -> None:
        """Join the cluster, if need be. Raise RayUnavailable if the cluster does not answer.

        Called from the main thread first: Ray sets handlers of signals there.
        """
        if self._ray is None:
            self._ray, _ = join_cluster(self.address)

    def close(self) -> None:
        """Leave the cluster."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None

    def _step(self, parts: list[_Part], ends: dict[str, OrchestratorError | None]) -> None:
        """Place the gateways that are missing, wait a moment, and take the ends of jobs."""
        nodes = living_nodes(self._ray, self.address)
        for part in parts:
            there = nodes_having(part.labels, nodes)
            error = self._away(part, there)
            if error is None and part.call is None and part.absent_since is None:
                error = self._place(part)
            if error is not None:
                ends[part.name] = error
        calls = {part.call: part for part in parts if part.call is not None}
        if not calls:
            threading.Event().wait(_LOOK_S)
            return
        for call in self._ray.wait(list(calls), num_returns=len(calls), timeout=_LOOK_S)[0]:
            self._take_end(calls[call], ends)

    def _away(self, part: _Part, there: list[Node]) -> OrchestratorError | None:
        """Return the error of a place that has been without a node for too long, or of a device that is several."""
        labels = labels_text(part.labels)
        is_several = part.is_node and part.call is None and len(there) > 1
        # A node that died and is back may be two for a while, until the cluster has noticed the death.
        if is_several and part.placed == 0:
            return SiteAbsent(
                f"{part.name}: {len(there)} nodes of the Ray cluster at {self.address} have the labels {labels}, and a "
                "device is one",
                "name one more label in `node:` of the inventory; benchfleet doctor lists the nodes with their labels",
            )
        if there and not is_several:
            part.absent_since = None
            return None
        now = time.monotonic()
        if part.absent_since is None:
            part.absent_since = now
            found = "several nodes of the cluster have" if is_several else "no node of the cluster has"
            self.says(f"{part.name}: {found} the label {labels}; waiting for one")
        if now - part.absent_since < ABSENT_S_MAX:
            return None
        return SiteAbsent(
            f"{part.name} has no node in the Ray cluster at {self.address}", start_hint(part.labels, self.address)
        )

    def _place(self, part: _Part) -> OrchestratorError | None:
        """Place a gateway on a node of the place, and hand the job over. Return the error once none starts there."""
        ray = self._ray
        # No processor is reserved: a gateway mostly waits. Two calls at once: a job, and the word to leave it.
        actor = ray.remote(num_cpus=0, max_concurrency=2, label_selector=dict(part.labels))(SiteGateway)
        part.placed += 1
        try:
            part.gateway = actor.remote()
            node, told = ray.get(part.gateway.whereabouts.remote(), timeout=_PLACE_S_MAX)
        except Exception as error:  # noqa: BLE001 - Ray has no class of its own for a head that has gone
            self._lose(part, error)
            part.unstarted += 1
            return self._never_starts(part, error)
        if node not in [one.id for one in nodes_having(part.labels, living_nodes(ray, self.address))]:
            # Releases of Ray before label selectors place an actor anywhere: it would reach other devices, or none.
            ray.kill(part.gateway)
            raise RayUnavailable(
                f"Ray {ray.__version__} places no actor by the label of a node", "pip install 'benchfleet[ray]'"
            )
        if (other := versions_here().against(Versions(*told))) is not None:
            ray.kill(part.gateway)
            part.gateway = None
            return RayUnavailable(f"{part.name}: node {node[:12]} has {other}", VERSIONS_HINT)
        self.says(f"{part.name}: gateway on node {node[:12]}")
        part.unstarted = 0
        part.call = part.gateway.carry.remote(__version__, part.packed)
        return None

    def _never_starts(self, part: _Part, error: BaseException) -> OrchestratorError | None:
        if part.unstarted < STARTS_MAX and part.placed < PLACED_MAX:
            return None
        return RayUnavailable(
            f"{part.name}: no gateway starts there: {first_line(error)}",
            f"install benchfleet {__version__} in the environment of `ray start` there",
        )

    def _take_end(self, part: _Part, ends: dict[str, OrchestratorError | None]) -> None:
        try:
            error = self._ray.get(part.call)
        except self._ray.exceptions.RayTaskError as failed:  # a defect: the gateway lives, the job would fail again
            error = RayUnavailable(
                f"{part.name}: the gateway failed: {first_line(failed.cause)}", "this is a defect of benchfleet"
            )
        except self._ray.exceptions.RayError as lost:
            self._lose(part, lost)
            if part.placed < PLACED_MAX:
                return
            error = RayUnavailable(
                f"{part.name}: {PLACED_MAX} gateways have died: {first_line(lost)}",
                "look at the memory of its nodes, and at Ray's logs there",
            )
        ends[part.name] = error

    def _lose(self, part: _Part, error: BaseException) -> None:
        """Give a gateway up. A gateway that only lost its link must not go on beside the next one."""
        self.says(f"{part.name}: the gateway ended: {first_line(error)}; devices go on by themselves")
        if part.gateway is not None:
            with suppress(Exception):  # a head that has gone ends nothing
                self._ray.kill(part.gateway)
        part.gateway = part.call = None

    def _leave(self, parts: list[_Part]) -> None:
        """Have every gateway give its devices back, and end it."""
        try:
            self._end_gateways(parts)
        except Exception as error:  # noqa: BLE001 - Ray has no class of its own for a head that has gone
            # Said alone: an error here must not replace the reason for which gateways are ended.
            self.says(f"gateways could not be ended: {first_line(error)}; devices go on by themselves")

    def _end_gateways(self, parts: list[_Part]) -> None:
        gateways = [part for part in parts if part.gateway is not None]
        for part in gateways:
            part.gateway.leave.remote()
        calls = [part.call for part in gateways if part.call is not None]
        if calls:
            self._ray.wait(calls, num_returns=len(calls), timeout=_LEAVE_S_MAX)
        for part in gateways:
            self._ray.kill(part.gateway)
