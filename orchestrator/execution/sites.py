"""Carry out a job for each site of a fleet, in a gateway actor on a node of that site.

The cluster's nodes say by the label `site` where they are (`ray start --labels site=berlin`). A job is a whole drive of
the site's devices, which writes to the database by itself: nothing per trial passes through Ray. A gateway that dies
with its node is placed again on another node of the site, and carries the same job out anew: a job is one that goes on
with what is there.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator import __version__
from orchestrator.domain.errors import OrchestratorError, RayUnavailable, SiteAbsent
from orchestrator.execution.cluster import JOIN_HINT, first_line, join_cluster

LABEL = "site"
ABSENT_S_MAX = 60.0
"""How long a site may be without a node before its devices are left."""
PLACED_MAX = 20
"""How often a gateway is placed for one job: what kills every gateway of a site is no chance."""
STARTS_MAX = 5
"""How often in a row a gateway may fail to start: a node without benchfleet never has one."""
_LOOK_S, _LEAVE_S_MAX, _PLACE_S_MAX = 1.0, 10.0, 120.0


class SiteJob(Protocol):
    """Be the work of a run at one site. Picklable, and done anew after the death of a gateway."""

    def __call__(self, keeps_on: Callable[[], bool]) -> None:
        """Do the work until `keeps_on` says False. Raise OrchestratorError."""


class SiteGateway:
    """Carry jobs out, inside the actor."""

    def __init__(self) -> None:
        self._leaves = threading.Event()

    def node(self) -> str:
        """Return the id of the actor's node."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

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
    """Hold a job at its site: the gateway and the call that goes on, or since when the site has no node.

    `unstarted` counts the gateways that did not start since the last one that did.
    """

    site: str
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
        """Carry jobs out side by side, each at its site. Return the error of each site, or None, once all are over.

        Once `keeps_on` says False, or at a KeyboardInterrupt, gateways leave their devices to themselves. Raise
        RayUnavailable if the cluster does not answer.
        """
        self.join()
        parts = [_Part(site, pickle.dumps(job)) for site, job in jobs.items()]
        ends: dict[str, OrchestratorError | None] = {}
        try:
            while len(ends) < len(parts) and keeps_on():
                self._step([part for part in parts if part.site not in ends], ends)
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
        there = self._sites()
        for part in parts:
            error = self._away(part, there)
            if error is None and part.call is None and part.site in there:
                error = self._place(part)
            if error is not None:
                ends[part.site] = error
        calls = {part.call: part for part in parts if part.call is not None}
        if not calls:
            threading.Event().wait(_LOOK_S)
            return
        for call in self._ray.wait(list(calls), num_returns=len(calls), timeout=_LOOK_S)[0]:
            self._take_end(calls[call], ends)

    def _away(self, part: _Part, there: frozenset[str]) -> OrchestratorError | None:
        """Return the error of a site that has been without a node for too long."""
        if part.site in there:
            part.absent_since = None
            return None
        now = time.monotonic()
        if part.absent_since is None:
            part.absent_since = now
            self.says(f"site {part.site}: no node of the cluster has the label {LABEL}={part.site}; waiting for one")
        if now - part.absent_since < ABSENT_S_MAX:
            return None
        return SiteAbsent(
            f"site {part.site!r} has no node in the Ray cluster at {self.address}",
            f"on a machine there: ray start --address={self.address} --labels {LABEL}={part.site}",
        )

    def _place(self, part: _Part) -> OrchestratorError | None:
        """Place a gateway on a node of the site, and hand the job over. Return the error once none starts there."""
        ray = self._ray
        # No processor is reserved: a gateway mostly waits. Two calls at once: a job, and the word to leave it.
        actor = ray.remote(num_cpus=0, max_concurrency=2, label_selector={LABEL: part.site})(SiteGateway)
        part.gateway, part.placed = actor.remote(), part.placed + 1
        try:
            node = ray.get(part.gateway.node.remote(), timeout=_PLACE_S_MAX)
        except ray.exceptions.RayError as error:
            self._lose(part, error)
            part.unstarted += 1
            return self._never_starts(part, error)
        if node not in self._nodes().get(part.site, ()):
            # Releases of Ray before label selectors place an actor anywhere: it would reach other devices, or none.
            ray.kill(part.gateway)
            raise RayUnavailable(
                f"Ray {ray.__version__} places no actor by the label of a node", "pip install 'benchfleet[ray]'"
            )
        self.says(f"site {part.site}: gateway on node {node[:12]}")
        part.unstarted = 0
        part.call = part.gateway.carry.remote(__version__, part.packed)
        return None

    def _never_starts(self, part: _Part, error: BaseException) -> OrchestratorError | None:
        if part.unstarted < STARTS_MAX and part.placed < PLACED_MAX:
            return None
        return RayUnavailable(
            f"site {part.site}: no gateway starts there: {first_line(error)}",
            f"install benchfleet {__version__} in the environment of `ray start` there",
        )

    def _take_end(self, part: _Part, ends: dict[str, OrchestratorError | None]) -> None:
        try:
            error = self._ray.get(part.call)
        except self._ray.exceptions.RayTaskError as failed:  # a defect: the gateway lives, the job would fail again
            error = RayUnavailable(
                f"site {part.site}: the gateway failed: {first_line(failed.cause)}", "this is a defect of benchfleet"
            )
        except self._ray.exceptions.RayError as lost:
            self._lose(part, lost)
            if part.placed < PLACED_MAX:
                return
            error = RayUnavailable(
                f"site {part.site}: {PLACED_MAX} gateways have died: {first_line(lost)}",
                "look at the memory of its nodes, and at Ray's logs there",
            )
        ends[part.site] = error

    def _lose(self, part: _Part, error: BaseException) -> None:
        """Give a gateway up. A gateway that only lost its link must not go on beside the next one."""
        self.says(f"site {part.site}: the gateway ended: {first_line(error)}; devices go on by themselves")
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

    def _sites(self) -> frozenset[str]:
        return frozenset(self._nodes())

    def _nodes(self) -> Mapping[str, list[str]]:
        """Return the ids of the living nodes by site. Raise RayUnavailable if the cluster does not answer."""
        found: dict[str, list[str]] = {}
        try:
            nodes = self._ray.nodes()
        except Exception as error:  # Ray has no class of its own for a head that has gone
            raise RayUnavailable(f"Ray does not answer at {self.address}: {first_line(error)}", JOIN_HINT) from error
        for node in nodes:
            site = (node.get("Labels") or {}).get(LABEL)
            if node["Alive"] and site is not None:
                found.setdefault(site, []).append(node["NodeID"])
        return found
