"""What an inventory may call a power source is what the worker can open."""

from __future__ import annotations

import pytest

from device_worker.sensing.power import SOURCES
from orchestrator.domain.meter import DEVICE_SOURCES, Meter, MeterKind


def test_the_inventory_knows_the_workers_power_sources() -> None:
    assert tuple(name for name, _opener in SOURCES) == DEVICE_SOURCES


@pytest.mark.parametrize(
    ("meter", "name"),
    [
        (Meter(MeterKind.SHELLY, "http://plug-3.lab/"), "shelly plug-3.lab"),
        (Meter(MeterKind.TASMOTA, "http://10.0.0.3:80", channel=1), "tasmota 10.0.0.3:80 channel 1"),
        (Meter(MeterKind.CSV, "recording"), "csv recording"),
    ],
)
def test_a_meter_is_named_by_its_kind_and_place(meter: Meter, name: str) -> None:
    assert meter.name == name
