"""Pick up an existing run: follow, resume or cancel the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, ExitCode
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.plan.document import planned_trials
from orchestrator.domain.run import DeviceRun, DeviceRunState, RunRecord, TrialState
from orchestrator.domain.run_details import RunDetails
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.services.devices.reserve import require_reservation
from orchestrator.services.runs.extend import MoreTrials, extend_run
from orchestrator.services.runs.metering import metering
from orchestrator.services.runs.show import details_of, require_run

if TYPE_CHECKING:
    from orchestrator.services.base import RunWiring, Shows

NOTHING_TO_FOLLOW = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED, DeviceRunState.FAILED)
NOTHING_TO_CANCEL = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class PickUpRequest:
    """Ask for an existing run to be picked up. `run` is an id, a unique beginning, or "last".

    `retry_failed`: run failed and invalid trials again. `waits` and `reservation` mean the same as in `StartRequest`.
    `more`: extend the run by further trials first. Only a resume looks at the last four.
    """

    run: str
    select: str = "all"
    retry_failed: bool = False
    waits: bool = False
    reservation: int | None = None
    more: MoreTrials | None = None


def follow(request: PickUpRequest, wiring: RunWiring, shows: Shows) -> RunDetails:
    """Collect the results of a run's devices until every device is done. Start no runner.

    Raise ConfigError for an unknown run, a selector without a device of the run, or a device outside of the inventory.
    """
    return _open(request, Intent.FOLLOW, wiring, shows)


def resume(request: PickUpRequest, wiring: RunWiring, shows: Shows) -> RunDetails:
    """Complete a run after any kind of stop, with further trials if the request asks for more. Each trial counts once.

    Raise the errors of `follow` and of `extend_run`, and ConfigError for a reservation of no device of the run.
    """
    return _open(request, Intent.RESUME, wiring, shows)


def cancel(request: PickUpRequest, wiring: RunWiring, shows: Shows) -> RunDetails:
    """End a run on its devices, and keep finished trials. Raise the errors of `follow`."""
    return _open(request, Intent.CANCEL, wiring, shows)


def cancel_exit_code(details: RunDetails) -> ExitCode:
    """Return the exit code of a cancel: fine once every device is cancelled or complete."""
    states = {device.state for device in details.record.devices}
    if not details.taken_over and states <= {DeviceRunState.CANCELLED, DeviceRunState.COMPLETE}:
        return ExitCode.FINE
    return details.exit_code


def _open(request: PickUpRequest, intent: Intent, wiring: RunWiring, shows: Shows) -> RunDetails:
    known = wiring.inventory()
    record = require_run(wiring.store.runs, request.run)
    identity = wiring.identity(waits=request.waits, reservation=request.reservation)
    with shows(record.header.run) as display:
        planner = wiring.planner_of(record.header)
        tools = DriverTools(wiring.store, wiring.executor(), display, planner, identity)
        if request.more is not None:
            extend_run(record, request.more, _selected(record, known, request.select), wiring.store, display)
            # Read again: by its new planned trials a complete device has work left.
            record = require_run(wiring.store.runs, record.header.run)
        run, names = record.header.run, {entry.device for entry in record.devices}
        devices = [device for name, device in known.devices.items() if name in names]
        with metering(run, [] if intent is Intent.CANCEL else devices, wiring, display.warned):
            details = pick_up(record, intent, known, tools, select=request.select, retry_failed=request.retry_failed)
        return details_of(wiring.store, run, details.taken_over) if any(one.meter for one in devices) else details


def pick_up(
    record: RunRecord,
    intent: Intent,
    inventory: Inventory,
    tools: DriverTools,
    *,
    select: str = "all",
    retry_failed: bool = False,
) -> RunDetails:
    """Carry out the intent on every selected device of the run, and return the run in full.

    A run without a concerned device is left as found. With "all" a device outside of the inventory is an error. Any
    other selector leaves such a device for later.
    """
    run = record.header.run
    require_reservation(tools.identity, [entry.device for entry in record.devices], tools.store.leases)
    concerned = _concerned(record, intent, tools, retry_failed)
    # A complete device is only to be tidied up: the run must not fail because such a device has left the inventory.
    if not retry_failed:
        known, complete = inventory.devices, DeviceRunState.COMPLETE
        concerned = [entry for entry in concerned if entry.state is not complete or entry.device in known]
    if select != "all":
        picked = _selected(record, inventory, select)
        concerned = [entry for entry in concerned if entry.device in picked]
    if intent is Intent.FOLLOW:
        concerned = _begun(run, concerned, tools)
    devices = _in_inventory(concerned, inventory)
    taken_over: frozenset[str] = frozenset()
    if devices:
        if intent is not Intent.CANCEL:
            _announce(run, devices, tools, retry_failed=retry_failed)
        taken_over = Driver(run, intent, tools, retry_failed=retry_failed).drive(devices)
    return details_of(tools.store, run, taken_over)


def _selected(record: RunRecord, inventory: Inventory, select: str) -> frozenset[str]:
    """Return the selected devices of a run. Raise ConfigError for a selector without a device of the run."""
    names = frozenset(entry.device for entry in record.devices)
    if select == "all":
        return names
    picked = names & {device.name for device in inventory.select(select)}
    if not picked:
        words = f"--select {select!r} picks no device of the run"
        raise ConfigError(words, f"benchfleet runs show {record.header.run} lists them")
    return picked


def _announce(run: str, devices: Sequence[Device], tools: DriverTools, *, retry_failed: bool) -> None:
    """Tell the display the number of trials still to come on each device."""
    for device in devices:
        document = tools.store.plans.plan_document(run, device.name)
        if document is not None:
            missing = planned_trials(document).difference(
                tools.store.progress.done_trials(run, device.name, retry_failed)
            )
            if missing:
                tools.display.planned(device.name, len(missing), 0)


def _concerned(record: RunRecord, intent: Intent, tools: DriverTools, retry_failed: bool) -> list[DeviceRun]:
    """Return the devices of a run with work left for the intent."""
    if intent is Intent.FOLLOW:
        return [
            entry for entry in record.devices if entry.state not in NOTHING_TO_FOLLOW and entry.plan_sha256 is not None
        ]
    run = record.header.run
    done = NOTHING_TO_CANCEL if intent is Intent.CANCEL else (DeviceRunState.COMPLETE,)
    # A controller that died before it gave a device back may have left the log there, and its lease in the way.
    wanted = set(tools.store.leases.unreleased(run))
    if intent is Intent.RESUME:
        # Trials added while another controller brought the plan before to its end: nothing else leaves any planned.
        wanted.update(entry.device for entry in record.devices if entry.trials.get(TrialState.PLANNED))
    if retry_failed:
        wanted.update(trial.device for trial in tools.store.progress.missing_trials(run))
    return [entry for entry in record.devices if entry.device in wanted or entry.state not in done]


def _begun(run: str, concerned: Sequence[DeviceRun], tools: DriverTools) -> list[DeviceRun]:
    """Leave out planned devices held by a live controller of the same run."""
    # To follow such a device would take its lease, and cut off the upload of its plan.
    planned = [entry.device for entry in concerned if entry.state is DeviceRunState.PLANNED]
    holdings = tools.store.leases.holdings(planned) if planned else {}
    at_it = {name: lease for name, holding in holdings.items() for lease in holding.held if lease.run == run}
    for name, lease in at_it.items():
        message = f"{name}: it has not begun; {lease.holder} ({lease.controller}) is setting it to work"
        hint = f"follow it once it has begun; if that controller hangs: benchfleet runs resume {run}"
        tools.display.device_ended(name, DeviceRunState.PLANNED, message, hint)
    return [entry for entry in concerned if entry.device not in at_it]


def _in_inventory(concerned: Sequence[DeviceRun], inventory: Inventory) -> list[Device]:
    unknown = [entry.device for entry in concerned if entry.device not in inventory.devices]
    if unknown:
        raise ConfigError(
            f"the inventory has no device {', '.join(unknown)}, which the run needs",
            "give the inventory that the run was started with: --inventory PATH",
        )
    return [inventory.devices[entry.device] for entry in concerned]
