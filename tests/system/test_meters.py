"""Every meter by a real server, or a real process, that speaks as the meter does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.domain.errors import ConfigError, MeterFailed
from orchestrator.domain.meter import Meter, MeterKind
from orchestrator.meters.table import OPENERS
from tests.servers.meters import OUTLET, http_plug, shelly, snmp_agent, tasmota

pytestmark = pytest.mark.system


def read_watts(meter: Meter) -> float:
    before = time.time_ns()
    with OPENERS[meter.kind](meter) as reader:
        (reading,) = reader.read()
    assert before <= reading.unix_ns <= time.time_ns()
    return reading.watts


@pytest.mark.parametrize("component", ["Switch", "PM1"])
@pytest.mark.parametrize("channel", [0, 2])
def test_a_shelly_is_read_by_its_rpc(component: str, channel: int) -> None:
    with http_plug(shelly(lambda: 8.9, component, channel)) as address:
        assert read_watts(Meter(MeterKind.SHELLY, address, channel=channel)) == 8.9
        with pytest.raises(MeterFailed, match="no Switch and no PM1 1"):
            read_watts(Meter(MeterKind.SHELLY, address, channel=1))


@pytest.mark.parametrize(("power", "channel", "watts"), [(12, 0, 12.0), (12.34, 0, 12.34), ([7, 9], 1, 9.0)])
def test_a_tasmota_plug_is_read_by_its_status(power: object, channel: int, watts: float) -> None:
    with http_plug(tasmota(lambda: power)) as address:
        assert read_watts(Meter(MeterKind.TASMOTA, address, channel=channel)) == watts


@pytest.mark.parametrize("power", [None, "12", True, -1, [7]])
def test_a_plug_that_tells_no_power_is_not_believed(power: object) -> None:
    with http_plug(tasmota(lambda: power)) as address, pytest.raises(MeterFailed, match="is no power of channel 1"):
        read_watts(Meter(MeterKind.TASMOTA, address, channel=1))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _path: (503, b"busy"), "HTTP status 503"),
        (lambda _path: (200, b"<html>"), "no JSON object"),
        (lambda _path: (200, b"[]"), "no JSON object"),
        (lambda _path: (200, b"[" * 60_000), "no JSON object"),
        (lambda _path: (200, b" " * 70_000), "at most 65536 bytes"),
    ],
)
@pytest.mark.parametrize("kind", [MeterKind.SHELLY, MeterKind.TASMOTA])
def test_a_plug_that_answers_something_else_says_why(
    kind: MeterKind, answer: Callable[[str], tuple[int, bytes]], reason: str
) -> None:
    with http_plug(answer) as address, pytest.raises(MeterFailed, match=reason):
        read_watts(Meter(kind, address))


def test_a_plug_that_is_not_there_says_why() -> None:
    with http_plug(shelly(lambda: 1.0)) as address:
        pass
    with pytest.raises(MeterFailed, match=r"shelly 127.0.0.1:\d+: .*refused"):
        read_watts(Meter(MeterKind.SHELLY, address))


def snmp_meter(place: str) -> Meter:
    oid = ".".join(map(str, OUTLET))
    return Meter(MeterKind.SNMP, place, oid=oid, watts_per_unit=0.1, community_variable="PDU_COMMUNITY")


def test_an_outlet_of_a_pdu_is_read_by_snmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDU_COMMUNITY", "lab")
    with snmp_agent(lambda: 123) as place:
        meter = snmp_meter(place)
        assert read_watts(meter) == pytest.approx(12.3)
        with pytest.raises(MeterFailed, match=r"holds no number|No Such"):
            read_watts(replace(meter, oid="1.3.6.1.4.1.318.9.9.0"))


def test_a_pdu_needs_the_community_that_the_inventory_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDU_COMMUNITY", raising=False)
    with pytest.raises(ConfigError, match="the environment has no PDU_COMMUNITY"):
        read_watts(snmp_meter("127.0.0.1:1"))


PRINTING = "import time; print('{} 4.25'.format(time.time()), flush=True); time.sleep(60)"


def test_a_command_is_read_line_by_line_and_ended_with_its_session() -> None:
    meter = Meter(MeterKind.COMMAND, "python", command=(sys.executable, "-c", PRINTING))
    with OPENERS[meter.kind](meter) as reader:
        readings = list(reader.read())
        deadline = time.monotonic() + 20
        while not readings and time.monotonic() < deadline:
            readings += reader.read()
        assert [reading.watts for reading in readings] == [4.25]
        assert abs(readings[0].unix_ns - time.time_ns()) < 60e9
    assert reader._process.poll() is not None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((sys.executable, "-c", "print('12.5 W')"), "a line that is not `unix_time watts`"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "the command has ended"),
        (("/no/such/meter",), "No such file"),
    ],
)
def test_a_command_that_is_no_meter_says_why(words: tuple[str, ...], reason: str) -> None:
    meter = Meter(MeterKind.COMMAND, "meter", command=words)

    def read_on() -> None:
        with OPENERS[meter.kind](meter) as reader:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                reader.read()

    with pytest.raises(MeterFailed, match=reason):
        read_on()
