"""Pick up a run that exists: follow it, resume it, or cancel it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.plan_document import planned_trials
from orchestrator.domain.run import DeviceRun, DeviceRunState, RunRecord
from orchestrator.services.drive import Driver, DriverParts, Intent
from orchestrator.services.reserve import require_reservation
from orchestrator.services.run import RunOutcome, outcome_of

NOTHING_TO_FOLLOW = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED, DeviceRunState.FAILED)
NOTHING_TO_CANCEL = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED)


def pick_up(
    record: RunRecord,
    intent: Intent,
    inventory: Inventory,
    parts: DriverParts,
    *,
    select: str = "all",
    retry_failed: bool = False,
) -> RunOutcome:
    """Do with every selected device that the intent concerns what it says; a run that needs nothing is left as it is.

    With "all" a device of the run that the inventory lacks is an error; any other selector leaves it for later.
    """
    run = record.header.run
    require_reservation(parts.tenant, [part.device for part in record.devices], parts.store)
    concerned = [part for part in record.devices if _concerns(part, intent, record, parts, retry_failed)]
    if not retry_failed:  # a complete device is only to be tidied up, if it is still there
        known, complete = inventory.devices, DeviceRunState.COMPLETE
        concerned = [part for part in concerned if part.state is not complete or part.device in known]
    if select != "all":
        picked = {device.name for device in inventory.select(select)}
        if picked.isdisjoint(part.device for part in record.devices):
            words = f"--select {select!r} picks no device of the run"
            raise ConfigError(words, f"benchfleet runs show {run} lists them")
        concerned = [part for part in concerned if part.device in picked]
    if intent is Intent.FOLLOW:
        concerned = _begun(run, concerned, parts)
    devices = _in_inventory(concerned, inventory)
    taken_over: frozenset[str] = frozenset()
    if devices:
        if intent is not Intent.CANCEL:
            _announce(run, devices, parts, retry_failed=retry_failed)
        taken_over = Driver(run, intent, parts, retry_failed=retry_failed).drive(devices)
    return outcome_of(parts.store, run, taken_over)


def _announce(run: str, devices: Sequence[Device], parts: DriverParts, *, retry_failed: bool) -> None:
    """Tell the display what of each device's plan is still to come."""
    for device in devices:
        document = parts.store.plan_document(run, device.name)
        if document is not None:
            missing = planned_trials(document).difference(parts.store.done_trials(run, device.name, retry_failed))
            if missing:
                parts.display.planned(device.name, len(missing), 0)


def _concerns(part: DeviceRun, intent: Intent, record: RunRecord, parts: DriverParts, retry_failed: bool) -> bool:
    if intent is Intent.FOLLOW:
        return part.state not in NOTHING_TO_FOLLOW and part.plan_sha256 is not None
    if intent is Intent.CANCEL:
        return part.state not in NOTHING_TO_CANCEL
    if part.state is not DeviceRunState.COMPLETE or part.device in parts.store.unreleased(record.header.run):
        return True  # a controller that died before it gave a device back may have left the log there
    missing = parts.store.missing_trials(record.header.run)
    return retry_failed and any(trial.device == part.device for trial in missing)


def _begun(run: str, concerned: Sequence[DeviceRun], parts: DriverParts) -> list[DeviceRun]:
    """Leave out what a live controller is just setting to work: to follow it would cut off the upload of its plan."""
    planned = [part.device for part in concerned if part.state is DeviceRunState.PLANNED]
    holdings = parts.store.holdings(planned) if planned else {}
    at_it = {name: lease for name, holding in holdings.items() for lease in holding.held if lease.run == run}
    for name, lease in at_it.items():
        message = f"{name}: it has not begun; {lease.holder} ({lease.controller}) is setting it to work"
        hint = f"follow it once it has begun; if that controller hangs: benchfleet runs resume {run}"
        parts.display.device_ended(name, DeviceRunState.PLANNED, message, hint)
    return [part for part in concerned if part.device not in at_it]


def _in_inventory(concerned: Sequence[DeviceRun], inventory: Inventory) -> list[Device]:
    unknown = [part.device for part in concerned if part.device not in inventory.devices]
    if unknown:
        raise ConfigError(
            f"the inventory has no device {', '.join(unknown)}, which the run needs",
            "give the inventory that the run was started with: --inventory PATH",
        )
    return [inventory.devices[part.device] for part in concerned]
