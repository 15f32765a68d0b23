"""Hand the database opened for reading to services that take a wiring."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.store.base import Roles


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold the open database, as `HasRecords` asks."""

    store: Roles
