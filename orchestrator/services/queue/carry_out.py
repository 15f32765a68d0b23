"""Carry out a claimed submission: begin its run, go on with it, or end it."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.domain.errors import ClaimLost, ConfigError, NothingToRun, OrchestratorError, SitesLeft, StoreError
from orchestrator.domain.increment import increment_of
from orchestrator.domain.need import need_of
from orchestrator.domain.run import RunState, count_trials
from orchestrator.domain.submission import Claim, Submission, SubmissionState
from orchestrator.driving.driver import DriverTools, Intent
from orchestrator.services.queue.expected import expected_s
from orchestrator.services.queue.heart import Heart
from orchestrator.services.queue.sites import carrying, parts_of, sweep_of, without
from orchestrator.services.runs.incremental import left_to_run
from orchestrator.services.runs.metering import metering
from orchestrator.services.runs.pick_up import pick_up
from orchestrator.services.runs.show import details_of, require_run
from orchestrator.services.runs.start import new_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from orchestrator.domain.device import Device
    from orchestrator.domain.inventory import Inventory
    from orchestrator.domain.run import RunRecord
    from orchestrator.domain.run_details import RunDetails
    from orchestrator.reporting.base import RunDisplay
    from orchestrator.services.base import QueueWiring, Shows
    from orchestrator.services.queue.sites import Parts, Sites
    from orchestrator.services.runs.prepare import SweepPlanner
    from orchestrator.specs.sweep import SweepFile


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what became of a claim. Without a state the submission is left to another daemon, or held for a person."""

    state: SubmissionState | None
    error: str | None = None
    hint: str | None = None
    is_held: bool = False

    @property
    def is_whole(self) -> bool:
        """Return True if nothing is missing."""
        if self.is_held:
            return False
        return self.state in (None, SubmissionState.CANCELLED) or self.error is None


_CLAIMS_MAX = 50
_GIVEN_UP = Outcome(
    SubmissionState.FAILED,
    f"the run was left without an end, after {_CLAIMS_MAX} claims by daemons, one after the other",
    "see what ended them: memory, or a database that refuses; then submit it again",
)


