"""Store made-up runs through the roles of the database, as a controller stores measured runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Granted, LeaseRequest
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.values import DevicePlan, PlanInputs, PreparedPlan, RuntimeOffer
from orchestrator.domain.run import DeviceRunState, RunHeader
from orchestrator.services.demo.lab import (
    PREFIX,
    DemoCell,
    DemoDevice,
    DemoModel,
    artifact_bytes,
    artifact_path,
    declared_model,
    made_up_sha256,
)
from orchestrator.services.demo.logs import Measured, NoiseBank, RunnerLog
from orchestrator.services.demo.story import Story
from orchestrator.store.base import Roles

NOTE = "made up by benchfleet db demo: nothing was measured"
_LEASE_S = 7200.0
_WORKER_SHA256 = made_up_sha256("worker")
_BUNDLE_BYTES = 48_000_000


@dataclass(slots=True)
class ToldClock:
    """Tell the database the time: a year passes within minutes."""

    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        """Return the told time."""
        return self.moment


@dataclass(frozen=True, slots=True)
class Asked:
    """Ask for a run of some cells of a model on some devices. Empty `only` stands for all cells."""

    night: int
    model: DemoModel
    devices: Sequence[DemoDevice]
    holder: str
    only: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class StoredRun:
    """Hold a stored run: the plan and the records of each device."""

    run: str
    sweep: str
    model: DemoModel
    measured: Mapping[str, tuple[DevicePlan, Measured]]
    cells: Mapping[str, DemoCell]

    @property
    def device_time_s(self) -> float:
        """Return the device time of the run in seconds, over all devices."""
        return sum(measured.duration_ns for _plan, measured in self.measured.values()) / 1e9


class RunMaker:
    """Store runs in turn. `clock` is the database's, and is moved on by each run."""

    def __init__(self, story: Story, store: Roles, clock: ToldClock) -> None:
        self._story, self._store, self.clock = story, store, clock
        self._bank = NoiseBank(story.dice("noise"))
        self._plans: dict[Any, DevicePlan] = {}
        self._cells: dict[str, DemoCell] = {}
        self.runs = 0
        self.attempts = 0

    def make(self, asked: Asked) -> StoredRun:
        """Store a run, and move the clock to the run's end."""
        story, began = self._story, self.clock.moment
        # Without the random end of a real run's name: equal seeds give equal databases.
        run = f"{began:%Y%m%d-%H%M%S}-demo"
        sweep = story.lab.sweep(asked.model, story.seed, asked.only)
        builds = story.builds(asked.model, asked.night)
        model = declared_model(asked.model, builds)
        declared = [device.declared for device in asked.devices]
        self._store.runs.create_run(_header(run, sweep.name, asked, began, story.seed), model, declared)
        present = [device for device in asked.devices if not story.is_absent(device, asked.night)]
        # As a controller does: the database refuses records of a device without the run's lease.
        leases = self._lease(run, present, asked.holder)
        plans = {
            device.name: self._plan(asked, device, model, sweep, tuple(sorted(builds.items()))) for device in present
        }
        self._save(run, asked, present, plans)
        measured = {device.name: self._measure(run, asked, device, plans[device.name]) for device in present}
        self._store.logs.ingest([one.arrived for one in measured.values()])
        # Seconds later at least: two runs of one second would have one name.
        ends = max((one.ends_unix_ns for one in measured.values()), default=0)
        self.clock.moment = max(began + timedelta(seconds=30), datetime.fromtimestamp(ends // 1_000_000_000 + 5, UTC))
        self._store.leases.end_leases(leases)
        self._fail_absent(run, asked)
        self.runs += 1
        self.attempts += sum(one.arrived.lines.count(b'"kind":"trial-finished"') for one in measured.values())
        pairs = {name: (plans[name], one) for name, one in measured.items()}
        return StoredRun(run, sweep.name, asked.model, pairs, self._cells)

    def _lease(self, run: str, devices: Sequence[DemoDevice], holder: str) -> list[int]:
        request = LeaseRequest(holder, "benchfleet db demo", run, None, _LEASE_S)
        answers = self._store.leases.request_leases([device.declared for device in devices], request)
        return [answer.lease.id for answer in answers.values() if isinstance(answer, Granted)]

    def _save(self, run: str, asked: Asked, present: Sequence[DemoDevice], plans: Mapping[str, DevicePlan]) -> None:
        facts = [(device.declared, Facts(self._story.facts(device, asked.night))) for device in present]
        snapshots = self._store.devices.save_snapshots(facts, self.clock.moment)
        prepared = []
        for name, snapshot in snapshots.items():
            if isinstance(snapshot, StoreError):
                raise snapshot
            prepared.append(PreparedPlan(plans[name], snapshot, _WORKER_SHA256))
        for refused in self._store.plans.save_plans(run, prepared).values():
            raise refused

    def _plan(self, asked: Asked, device: DemoDevice, model: Any, sweep: Any, builds: tuple[Any, ...]) -> DevicePlan:
        """Return the real planner's plan. A plan contains no time, so most nights ship an equal plan."""
        # Without the night's facts: a plan depends on processors and system runtimes, which no update changes.
        key = (asked.model.name, device.name, builds, str(asked.only))
        if key not in self._plans:
            cells = self._story.lab.models[asked.model]
            files = {
                artifact_path(asked.model, variant): Blob(
                    model.variants[variant].artifacts[0].sha256,
                    artifact_bytes(asked.model, variant),
                    BlobKind.MODEL,
                    f"{asked.model.name}-{variant}.tflite",
                )
                for variant in sweep.variants
            }
            offers = [
                RuntimeOffer(one, Blob(made_up_sha256(one.label), _BUNDLE_BYTES, BlobKind.BUNDLE, one.label))
                for one in sweep.runtimes
            ]
            facts = Facts(self._story.facts(device, asked.night))
            plan = plan_device(PlanInputs(sweep, model, device.declared, facts, offers, files))
            by_place = {(cell.variant, cell.runtime.label, cell.threads): cell for cell in cells}
            for job in plan.jobs:
                self._cells[f"{asked.model.name} {job.key}"] = by_place[
                    job.variant, job.runtime.label, int(job.settings["threads"])
                ]
            self._plans[key] = plan
        return self._plans[key]

    def _measure(self, run: str, asked: Asked, device: DemoDevice, plan: DevicePlan) -> Measured:
        cells = {job.key: self._cells[f"{asked.model.name} {job.key}"] for job in plan.jobs}
        log = RunnerLog(run, plan, device, self.clock.moment, asked.night)
        return log.write(self._story, cells, _WORKER_SHA256, self._bank)

    def _fail_absent(self, run: str, asked: Asked) -> None:
        for device in asked.devices:
            if self._story.is_absent(device, asked.night):
                reason = f"in quarantine: {self._story.fates[device.name].quarantine}"
                hint = f"benchfleet devices readmit {device.name}"
                self._store.runs.set_device_state(run, device.name, DeviceRunState.FAILED, reason, hint)


def _header(run: str, sweep: str, asked: Asked, began: datetime, seed: int) -> RunHeader:
    return RunHeader(
        run=run,
        sweep=sweep,
        sweep_document=f"# {NOTE}\nsweep: {sweep}\nmodel: {asked.model.name}\n",
        sweep_source=f"{PREFIX}sweeps/{asked.model.name}.yaml",
        model=asked.model.name,
        model_directory=f"/{PREFIX}models/{asked.model.name}",
        seed=seed,
        started_at=began,
        controller="benchfleet db demo",
        settings={"note": NOTE},
    )
