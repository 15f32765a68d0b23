"""The faults that sessions are tested with happen as planned, once each."""

import time
from collections.abc import Callable, Iterator

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import HostKeyUnknown, LinkLost, Unreachable
from orchestrator.testing.faulty_transport import Cut, Damage, Fault, FaultyConnector, Refusal, Silence
from orchestrator.transport.base import Stream, Transport
from orchestrator.transport.local import LocalConnector

HERE = Device("here", TransportKind.LOCAL)
TIMEOUT_S = 10.0

Connect = Callable[..., Transport]


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened: list[Transport] = []

    def connect(*faults: Fault) -> Transport:
        opened.append(FaultyConnector(LocalConnector(), {"here": faults}).connect(HERE))
        return opened[-1]

    yield connect
    for transport in opened:
        transport.close()


def read(stream: Stream, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += stream.read(size - len(received), TIMEOUT_S)
    return received


def test_refusals_come_in_turn_and_end() -> None:
    unknown = HostKeyUnknown("unknown on purpose")
    connector = FaultyConnector(LocalConnector(), {"here": [Refusal(), None, Refusal(unknown)]})

    with pytest.raises(Unreachable):
        connector.connect(HERE)
    connector.connect(HERE).close()
    with pytest.raises(HostKeyUnknown):
        connector.connect(HERE)
    connector.connect(HERE).close()


def test_other_devices_are_not_concerned() -> None:
    connector = FaultyConnector(LocalConnector(), {"there": [Refusal()]})

    connector.connect(HERE).close()


def test_a_cut_lets_so_much_through_and_no_more(connect: Connect) -> None:
    transport = connect(Cut(after_read_bytes=5))
    stream = transport.stream(["cat"])
    stream.write(b"0123456789")

    assert read(stream, 5) == b"01234"
    for attempt in (lambda: stream.read(1, TIMEOUT_S), lambda: stream.write(b"x"), lambda: transport.stream(["true"])):
        with pytest.raises(LinkLost, match="cut on purpose"):
            attempt()
    with pytest.raises(LinkLost, match="cut on purpose"):
        transport.run(["true"])


def test_a_cut_while_writing_delivers_the_first_part(connect: Connect) -> None:
    stream = connect(Cut(after_written_bytes=3)).stream(["cat"])

    with pytest.raises(LinkLost, match="cut on purpose"):
        stream.write(b"abcdef")


def test_damage_alters_one_byte_and_no_other(connect: Connect) -> None:
    stream = connect(Damage(after_written_bytes=5)).stream(["cat"])
    for part in (b"abcd", b"efgh", b"ijkl"):
        stream.write(part)

    assert read(stream, 12) == b"abcdeg" + b"ghijkl"


def test_silence_keeps_the_reader_waiting_for_its_time(connect: Connect) -> None:
    stream = connect(Silence(after_read_bytes=2)).stream(["cat"])
    stream.write(b"abcdef")
    assert read(stream, 2) == b"ab"
    began = time.monotonic()

    with pytest.raises(LinkLost, match="silent on purpose"):
        stream.read(1, 0.1)

    assert time.monotonic() - began >= 0.1
    stream.write(b"still taken")
