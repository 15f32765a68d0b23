"""Keep a daemon alive in the database, and hear whether the daemon's run is still wanted, by a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from orchestrator.domain.errors import ClaimLost, OrchestratorError, StoreError
from orchestrator.domain.submission import Claim

if TYPE_CHECKING:
    from orchestrator.domain.inventory import Inventory
    from orchestrator.domain.submission import Submission
    from orchestrator.domain.window import Window
    from orchestrator.driving.identity import ControllerIdentity
    from orchestrator.store.base import Roles

_LOOK_S = 5.0
"""The longest time between two looks: whoever cancels a run does not wait long."""


class Heart:
    """Register a daemon for the time of a context. All methods may be called from the daemon's thread.

    `inventory` and `windows` are the daemon's present ones. `chore` is done now and then while a run goes on, which
    keeps the daemon's own thread for hours. `preemptible` is the submission that goes on, if it may give way.
    """

    def __init__(
        self,
        store: Roles,
        identity: ControllerIdentity,
        inventory: Inventory,
        windows: Sequence[Window],
        chore: Callable[[Heart], None],
    ) -> None:
        self._store = store
        self._chore = chore
        self._lease_s = identity.lease_s
        self.inventory = inventory
        self.windows = windows
        self.daemon = store.daemons.begin_daemon(
            identity.holder, identity.controller, list(inventory.devices), identity.lease_s, windows
        )
        self._claim: Claim | None = None
        self.stops = self.lost = self.yields = False
        self.preemptible: Submission | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="renew the daemon", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()
        # A database out of reach lets the daemon expire.
        with suppress(StoreError):
            self._store.daemons.end_daemon(self.daemon)

    @contextmanager
    def watching(self, claim: Claim, *, stops: bool) -> Iterator[None]:
        """Look after a claim, within the context. `stops`: a person wants the run ended already."""
        self.stops, self.lost, self.yields, self.preemptible = stops, False, False, None
        self._claim = claim
        try:
            yield
        finally:
            self._claim = None

    def keeps_on(self) -> bool:
        """Return False once the run is to be left: it ends, another daemon has it, or a more urgent one waits."""
        return not (self.stops or self.lost or self.yields)

    def give_way(self, own: Submission, to: str) -> None:
        """Have the present run, if it is still `own`, give way to another one. Raise ClaimLost if the claim is lost."""
        claim = self._claim
        if claim is not None and claim.submission == own.id:
            # On record before any device hears of it: whoever finds the run cancelled then goes on with it.
            self._store.daemons.give_way(claim, to)
            self.yields = claim is self._claim

    def _beat(self) -> None:
        while not self._over.wait(min(self._lease_s / 3, _LOOK_S)):
            # A database out of reach is asked again: the claim holds until another daemon wants it.
            with suppress(OrchestratorError):
                self._store.daemons.renew_daemon(self.daemon, list(self.inventory.devices), self._lease_s, self.windows)
                self._look()
                if self._claim is not None:
                    self._chore(self)

    def _look(self) -> None:
        claim = self._claim
        if claim is None:
            return
        try:
            wanted = self._store.daemons.wants_stop(claim)
        except ClaimLost:
            # The claim may have ended in the ordinary way meanwhile.
            self.lost = claim is self._claim
        else:
            self.stops = self.stops or (wanted and claim is self._claim)
