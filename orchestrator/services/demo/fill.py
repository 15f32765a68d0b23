"""Fill an empty database with the made-up year of a lab."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from orchestrator.domain.demo import DemoFilled, DemoRequest
from orchestrator.domain.errors import ConfigError
from orchestrator.services.demo.lab import SERIES_MAX, Lab
from orchestrator.services.demo.nights import NightMaker
from orchestrator.services.demo.runs import RunMaker, ToldClock
from orchestrator.services.demo.story import Story
from orchestrator.store.base import Roles


class DemoWiring(Protocol):
    """Open the database to be filled."""

    def empty_store(self, clock: Callable[[], datetime]) -> Roles:
        """Return the database of the settings, with all tables and told times. Raise ConfigError for any row."""

    @property
    def database(self) -> str:
        """Return the URL of the database without its password."""


def fill(request: DemoRequest, wiring: DemoWiring, on_night: Callable[[int], None] = lambda _: None) -> DemoFilled:
    """Fill the empty database of the settings. Equal requests give equal rows. `on_night` gets the nights passed.

    Raise ConfigError for a database with rows, and for more series than a made-up lab has.
    """
    if request.series > SERIES_MAX:
        raise ConfigError(f"--series {request.series}: a made-up lab has at most {SERIES_MAX} cells on a device")
    clock = ToldClock()
    store = wiring.empty_store(clock)
    story = Story(Lab(request.devices, request.series), request.nights, request.seed)
    maker = RunMaker(story, store, clock)
    NightMaker(story, store, maker).pass_all(on_night)
    return DemoFilled(wiring.database, request, maker.runs, maker.attempts)
