"""Choose the devices of a sweep that asks for them by need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.lease import Holding
from orchestrator.domain.need import Candidate, Need, choose, group_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from orchestrator.domain.device import Device
    from orchestrator.domain.inventory import Inventory
    from orchestrator.services.base import FleetWiring

ALL = "all"
"""What `--select` has unless somebody names devices: names come before a need."""


def needed_devices(need: Need | None, select: str, wiring: FleetWiring) -> Sequence[Device]:
    """Return the devices of a run: those that `--select` names, or else those that the sweep's need chooses now.

    Raise ConfigError where the inventory has too few devices. A chosen device that is in use is so for the driver too.
    """
    inventory = wiring.inventory()
    if need is None or select != ALL:
        return inventory.select(select)
    names = [device.name for device in inventory.select(need.select)]
    store = wiring.store
    unfit = store.recovery.quarantines(names)
    holdings, used = store.leases.holdings(names), store.submissions.last_used(names)
    found = candidates(need, inventory, holdings, unfit=unfit, used=used, holder=wiring.identity().holder)
    chosen = choose(need, found)
    if not chosen:
        kept = f", {len(unfit)} in quarantine" if unfit else ""
        raise ConfigError(
            f"the sweep needs {need.count} devices of {need.select!r}, and the inventory has {len(names)}{kept}",
            "change count: in the sweep, or name devices by --select",
        )
    return [inventory.devices[name] for name in chosen]


def candidates(
    need: Need,
    inventory: Inventory,
    holdings: Mapping[str, Holding],
    *,
    unfit: Collection[str],
    used: Mapping[str, datetime],
    holder: str,
) -> Sequence[Candidate]:
    """Return the devices that would do, none for a selector without any. A reservation of `holder` leaves one free."""
    try:
        devices = inventory.select(need.select)
    except ConfigError:
        return []
    found = []
    for device in devices:
        if device.name in unfit:
            continue
        held = holdings[device.name].held if device.name in holdings else ()
        until = [lease.expires_at for lease in held if not (lease.is_reservation and lease.holder == holder)]
        found.append(Candidate(device.name, group_of(device, need), max(until, default=None), used.get(device.name)))
    return found
