"""Open the reader of each kind of meter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orchestrator.domain.meter import Meter, MeterKind
from orchestrator.meters.base import MeterReader, OpenMeter
from orchestrator.meters.command import CommandMeter
from orchestrator.meters.web_plugs import ShellyPlug, TasmotaPlug


@contextmanager
def _shelly(meter: Meter) -> Iterator[MeterReader]:
    yield ShellyPlug(meter)


@contextmanager
def _tasmota(meter: Meter) -> Iterator[MeterReader]:
    yield TasmotaPlug(meter)


@contextmanager
def _snmp(meter: Meter) -> Iterator[MeterReader]:
    from orchestrator.meters.snmp import SnmpOutlet

    with SnmpOutlet(meter) as outlet:
        yield outlet


@contextmanager
def _command(meter: Meter) -> Iterator[MeterReader]:
    with CommandMeter(meter) as command:
        yield command


OPENERS: Mapping[MeterKind, OpenMeter] = {
    MeterKind.SHELLY: _shelly,
    MeterKind.TASMOTA: _tasmota,
    MeterKind.SNMP: _snmp,
    MeterKind.COMMAND: _command,
}
"""The readers by kind. A `csv` meter has none: its recording is joined later."""
