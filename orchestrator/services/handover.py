"""Hand plans over: make, record and assign what each device of a run is to do.

Plans are made beside the driver, since packing a runtime may take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.domain.blob import Blob
from orchestrator.domain.conversation import Assignment
from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost, NoSuchRelease, OrchestratorError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import DevicePlan, PreparedPlan
from orchestrator.domain.plan_document import planned_blobs, planned_trials, remaining_s
from orchestrator.domain.run import DeviceRunState, Offset
from orchestrator.services.device_leases import DeviceLeases
from orchestrator.services.driver_parts import DriverParts, Intent, Part
from orchestrator.services.ledger import Ledger

PREPARATIONS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Prepared:
    """A device's plan is made, or could not be."""

    device: str
    future: Future[tuple[DevicePlan, Blob]]


@dataclass(frozen=True, slots=True)
class Shipment:
    """A plan as it goes to its device, what it needs there, and about how long it will take."""

    plan: Blob
    blobs: Sequence[Blob]
    estimate_s: float


class Handover:
    """The plans of one run on their way to its devices; `close` ends it.

    `mistake` is what the sweep itself has wrong, and no device can help.
    """

    def __init__(self, run: str, intent: Intent, of_driver: DriverParts, ledger: Ledger, leases: DeviceLeases) -> None:
        self._run = run
        self._leases = leases
        self._waits = of_driver.tenant.waits
        self._detach = intent is Intent.DETACH
        self._store = of_driver.store
        self._executor = of_driver.executor
        self._display = of_driver.display
        self._planner = of_driver.planner
        self._ledger = ledger
        self.mistake: NoSuchRelease | None = None
        self._preparations = ThreadPoolExecutor(PREPARATIONS_AT_ONCE, thread_name_prefix="prepare")

    def prepare(self, device: Device, facts: Facts, tell: Callable[[Prepared], None]) -> None:
        """Make a device's plan in the background; `tell` is called from there when it is done."""
        self._display.step(device.name, "prepare", "resolving runtimes for the device's platform")
        future = self._preparations.submit(self._prepare, device, facts)
        future.add_done_callback(lambda done: tell(Prepared(device.name, done)))

    def hand_over(self, prepared: Sequence[tuple[Part, Prepared]]) -> None:
        """Record plans in one transaction, and assign each to its device."""
        plans: dict[str, tuple[Part, DevicePlan, Blob]] = {}
        for part, one in prepared:
            try:
                plans[one.device] = (part, *one.future.result())
            except OrchestratorError as error:
                self._ledger.fail(part, error)
                if isinstance(error, NoSuchRelease):
                    self.mistake = error
        recordable = [_recordable(part, plan) for part, plan, _ in plans.values()]
        refused = self._store.save_plans(self._run, recordable, self._leases.ids)
        for name, (part, plan, blob) in plans.items():
            if name in refused:
                self._refuse(part, refused[name])
                continue
            self._display.planned(name, len(plan.trials), len(plan.excluded))
            if plan.trials:
                self._assign(part, Shipment(blob, plan.blobs, plan.estimate_s), (), Offset(None, 0))
            else:
                self._ledger.end(part, DeviceRunState.COMPLETE)

    def assign_again(self, part: Part, document: bytes, done: frozenset[str]) -> None:
        """Assign a recorded plan once more, but for the trials that are done."""
        name = part.device.name
        self._display.planned(name, len(planned_trials(document) - done), 0)
        shipment = Shipment(self._planner.keep(document), planned_blobs(document), remaining_s(document, done))
        self._assign(part, shipment, sorted(done), self._store.offset(self._run, name))

    def close(self) -> None:
        """Begin no further plan; one that is being made is left to itself."""
        self._preparations.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, device: Device, facts: Facts) -> tuple[DevicePlan, Blob]:
        plan = self._planner.plan(device, facts)
        return plan, self._planner.keep(plan.document)

    def _refuse(self, part: Part, error: StoreError) -> None:
        if isinstance(error, LeaseLost):
            self._ledger.give_up(part, error)
        else:
            self._ledger.fail(part, error)

    def _assign(self, part: Part, shipment: Shipment, skip: Sequence[str], offset: Offset) -> None:
        name = part.device.name
        assignment = Assignment(
            self._run,
            shipment.plan.sha256,
            (shipment.plan, *shipment.blobs),
            tuple(skip),
            offset.log_id,
            offset.last_seq,
            detach=self._detach,
            lease=self._leases.for_start(name, shipment.estimate_s),
            waits=self._waits,
        )
        self._executor.post(name, assignment)


def _recordable(part: Part, plan: DevicePlan) -> PreparedPlan:
    assert part.snapshot is not None
    return PreparedPlan(plan, part.snapshot, part.worker_sha256)
