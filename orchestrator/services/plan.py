"""Say what a sweep would do on each device, without doing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ExitCode, NoSuchRelease, OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import DevicePlan
from orchestrator.execution.base import Executor
from orchestrator.services.probe import probe_devices
from orchestrator.store.base import DeviceRecords


class DevicePlanner(Protocol):
    """Makes device plans."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return a device's plan."""


@dataclass(frozen=True, slots=True)
class Planning:
    """The plans of those devices that could be planned for, and why the others could not."""

    plans: tuple[DevicePlan, ...]
    failures: Mapping[str, OrchestratorError]

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 for every device planned for, 3 for some, 4 for none."""
        if not self.failures:
            return ExitCode.FINE
        return ExitCode.INCOMPLETE if self.plans else ExitCode.INFRASTRUCTURE


def plan_sweep(
    devices: Sequence[Device],
    planner: DevicePlanner,
    store: DeviceRecords,
    executor: Callable[[], Executor],
    *,
    probe_all: bool = False,
) -> Planning:
    """Plan for each device from the facts on record; those without any are probed first.

    A release that does not exist is the sweep's mistake, not a device's failure: NoSuchRelease is passed on.
    """
    known = {} if probe_all else store.latest_facts([device.name for device in devices])
    facts: dict[str, Facts | OrchestratorError] = {name: snapshot for name, (snapshot, _) in known.items()}
    unknown = [device for device in devices if device.name not in facts]
    if unknown:
        facts.update(probe_devices(unknown, store, executor()))
    plans: list[DevicePlan] = []
    failures: dict[str, OrchestratorError] = {}
    for device in devices:
        answer = facts[device.name]
        if isinstance(answer, OrchestratorError):
            failures[device.name] = answer
            continue
        try:
            plans.append(planner.plan(device, answer))
        except NoSuchRelease:
            raise
        except OrchestratorError as error:
            failures[device.name] = error
    return Planning(tuple(plans), failures)
