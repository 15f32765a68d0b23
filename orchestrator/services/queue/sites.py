"""Divide a run among the sites and nodes of its devices, and carry out the part of each inside a gateway there."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from orchestrator.domain.device import SITE_TAG, Device, TransportKind
from orchestrator.domain.errors import (
    BadDatabaseUrl,
    ClaimLost,
    OrchestratorError,
    SitesLeft,
    StoreError,
    WrongSchema,
)
from orchestrator.domain.increment import increment_of
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.run import DeviceRunState, RunRecord
from orchestrator.domain.submission import Claim, Submission
from orchestrator.driving.driver import DriverTools, Intent
from orchestrator.services.queue.parcel import unpack
from orchestrator.services.runs.metering import metering
from orchestrator.services.runs.pick_up import pick_up
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import QueueWiring
    from orchestrator.specs.sweep import SweepFile
    from orchestrator.store.base import Roles

OpensWiring = Callable[[], "AbstractContextManager[QueueWiring]"]
"""Opens the database and the caches of the node of a gateway. Picklable."""

_LOOK_S = 5.0
"""The longest time in which a gateway hears that its run is not wanted any more."""
_DATABASE_S_MAX, _PAUSE_S = 2 * 3600.0, 5.0
"""How long a gateway waits for a database that does not answer. Devices go on meanwhile."""
_ANSWERS_S = 60.0
"""How long a database answers before a failure begins another absence."""
_LEAVE_S_MAX = 30.0


Parts = Mapping[str, "SitePart"]
"""Has the part of each place, by the words for the place: `site berlin`, `node host=gpu-1`."""


class Sites(Protocol):
    """Carry jobs out at sites. `opens` opens the database and the caches of the node of a gateway."""

    @property
    def opens(self) -> OpensWiring:
        """Return what every job opens where it is carried out."""

    def join(self) -> None:
        """Reach the sites, from the main thread. Raise OrchestratorError."""

    def carry(self, jobs: Parts, keeps_on: Callable[[], bool]) -> Mapping[str, OrchestratorError | None]:
        """Carry jobs out side by side, each at its site, and return each site's error once all are over."""


@dataclass(frozen=True, slots=True)
class SitePart:
    """Hold what a gateway needs to carry out a run on the devices of its place. Picklable.

    `labels` are those of the nodes of the place. `is_node`: the place is one node, which is the devices.
    """

    name: str
    labels: Mapping[str, str]
    is_node: bool
    one: Submission
    claim: Claim
    devices: tuple[Device, ...]
    opens: OpensWiring
    intent: Intent = Intent.RESUME
    between_trials: bool = False

    def ending(self, *, between_trials: bool) -> SitePart:
        """Return the part that ends the run on these devices, at once or between two trials."""
        return replace(self, intent=Intent.CANCEL, between_trials=between_trials)

    def __call__(self, keeps_on: Callable[[], bool]) -> None:
        """Drive the devices until they are done, `keeps_on` says False, or a person wants the run ended.

        Raise OrchestratorError. A database that does not answer is waited for.
        """
        absence = _Absence()
        while True:
            try:
                with self.opens() as wiring:
                    self._drive(wiring, _Wanted(wiring.store, self.claim, keeps_on, absence))
                    return
            except (BadDatabaseUrl, WrongSchema):
                # Waiting mends neither a setting of the node nor the release that the node has.
                raise
            except StoreError:
                if not keeps_on() or absence.is_too_long(time.monotonic()):
                    raise
                threading.Event().wait(_PAUSE_S)

    def _drive(self, wiring: QueueWiring, wanted: _Wanted) -> None:
        from orchestrator.reporting.live.progress import SilentDisplay

        one, display = self.one, SilentDisplay()
        planner = wiring.planner(sweep_of(one, wiring), increment=increment_of(one.settings))
        own = wiring.identity(waits=True)
        # Devices are asked for as the submitter: reservations of the submitter admit the run.
        identity = replace(
            own,
            holder=one.holder,
            controller=f"gateway of {self.name.removeprefix('site ')}, {own.holder}, {own.controller}",
        )
        tools = DriverTools(wiring.store, wiring.executor(), display, planner, identity, wanted)
        tools = replace(tools, between_trials=self.between_trials)
        inventory = Inventory({device.name: device for device in self.devices})
        is_ending = self.intent is Intent.CANCEL
        with metering(one.run, [] if is_ending else self.devices, wiring, display.warned):
            pick_up(self._record(wiring.store), self.intent, inventory, tools)
            gave_way = one.has_yielded and not one.stops
            if not is_ending and gave_way and wanted() and self._has_stopped(wiring.store):
                # The daemon before died while the run gave way: only now the devices have told that they had stopped.
                pick_up(self._record(wiring.store), self.intent, inventory, tools)

    def _has_stopped(self, store: Roles) -> bool:
        return any(entry.state is DeviceRunState.CANCELLED for entry in self._record(store).devices)

    def _record(self, store: Roles) -> RunRecord:
        """Return the run with the devices of the site alone: others have drivers of their own."""
        record = require_run(store.runs, self.one.run)
        names = {device.name for device in self.devices}
        return replace(record, devices=tuple(entry for entry in record.devices if entry.device in names))


