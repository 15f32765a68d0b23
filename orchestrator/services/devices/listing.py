"""List the devices of the inventory, each with facts and holders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.domain.device import Device
from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Holding
from orchestrator.domain.recovery import Quarantine
from orchestrator.services.devices.collect import Told, collect_ended

if TYPE_CHECKING:
    from orchestrator.services.base import RunWiring


@dataclass(frozen=True, slots=True)
class Listing:
    """Hold devices in the inventory's order. The maps are by device name, and need not name every device."""

    devices: Sequence[Device]
    facts: Mapping[str, tuple[Facts, datetime]] = field(default_factory=dict)
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    quarantines: Mapping[str, Quarantine] = field(default_factory=dict)


def list_devices(select: str, wiring: RunWiring, told: Told) -> Listing:
    """Return the selected devices, once runs that have ended there are collected. A missing database is not made."""
    devices = wiring.inventory().select(select)
    store = wiring.store_if_there()
    if store is None:  # a list of the inventory must not leave a database behind in a folder without a lab
        return Listing(devices)
    with suppress(StoreError):  # one who may only read sees the device held; a database that is gone fails below
        collect_ended(devices, wiring, told)
    names = [device.name for device in devices]
    return Listing(
        devices, store.devices.latest_facts(names), store.leases.holdings(names), store.recovery.quarantines(names)
    )
