"""Make, record and assign the plan of each device of a run.

Plans are made in separate threads, since packing a runtime may take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.blob import Blob
from orchestrator.domain.conversation import Assignment, Attachment, FactsReported, SpentRetries
from orchestrator.domain.device import Device
from orchestrator.domain.errors import NoSuchRelease, OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.log_bounds import UNBOUNDED, LogBounds
from orchestrator.domain.plan.document import log_bounds, longest_s, planned_blobs, planned_trials, remaining_s
from orchestrator.domain.plan.power_time import PowerTime, power_time_of_plan
from orchestrator.domain.plan.values import DevicePlan, PreparedPlan
from orchestrator.domain.run import Offset
from orchestrator.driving.leases import DeviceLeases
from orchestrator.driving.sessions import Sessions
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages.part import DevicePart, Intent
from orchestrator.driving.tools import DriverTools, Handler

PREPARATIONS_AT_ONCE = 2
"""Number of plans made side by side."""


@dataclass(frozen=True, slots=True)
class _Shipment:
    """Hold a plan on its way to a device: the plan's blob, the blobs needed on the device, the expected seconds.

    `bounds` are the log's.
    """

    plan: Blob
    blobs: Sequence[Blob]
    estimate_s: float
    bounds: LogBounds


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """Keep a device's facts, the id of the snapshot in the database, and the worker's hash."""

    facts: Facts
    snapshot: int
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class PlanMade:
    """Carry a device's finished plan, or the error instead of a plan, with the facts behind the plan."""

    device: str
    made_from: StoredFacts
    future: Future[tuple[DevicePlan, Blob]]