@dataclass(slots=True)
class _Absence:
    """Measure how long the database has been away. An absence is over once the database has answered for a while."""

    since_s: float | None = None
    answers_since_s: float | None = None

    def answered(self, now_s: float) -> None:
        """Note an answer of the database."""
        if self.answers_since_s is None:
            self.answers_since_s = now_s
        if now_s - self.answers_since_s >= _ANSWERS_S:
            self.since_s = None

    def is_too_long(self, now_s: float) -> bool:
        """Note a failure, and return True once the absence lasts too long."""
        self.answers_since_s = None
        if self.since_s is None:
            self.since_s = now_s
        return now_s - self.since_s > _DATABASE_S_MAX


@dataclass(slots=True)
class _Wanted:
    """Say whether the daemon still has the claim, by a look at the database now and then.

    A daemon that lives hears by itself that a run is to end. One that was cut off would leave its gateways behind.
    """

    store: Roles
    claim: Claim
    keeps_on: Callable[[], bool]
    absence: _Absence
    lost: bool = False
    looked_s: float = 0.0

    def __call__(self) -> bool:
        if time.monotonic() - self.looked_s > _LOOK_S:
            self._look()
        return self.keeps_on() and not self.lost

    def _look(self) -> None:
        self.looked_s = time.monotonic()
        try:
            self.store.daemons.wants_stop(self.claim)
        except ClaimLost:
            # Whoever has the claim now places gateways of its own.
            self.lost = True
        self.absence.answered(self.looked_s)


def sweep_of(one: Submission, wiring: QueueWiring) -> SweepFile:
    """Return the sweep of a submission from its parcel, unpacked below this machine's cache."""
    store, folder = wiring.store, wiring.submissions_folder() / one.run
    return wiring.sweep_file(unpack(store.submissions.files_of(one.id), folder, store, wiring.cache()))


def parts_of(one: Submission, claim: Claim, devices: Sequence[Device], opens: OpensWiring) -> Parts:
    """Return the part of each site, and of each node that is a device. Other devices are in none."""
    found: dict[tuple[bool, tuple[tuple[str, str], ...]], list[Device]] = {}
    for device in devices:
        is_node = device.transport is TransportKind.RAY
        # A node is reached from itself alone, wherever it stands: its site is a tag like any other.
        labels = device.node if is_node else {} if device.site is None else {SITE_TAG: device.site}
        if labels:
            found.setdefault((is_node, tuple(sorted(labels.items()))), []).append(device)
    parts = {}
    for (is_node, pairs), those in found.items():
        words = ",".join(f"{key}={value}" for key, value in pairs)
        name = f"node {words}" if is_node else f"site {pairs[0][1]}"
        parts[name] = SitePart(name, dict(pairs), is_node, one, claim, tuple(those), opens)
    return parts


def without(record: RunRecord, parts: Parts) -> RunRecord:
    """Return a run with the devices that are in no part."""
    away = {device.name for part in parts.values() for device in part.devices}
    return replace(record, devices=tuple(entry for entry in record.devices if entry.device not in away))


@contextmanager
def carrying(sites: Sites, parts: Parts, keeps_on: Callable[[], bool]) -> Iterator[None]:
    """Carry parts out at their places beside the body of the context, and wait for their ends.

    Raise SitesLeft if a site's devices are left unfinished. An exception of the body has the gateways leave their
    devices to themselves.
    """
    left, found = threading.Event(), _Ends()
    try:
        sites.join()
    except OrchestratorError as error:
        raise SitesLeft(str(error), error.hint) from error

    def carry() -> None:
        try:
            found.ends = sites.carry(parts, lambda: not left.is_set() and keeps_on())
        except OrchestratorError as error:
            found.error = error
        except Exception as error:  # noqa: BLE001 - else a thread that died reads like sites that have finished
            if os.environ.get("BENCHFLEET_DEBUG"):
                traceback.print_exc()
            found.error = SitesLeft(
                f"unexpected {type(error).__name__}: {error}",
                "this is a defect of benchfleet; BENCHFLEET_DEBUG=1 shows where",
            )

    thread = threading.Thread(target=carry, name="sites", daemon=True)
    thread.start()
    try:
        yield
        while thread.is_alive():
            thread.join(1.0)  # for a moment each: Ctrl-C must get through
    finally:
        left.set()
        thread.join(_LEAVE_S_MAX)
    errors = [error for error in (found.error, *found.ends.values()) if error is not None]
    if errors:
        raise SitesLeft("; ".join(map(str, errors)), errors[0].hint)


@dataclass(slots=True)
class _Ends:
    ends: Mapping[str, OrchestratorError | None] = field(default_factory=dict)
    error: OrchestratorError | None = None