@dataclass(frozen=True, slots=True)
class Carrier:
    """Carry out submissions, one after the other."""

    wiring: QueueWiring
    shows: Shows
    heart: Heart
    sites: Sites | None = None

    def carry_out(self, one: Submission, claim: Claim) -> Outcome:
        """Carry out a submission, and record the end. Raise StoreError if the database fails.

        A KeyboardInterrupt gives the claim back, leaves the devices running, and is passed on.
        """
        daemons = self.wiring.store.daemons
        try:
            with self.heart.watching(claim, stops=one.stops):
                outcome = _GIVEN_UP if _ends_daemons(one) else self._outcome(one, claim)
            if outcome.state is not None:
                daemons.finish(claim, outcome.state, outcome.error, outcome.hint)
            elif not self.heart.lost:
                daemons.give_back(claim)
            if outcome.is_held:
                self._hold(one, outcome)
        except ClaimLost as error:
            return Outcome(None, str(error), error.hint)
        except KeyboardInterrupt:
            self._leave(claim)
            raise
        return outcome

    def _leave(self, claim: Claim) -> None:
        try:
            self.wiring.store.daemons.give_back(claim)
        except StoreError:
            # Lost, or out of reach: the daemon's end, or its expiry, leaves the submission to the next.
            return

    def _hold(self, one: Submission, outcome: Outcome) -> None:
        """Keep the rest of a run from every daemon, until a person has mended what the reason says."""
        reason = f"{outcome.error}: {outcome.hint}" if outcome.hint else outcome.error
        # Another daemon may be quicker, and learns the same.
        with suppress(ConfigError):
            self.wiring.store.submissions.hold(one.id, reason)

    def _outcome(self, one: Submission, claim: Claim) -> Outcome:
        try:
            details = self._measured(one, claim)
        except StoreError:
            raise
        except SitesLeft as error:
            return Outcome(None, str(error), error.hint, is_held=True)
        except NothingToRun as end:
            return Outcome(SubmissionState.CANCELLED, str(end))
        except OrchestratorError as error:
            return Outcome(SubmissionState.FAILED, str(error), error.hint)
        except Exception as error:
            if os.environ.get("BENCHFLEET_DEBUG"):
                raise
            # Else one submission would end each daemon of the lab, one after the other.
            words = f"unexpected {type(error).__name__}: {error}"
            return Outcome(
                SubmissionState.FAILED, words, "this is a defect of benchfleet; BENCHFLEET_DEBUG=1 shows where"
            )
        if details is None:
            return Outcome(SubmissionState.CANCELLED, one.error)
        if self.heart.yields and not self.heart.stops and details.record.state is not RunState.COMPLETE:
            return Outcome(None, "gave way to a more urgent run", "benchfleet queue list")
        return self._judged(one, details)

    def _judged(self, one: Submission, details: RunDetails) -> Outcome:
        """Return what a run that was left, or that ended, makes of its submission."""
        record = details.record
        match record.state:
            case RunState.COMPLETE:
                return Outcome(SubmissionState.ENDED)
            case RunState.CANCELLED:
                # A person may have cancelled it since the claim. Words of giving way are no reason of this end.
                now = self.wiring.store.submissions.find_submission(one.run)
                return Outcome(SubmissionState.CANCELLED, now.error if now is not None and now.stops else None)
            case RunState.ACTIVE:
                return Outcome(None, f"run {one.run} goes on elsewhere", f"benchfleet runs show {one.run}")
            case RunState.INCOMPLETE:
                lacking = count_trials(entry.trials for entry in record.devices).shortfall
                errors = [f"{entry.device}: {entry.error}" for entry in record.devices if entry.error]
                words = "; ".join([*([lacking] if lacking else []), *errors]) or "a device did not end"
                return Outcome(SubmissionState.ENDED, f"incomplete: {words}", f"benchfleet runs show {one.run}")

    def _measured(self, one: Submission, claim: Claim) -> RunDetails | None:
        """Return the run as it ended, or None for a run that was cancelled before it began."""
        store = self.wiring.store
        record = store.runs.find_run(one.run)
        if record is None and one.stops:
            return None
        if record is not None and record.state is not RunState.ACTIVE and not _goes_on(one, record):
            return details_of(store, one.run)
        inventory = self.wiring.inventory()
        devices = _devices(one, record, inventory)
        file = self._file(one, devices)
        self.heart.preemptible = one if file.sweep.preemptible else None
        increment = increment_of(one.settings)
        planner = self.wiring.planner(file, increment=increment)
        if record is None and increment is not None:
            devices = left_to_run(devices, planner, self.wiring).devices
        parts = self._parts(one, claim, devices)
        with self.shows(one.run) as display:
            tools = self._tools(one, planner, display)
            if record is None:
                header = replace(new_run(file, _settings(one)), run=one.run)
                store.runs.create_run(header, file.models[0], devices, one.words, file.models[1:])
            here = [device for device in devices if not any(device in part.devices for part in parts.values())]
            with self._away(parts, self.heart.keeps_on), metering(one.run, here, self.wiring, display.warned):
                if not one.stops:
                    self._go_on(one, parts, inventory, tools)
            if (self.heart.stops or self.heart.yields) and not self.heart.lost:
                self._end(one, parts, inventory, tools)
        return details_of(store, one.run)

    def _go_on(self, one: Submission, parts: Parts, inventory: Inventory, tools: DriverTools) -> None:
        """Drive the devices that are at no site, from wherever the run stands."""
        record = require_run(tools.store.runs, one.run)
        pick_up(without(record, parts), Intent.RESUME, inventory, tools)
        again = require_run(tools.store.runs, one.run)
        had_stopped = record.state is RunState.ACTIVE and again.state is RunState.CANCELLED
        if had_stopped and _goes_on(one, again) and self.heart.keeps_on():
            # The daemon before died while the run gave way: only now the devices have told that they had stopped.
            pick_up(without(again, parts), Intent.RESUME, inventory, tools)

    def _end(self, one: Submission, parts: Parts, inventory: Inventory, tools: DriverTools) -> None:
        """End the run on its devices: at once for a person, between two trials for a more urgent run."""
        is_gentle = not self.heart.stops
        ends = {site: part.ending(between_trials=is_gentle) for site, part in parts.items()}
        with self._away(ends, lambda: not self.heart.lost):
            rest = without(require_run(tools.store.runs, one.run), parts)
            pick_up(rest, Intent.CANCEL, inventory, replace(tools, keeps_on=None, between_trials=is_gentle))

    def _parts(self, one: Submission, claim: Claim, devices: Sequence[Device]) -> Parts:
        """Return what gateways carry out: nothing without sites."""
        return {} if self.sites is None else parts_of(one, claim, devices, self.sites.opens)

    def _away(self, parts: Parts, keeps_on: Callable[[], bool]) -> AbstractContextManager[None]:
        return carrying(self.sites, parts, keeps_on) if parts and self.sites is not None else nullcontext()

    def _file(self, one: Submission, devices: Sequence[Device]) -> SweepFile:
        """Return the sweep from the parcel, and note how long the run should take."""
        store, file = self.wiring.store, sweep_of(one, self.wiring)
        store.submissions.expect({one.id: expected_s(file, [device.name for device in devices], store)})
        return file

    def _tools(self, one: Submission, planner: SweepPlanner, display: RunDisplay) -> DriverTools:
        own = self.wiring.identity(waits=True)
        # Devices are asked for as the submitter: reservations of the submitter admit the run.
        identity = replace(own, holder=one.holder, controller=f"daemon of {own.holder}, {own.controller}")
        wiring = self.wiring
        return DriverTools(wiring.store, wiring.executor(), display, planner, identity, self.heart.keeps_on)


def _ends_daemons(one: Submission) -> bool:
    """Return True for a run, as it was before this claim, that one daemon after the other has left without a word.

    A submission that waited is no such run: its last daemon gave the claim back, as after giving way.
    """
    return one.state is SubmissionState.RUNNING and one.claims_abandoned + 1 >= _CLAIMS_MAX


def _devices(one: Submission, record: RunRecord | None, inventory: Inventory) -> Sequence[Device]:
    """Return the devices of a run: those that it began on, or that were chosen for its need, or that it names."""
    if need_of(one.settings) is None:
        return inventory.select(one.select)
    names = list(one.device_s or ()) if record is None else [entry.device for entry in record.devices]
    if gone := [name for name in names if name not in inventory.devices]:
        raise ConfigError(f"the inventory has no device {', '.join(gone)}, which was chosen", "submit the sweep again")
    return [inventory.devices[name] for name in names]


def _settings(one: Submission) -> Mapping[str, Any]:
    return {"select": one.select, "submitted_by": one.holder, **one.settings}


def _goes_on(one: Submission, record: RunRecord) -> bool:
    """Return True for a run that was ended on its devices to give way to another one."""
    return one.has_yielded and not one.stops and record.state is not RunState.COMPLETE
