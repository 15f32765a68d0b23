"""Plan a sweep for each device, without running the sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ExitCode, NoSuchRelease, OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.increment import Increment
from orchestrator.domain.machines import names_in_turn
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.domain.recovery import Quarantine
from orchestrator.execution.base import Executor
from orchestrator.services.devices.needed import needed_devices
from orchestrator.services.devices.probe import probe_devices
from orchestrator.store.base import DeviceRecords

if TYPE_CHECKING:
    from orchestrator.services.base import RunWiring


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Ask for the plans of a sweep on selected devices. `probe_all` probes devices with known facts too.

    `overrides` are settings `KEY=VALUE` laid over the sweep file. `increment`: without the cells that have a result.
    """

    sweep: Path
    select: str = "all"
    probe_all: bool = False
    overrides: tuple[str, ...] = ()
    increment: Increment | None = None


class DevicePlanner(Protocol):
    """Make device plans."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return a device's plan."""


@dataclass(frozen=True, slots=True)
class Planning:
    """Hold the plans by device, and the errors of devices without a plan.

    `machines`: the names of each machine with several names, measured in turn.
    """

    plans: tuple[DevicePlan, ...]
    failures: Mapping[str, OrchestratorError]
    machines: tuple[tuple[str, ...], ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 for every device planned for, 3 for some, 4 for none, and 2 for plans without any trial.

        A sweep whose cells are all measured already is as it should be: 0.
        """
        if not self.failures:
            return ExitCode.FINE if any(plan.trials or plan.counted for plan in self.plans) else ExitCode.USAGE
        return ExitCode.INCOMPLETE if self.plans else ExitCode.INFRASTRUCTURE

    @property
    def is_counted(self) -> bool:
        """Return True if nothing is left to run because every cell that can run has a counted result."""
        return bool(self.plans) and not any(plan.trials for plan in self.plans) and self.exit_code is ExitCode.FINE


@dataclass(frozen=True, slots=True)
class Planned:
    """Hold the plans of a sweep. `quarantines` names the devices to be left out of a run, with the reasons.

    `sent` are the hashes of the blobs that earlier runs have sent, by device.
    """

    sweep: str
    seed: int
    planning: Planning
    quarantines: Mapping[str, Quarantine]
    sent: Mapping[str, frozenset[str]]


def plan(request: PlanRequest, wiring: RunWiring, on_progress: Callable[[str], None] | None = None) -> Planned:
    """Plan a sweep for each selected device. Devices without facts are probed first.

    `on_progress` is called with a line for each runtime to be resolved or packed. Raise ConfigError for a bad sweep or
    inventory. A device without a plan is a failure in the result.
    """
    wiring.inventory().select(request.select)
    file = wiring.sweep_file(request.sweep, request.overrides)
    devices = needed_devices(file.sweep.need, request.select, wiring)
    planner = wiring.planner(file, on_progress, request.increment)
    planning = plan_sweep(devices, planner, wiring.store.devices, wiring.executor, probe_all=request.probe_all)
    names = [device.name for device in devices]
    quarantines, sent = wiring.store.recovery.quarantines(names), wiring.store.plans.sent_blobs(names)
    return Planned(file.sweep.name, file.sweep.order.seed, planning, quarantines, sent)


def plan_sweep(
    devices: Sequence[Device],
    planner: DevicePlanner,
    records: DeviceRecords,
    executor: Callable[[], Executor],
    *,
    probe_all: bool = False,
) -> Planning:
    """Plan for each device from the facts on record. Devices without facts are probed first.

    Raise NoSuchRelease for an unknown release. Every other error is a failure of the device alone.
    """
    known = {} if probe_all else records.latest_facts([device.name for device in devices])
    facts: dict[str, Facts | OrchestratorError] = {name: snapshot for name, (snapshot, _) in known.items()}
    unknown = [device for device in devices if device.name not in facts]
    if unknown:
        facts.update(probe_devices(unknown, records, executor()))
    plans: list[DevicePlan] = []
    failures: dict[str, OrchestratorError] = {}
    for device in devices:
        answer = facts[device.name]
        if isinstance(answer, OrchestratorError):
            failures[device.name] = answer
            continue
        try:
            plans.append(planner.plan(device, answer))
        except NoSuchRelease:  # the sweep's own mistake, the same on every device
            raise
        except OrchestratorError as error:
            failures[device.name] = error
    found = {name: answer for name, answer in facts.items() if isinstance(answer, Facts)}
    return Planning(tuple(plans), failures, names_in_turn(devices, found))