class Plans:
    """Hold the plans of a run on the way to the devices.

    `tell` is called from another thread. `mistake`: an error in the sweep itself (an unknown release), the same on
    every device. With `retry_failed` failed trials count as missing.
    """

    def __init__(
        self,
        run: str,
        tools: DriverTools,
        leases: DeviceLeases,
        sessions: Sessions,
        tell: Callable[[PlanMade], None],
        *,
        retry_failed: bool = False,
    ) -> None:
        self._run = run
        self._retry_failed = retry_failed
        self._store = tools.store
        self._display = tools.display
        self._planner = tools.planner
        self._waits = tools.identity.waits
        self._leases = leases
        self._sessions = sessions
        self._tell = tell
        self._facts: dict[str, StoredFacts] = {}
        self._made: dict[str, tuple[DevicePlan, Blob]] = {}
        self._preparations = ThreadPoolExecutor(PREPARATIONS_AT_ONCE, thread_name_prefix="prepare")
        self.mistake: NoSuchRelease | None = None
        self.handlers: Mapping[type[Any], Handler] = {
            o.Prepare: self._prepare,
            o.AssignPlan: self._assign_plan,
            o.AssignRest: self._assign_rest,
            o.Attach: self._attach,
        }

    def keep_facts(self, report: FactsReported, snapshot: int) -> None:
        """Keep a device's facts for the device's plan. The plan's record names the snapshot."""
        self._facts[report.device] = StoredFacts(report.facts, snapshot, report.worker_sha256)

    def is_of_last_facts(self, made: PlanMade) -> bool:
        """Say whether a plan was made from the device's last facts."""
        # By identity: after a rescue a device may report facts that are equal.
        return self._facts[made.device] is made.made_from

    def record(self, made: Sequence[PlanMade]) -> Mapping[str, int | OrchestratorError]:
        """Record plans together. Return the number of trials, or the error instead of a plan, by device."""
        results: dict[str, int | OrchestratorError] = {}
        plans: dict[str, tuple[DevicePlan, Blob]] = {}
        recordable: list[PreparedPlan] = []
        for one in made:
            try:
                plans[one.device] = plan, _ = one.future.result()
                recordable.append(PreparedPlan(plan, one.made_from.snapshot, one.made_from.worker_sha256))
            except OrchestratorError as error:
                results[one.device] = error
                if isinstance(error, NoSuchRelease):
                    self.mistake = error
        # On record before the device hears of the plan: a runner without a recorded plan could not be collected.
        refused = self._store.plans.save_plans(self._run, recordable, self._leases.ids)
        for name, (plan, _) in plans.items():
            if name in refused:
                results[name] = refused[name]
                continue
            if plan.trials:  # a plan without trials is never assigned, and would stay here
                self._made[name] = plans[name]
            self._display.planned(name, len(plan.trials), len(plan.excluded))
            results[name] = len(plan.trials)
        return results

    def is_unfinished(self, device: str, *, lacks_end: bool) -> bool:
        """Say whether trials of a device's plan are missing, or the log has no record of the end (`lacks_end`)."""
        document = self._store.plans.plan_document(self._run, device)
        if document is None:
            return False
        # A runner may have stopped after the last trial. Only another runner can write the record of the log's end.
        return lacks_end or not planned_trials(document) <= self._done(device)

    def longest_s(self, device: str) -> float | None:
        """Return the longest time in seconds of the rest of a device's plan; None without a recorded plan."""
        document = self._store.plans.plan_document(self._run, device)
        return None if document is None else longest_s(document, self._done(device))

    def close(self) -> None:
        """Begin no further plan. A plan in the making is dropped."""
        # Not waited for: a download may take minutes, and the devices are to be given back now.
        self._preparations.shutdown(wait=False, cancel_futures=True)

    def _done(self, device: str) -> frozenset[str]:
        return frozenset(self._store.progress.done_trials(self._run, device, self._retry_failed))

    def _prepare(self, part: DevicePart, order: o.Prepare) -> None:
        name = part.name
        self._display.step(name, "prepare", "resolving runtimes for the device's platform")
        stored = self._facts[name]
        future = self._preparations.submit(self._make, part.device, stored.facts)
        # Through the inbox, like a report: the driver's thread alone records plans and knows their parts.
        future.add_done_callback(lambda done: self._tell(PlanMade(name, stored, done)))

    def _make(self, device: Device, facts: Facts) -> tuple[DevicePlan, Blob]:
        plan = self._planner.plan(device, facts)
        return plan, self._planner.keep(plan.document)

    def _assign_plan(self, part: DevicePart, order: o.AssignPlan) -> None:
        plan, blob = self._made.pop(part.name)
        self._assign(part, _Shipment(blob, plan.blobs, plan.estimate_s, log_bounds(plan.document)), (), Offset(None, 0))

    def _assign_rest(self, part: DevicePart, order: o.AssignRest) -> None:
        document = self._store.plans.plan_document(self._run, part.name)
        assert document is not None  # it was there when the order was given, and no plan is ever removed
        done = self._done(part.name)
        self._display.planned(part.name, len(planned_trials(document) - done), 0)
        # Kept again, since the cache may have been emptied since the run began, or be another machine's.
        plan, blobs = self._planner.keep(document), planned_blobs(document)
        left_s = remaining_s(document, done, self._power_time(part, document))
        shipment = _Shipment(plan, blobs, left_s, log_bounds(document))
        spent = () if self._retry_failed else self._store.progress.spent_retries(self._run, part.name, done)
        self._assign(part, shipment, sorted(done), order.offset, spent)

    def _power_time(self, part: DevicePart, document: bytes) -> PowerTime:
        """Return what power adds to the rest of a plan, by the facts of now: the device decides by these."""
        stored = self._facts.get(part.name)
        return PowerTime() if stored is None else power_time_of_plan(document, part.device, stored.facts)

    def _attach(self, part: DevicePart, order: o.Attach) -> None:
        document = self._store.plans.plan_document(self._run, part.name)
        bounds = UNBOUNDED if document is None else log_bounds(document)  # without a plan there is no log
        attachment = Attachment(self._run, order.offset.log_id, order.offset.last_seq, bounds)
        self._sessions.post(part.name, attachment)

    def _assign(
        self,
        part: DevicePart,
        shipment: _Shipment,
        skip: Sequence[str],
        offset: Offset,
        spent: Sequence[SpentRetries] = (),
    ) -> None:
        assignment = Assignment(
            self._run,
            shipment.plan.sha256,
            (shipment.plan, *shipment.blobs),
            tuple(skip),
            tuple(spent),
            offset.log_id,
            offset.last_seq,
            detach=part.intent is Intent.DETACH,
            lease=self._leases.for_start(part.name, shipment.estimate_s),
            waits=self._waits,
            bounds=shipment.bounds,
        )
        self._sessions.post(part.name, assignment)
