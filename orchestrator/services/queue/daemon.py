"""Work the queue: claim what may begin, carry it out, and wait for more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError, OrchestratorError, StoreError
from orchestrator.domain.submission import Claim, Submission, SubmissionState
from orchestrator.services.devices.collect import collect_ended
from orchestrator.services.queue.carry_out import Carrier
from orchestrator.services.queue.choosing import Choice, claim_next, give_way, read_queue
from orchestrator.services.queue.firing import Firer
from orchestrator.services.queue.heart import Heart

if TYPE_CHECKING:
    from orchestrator.services.base import QueueWiring, Shows
    from orchestrator.services.queue.sites import Sites
    from orchestrator.store.base import Roles

POLL_S = 2.0
"""Time between two looks into the queue."""
_PAUSE_PER_LOOK, _PAUSE_S_MAX = 10, 20.0
"""A queue of thousands takes a while to read, and must not keep a processor busy."""
_READ_EVERY = 15
"""So many looks in vain lie between two readings of the inventory, which may have hundreds of devices."""
_COLLECT_EVERY = 10
"""So many looks in vain lie between two looks at devices left to themselves."""

Says = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DaemonRequest:
    """Ask for a daemon. `once`: carry out one submission at most. `drain`: end once nothing is left for these devices.

    A submission that is held, or not due yet, is not waited for.
    """

    once: bool = False
    drain: bool = False


def work(request: DaemonRequest, wiring: QueueWiring, shows: Shows, says: Says, sites: Sites | None = None) -> bool:
    """Work the queue, and return whether every submission carried out is whole. `says` gets a line for each event.

    With `sites`, devices that have a site are driven from there. Raise ConfigError for a wrong inventory at the
    beginning, and StoreError for a database that fails then. KeyboardInterrupt ends the daemon: devices go on by
    themselves, and the next daemon goes on with the run.
    """
    inventory = wiring.inventory()
    firer = Firer(wiring.store, says)
    windows = wiring.windows(inventory)
    with Heart(wiring.store, wiring.identity(), inventory, windows, Chores(firer, wiring.store)) as heart:
        return _Daemon(request, wiring, Carrier(wiring, shows, heart, sites), firer, says).work()


@dataclass(frozen=True, slots=True)
class Chores:
    """Do what cannot wait for the end of a run: fire schedules, and look for something more urgent."""

    firer: Firer
    store: Roles

    def __call__(self, heart: Heart) -> None:
        """Do the chores of a daemon. Raise OrchestratorError; a defect is told once."""
        try:
            self.firer.fire_due()
            give_way(heart, self.store)
        except OrchestratorError:
            raise
        except Exception as error:
            if os.environ.get("BENCHFLEET_DEBUG"):
                raise
            # Else the thread would end that keeps the daemon alive, and others would take its run over.
            words = f"unexpected {type(error).__name__}: {error}"
            self.firer.complain(f"{words}; this is a defect of benchfleet; BENCHFLEET_DEBUG=1 shows where")


@dataclass(slots=True)
class _Daemon:
    request: DaemonRequest
    wiring: QueueWiring
    carrier: Carrier
    firer: Firer
    says: Says
    is_whole: bool = True
    is_away: bool = False
    said: str = ""
    looks: int = 0
    idle: threading.Event = field(default_factory=threading.Event)

    def work(self) -> bool:
        """Look into the queue again and again, until the request says otherwise."""
        while True:
            try:
                if self._look():
                    return self.is_whole
            except StoreError as error:
                # A database out of reach ends no service. A person who waits for the end is told.
                if self.request.once or self.request.drain:
                    raise
                if not self.is_away:
                    self.says(f"{error}; trying again")
                self.is_away = True
                self.idle.wait(POLL_S)

    def _look(self) -> bool:
        """Carry out what may begin now, or wait a moment. Return True at the end of the daemon's work."""
        if self.looks % _READ_EVERY == 0:
            self._read_inventory()
        store, began = self.wiring.store, time.monotonic()
        self.firer.fire_due()
        choice = read_queue(self.carrier.heart, store)
        if self.is_away:
            self.says("the database answers again")
            self.is_away = False
        found = claim_next(choice, self.carrier.heart.daemon, store)
        if found is not None:
            self.looks = 0
            left = self._carry_out(*found)
            if left and not self.request.once:
                # To whoever has the run now; at once this daemon would only ask again.
                self.idle.wait(POLL_S)
            return self.request.once
        if self.request.once or (self.request.drain and not choice.concerned):
            return True
        pause_s = max(POLL_S, min(_PAUSE_S_MAX, _PAUSE_PER_LOOK * (time.monotonic() - began)))
        self._collect(choice)
        self.idle.wait(pause_s)
        return False

    def _carry_out(self, one: Submission, claim: Claim) -> bool:
        """Carry out a claim, and return whether the submission is left to others."""
        self.says(f"{one.run}: {one.sweep} of {one.holder}{' goes on' if claim.number > 1 else ''}")
        outcome = self.carrier.carry_out(one, claim)
        state = outcome.state or "left"
        whole = "complete" if state is SubmissionState.ENDED and outcome.error is None else state
        self.says(f"{one.run}: {whole}{f': {outcome.error}' if outcome.error else ''}")
        self.is_whole = self.is_whole and outcome.is_whole
        return outcome.state is None

    def _read_inventory(self) -> None:
        """Take changes of the inventory over. A wrong file changes nothing, and is told once."""
        try:
            inventory = self.wiring.inventory()
            windows = self.wiring.windows(inventory)
        except ConfigError as error:
            self._say_once(f"{error}; the inventory of before is used")
            return
        self.carrier.heart.inventory, self.carrier.heart.windows = inventory, windows

    def _collect(self, choice: Choice) -> None:
        """Collect ended runs that were left on devices in demand, now and then."""
        self.looks += 1
        if self.looks % _COLLECT_EVERY or not choice.concerned:
            return
        devices = [device for name, device in self.carrier.heart.inventory.devices.items() if name in choice.concerned]
        # The queue goes on without it, and the database's own failure is met elsewhere.
        with suppress(OrchestratorError):
            collect_ended(devices, self.wiring, lambda device, run: self.says(f"{run}: had ended on {device}"))

    def _say_once(self, words: str) -> None:
        if words != self.said:
            self.says(words)
        self.said = words
