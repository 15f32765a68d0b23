"""Declare what pages read from and write through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from orchestrator.store.base import PageRoles, Roles

if TYPE_CHECKING:
    from orchestrator.domain.run import RunSummary
    from orchestrator.domain.run_filter import RunFilter
    from orchestrator.domain.schema_status import Relation
    from orchestrator.services.base import FleetWiring
    from orchestrator.store.base import SqlConsole


class PageReader(Roles, PageRoles, Protocol):
    """Have every role over connections that cannot write."""

    @property
    def location(self) -> str:
        """Return the database's URL or path for people, without a password."""


class PageWiring(Protocol):
    """Offer what pages need."""

    @property
    def reader(self) -> PageReader:
        """Return the database opened for reading alone, for many threads."""

    def writer(self) -> FleetWiring:
        """Return the wiring for decisions and annotations, the only writes of pages."""

    def list_runs(self, limit: int, wanted: RunFilter | None = None) -> Sequence[RunSummary]:
        """Return the newest runs first."""

    def relations(self) -> Sequence[Relation]:
        """Return what SQL can read: views first, then tables."""

    def page_console(self) -> SqlConsole:
        """Open the database for one statement of a person. The caller closes the console."""
