"""Find the sites of a Ray cluster, and open what the gateway of a site needs on the gateway's own node."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.bootstrap import Wiring
from orchestrator.domain.errors import ConfigError, OrchestratorError
from orchestrator.settings import ExecutorKind, Settings, load_settings

if TYPE_CHECKING:
    from orchestrator.domain.cluster import Cluster
    from orchestrator.execution.sites import RaySites
    from orchestrator.services.queue.sites import SitePart


@dataclass(frozen=True, slots=True)
class GatewayWiring:
    """Open the wiring of a site's gateway. Picklable.

    Keys, caches and the ssh config are those of the gateway's own node. So is the database, where the node's
    environment names one (BENCHFLEET_DB): a site may reach the server by another name. Otherwise `db` counts.
    """

    db: str = field(repr=False)
    lease_s: float
    ray_address: str | None

    def __call__(self) -> Wiring:
        """Return the wiring, to be entered. Raise ConfigError for wrong settings of the node."""
        own_db = os.environ.get("BENCHFLEET_DB")
        # Sessions run in the gateway's process: a Ray within a Ray would only be another way to lose them.
        settings = {"db": own_db or self.db, "lease_s": self.lease_s, "executor": "threads"}
        return Wiring(load_settings({**settings, "ray_address": self.ray_address}))


@dataclass(frozen=True, slots=True)
class FleetSites:
    """Carry the parts of runs out at the sites of a Ray cluster."""

    settings: Settings
    cluster: RaySites

    @property
    def opens(self) -> GatewayWiring:
        """Return what opens the wiring of a gateway."""
        return GatewayWiring(self.settings.db, self.settings.lease_s, self.settings.ray_address)

    def join(self) -> None:
        """Join the cluster. Raise ConfigError for a database that other machines cannot reach, and RayUnavailable."""
        if self.settings.db.startswith("sqlite:"):
            raise ConfigError(
                "gateways of sites write to the database from other machines, and SQLite is on one",
                "use PostgreSQL (docs/postgresql.md), or leave --executor ray out: all is then reached from here",
            )
        self.cluster.join()

    def carry(
        self, jobs: Mapping[str, SitePart], keeps_on: Callable[[], bool]
    ) -> Mapping[str, OrchestratorError | None]:
        """Carry jobs out side by side, each at its site."""
        return self.cluster.carry(jobs, keeps_on)


def look_at_cluster(address: str) -> Cluster:
    """Return the Ray cluster at an address, with what is wrong with each node. Raise RayUnavailable."""
    from orchestrator.cluster.checkup import look_at

    return look_at(address)


@contextmanager
def sites_of(settings: Settings, says: Callable[[str], None]) -> Iterator[FleetSites | None]:
    """Give the sites of the Ray cluster that the settings name, or None without one, and leave the cluster at the end.

    `says` gets a line for each event.
    """
    if settings.executor is not ExecutorKind.RAY or settings.ray_address is None:
        yield None
        return
    from orchestrator.execution.sites import RaySites

    with closing(RaySites(settings.ray_address, says)) as cluster:
        yield FleetSites(settings, cluster)
