"""What every transport keeps, and the fakes that stand for it."""

import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import LinkLost
from orchestrator.testing.faulty_transport import FaultyConnector
from orchestrator.transport.base import Connector, Stream, Transport
from orchestrator.transport.local import LocalConnector
from tests.servers.processes import wait_until
from tests.servers.raylets import Raylets
from tests.servers.sshd import SshServer

MIB = 1024 * 1024
TIMEOUT_S = 20.0
SHORT_S = 0.3
EVERY_BYTE = bytes(range(256)) * (MIB // 256)

HOSTILE = [
    "",
    " ",
    "two words",
    "it's",
    '"quoted"',
    "new\nline",
    "tab\there",
    "$(touch pwned)",
    "`touch pwned`",
    "${HOME}",
    "$HOME",
    "; touch pwned",
    "& touch pwned",
    "| touch pwned",
    "> pwned",
    "*",
    "?",
    "~",
    "~root",
    "!!",
    "#no comment",
    "a=b",
    "{a,b}",
    "[a-z]",
    "\\",
    "\\n",
    "-n",
    "--",
    "-",
    "naïve ☃ 模型",
    "'",
    "'\\''",
    "\r",
    "\x1b[31m",
]


@pytest.fixture(scope="module")
def raylets() -> Iterator[Raylets]:
    """Start a cluster with a node that is a device, and a head that is none."""
    os.environ["RAY_AUTH_MODE"] = "token"  # Ray reads it once in a process, and other modules of this folder want it
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    ray.shutdown()
    with Raylets(["host=node-1"], os.environ) as started:
        yield started
        ray.shutdown()


ON_RAY = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture(params=["local", "ssh", "faulty", pytest.param("ray", marks=ON_RAY)])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Connector, Device]:
    """A connector and a device that it reaches."""
    if request.param == "ray":
        from orchestrator.transport.ray import RayConnector

        cluster: Raylets = request.getfixturevalue("raylets")
        node = Device("node-1", TransportKind.RAY, node={"host": "node-1"})
        return RayConnector(cluster.address, end_timeout_s=SHORT_S), node
    if request.param != "ssh":
        local = LocalConnector(end_timeout_s=SHORT_S)
        return (FaultyConnector(local) if request.param == "faulty" else local), Device("here", TransportKind.LOCAL)
    server: SshServer = request.getfixturevalue("ssh_server")
    from orchestrator.transport.ssh import SshConnector

    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(server.known_hosts_line + "\n")
    no_config = tmp_path / "ssh_config"
    no_config.touch()
    ssh = SshConnector(known_hosts, no_config, end_timeout_s=SHORT_S)
    device = Device(
        "pi-01", TransportKind.SSH, server.host, server.port, server.user, identity_file=str(server.identity_file)
    )
    return ssh, device


@pytest.fixture
def transport(case: tuple[Connector, Device]) -> Iterator[Transport]:
    connector, device = case
    transport = connector.connect(device)
    yield transport
    transport.close()


def read_all(stream: Stream) -> bytes:
    received = bytearray()
    while data := stream.read(65536, TIMEOUT_S):
        received += data
    return bytes(received)


def read_exactly(stream: Stream, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = stream.read(size - len(received), TIMEOUT_S)
        assert data, f"the stream ended after {len(received)} of {size} bytes"
        received += data
    return bytes(received)


class TestConnector:
    def test_is_what_the_protocols_ask_for(self, case: tuple[Connector, Device], transport: Transport) -> None:
        assert isinstance(case[0], Connector)
        assert isinstance(transport, Transport)
        assert isinstance(transport.stream(["true"]), Stream)

    def test_works_after_a_journey_through_pickle(self, case: tuple[Connector, Device]) -> None:
        connector, device = pickle.loads(pickle.dumps(case))
        transport = connector.connect(device)
        try:
            assert transport.run(["echo", "hello"]).stdout == b"hello\n"
        finally:
            transport.close()


class TestRun:
    def test_returns_output_and_status(self, transport: Transport) -> None:
        done = transport.run(["sh", "-c", "echo out; echo err >&2; exit 7"])

        assert (done.exit_status, done.stdout, done.stderr) == (7, b"out\n", b"err\n")

    @pytest.mark.parametrize("status", [0, 1, 126, 255])
    def test_the_status_is_the_commands_own(self, transport: Transport, status: int) -> None:
        assert transport.run(["sh", "-c", f"exit {status}"]).exit_status == status

    def test_a_command_that_does_not_exist_ends_with_127(self, transport: Transport) -> None:
        done = transport.run(["benchfleet-no-such-program"])

        assert done.exit_status == 127
        assert b"benchfleet-no-such-program" in done.stderr

    def test_a_command_that_a_signal_ends_has_no_status_of_success(self, transport: Transport) -> None:
        assert transport.run(["sh", "-c", "kill -KILL $$"]).exit_status not in {0, 1}

    def test_gives_no_input(self, transport: Transport) -> None:
        assert transport.run(["cat"]).exit_status == 0

    def test_hostile_arguments_arrive_as_they_are(self, transport: Transport) -> None:
        program = "import json, sys; print(json.dumps(sys.argv[1:]))"

        done = transport.run([sys.executable, "-c", program, *HOSTILE])

        assert json.loads(done.stdout) == HOSTILE

    def test_a_program_with_a_hostile_name_is_found(self, transport: Transport, tmp_path: Path) -> None:
        program = tmp_path / "it's a $(touch pwned) `name`\n; 模型"
        program.write_text('#!/bin/sh\necho "found $1"\n')
        program.chmod(0o755)

        assert transport.run([str(program), "-n"]).stdout == b"found -n\n"
        assert not list(tmp_path.glob("pwned*"))

    def test_arguments_that_no_system_can_pass_are_refused(self, transport: Transport) -> None:
        for argv in ([], [""], ["echo", "a\0b"]):
            with pytest.raises(ValueError, match="command"):
                transport.run(argv)

    def test_a_command_that_takes_too_long_counts_as_lost(self, transport: Transport) -> None:
        with pytest.raises(LinkLost, match=r"did not end within 0\.3 s"):
            transport.run(["sleep", "60"], timeout_s=SHORT_S)

    def test_so_does_one_that_prints_without_end(self, transport: Transport) -> None:
        with pytest.raises(LinkLost, match=r"did not end within 0\.3 s"):
            transport.run(["cat", "/dev/zero"], timeout_s=SHORT_S)

    def test_output_is_bounded(self, transport: Transport) -> None:
        done = transport.run(["head", "-c", str(3 * MIB), "/dev/zero"])

        assert done.exit_status == 0
        assert len(done.stdout) == MIB


class TestStream:
    def test_carries_any_byte_both_ways_at_once(self, transport: Transport) -> None:
        stream = transport.stream(["cat"])
        writer = threading.Thread(target=stream.write, args=(EVERY_BYTE,))
        writer.start()
        try:
            received = read_exactly(stream, len(EVERY_BYTE))
        finally:
            writer.join(TIMEOUT_S)

        assert received == EVERY_BYTE
        assert stream.end().exit_status == 0

    def test_two_at_once_are_apart(self, transport: Transport) -> None:
        first, second = transport.stream(["cat"]), transport.stream(["cat"])
        first.write(b"first")
        second.write(b"second")

        assert read_exactly(second, 6) == b"second"
        assert read_exactly(first, 5) == b"first"

    def test_read_returns_what_is_there_and_no_more_than_asked(self, transport: Transport) -> None:
        stream = transport.stream(["cat"])
        stream.write(b"abcdef")

        assert read_exactly(stream, 1) == b"a"
        assert read_exactly(stream, 3) == b"bcd"
        assert read_exactly(stream, 2) == b"ef"

    def test_output_of_a_command_that_has_ended_is_still_read(self, transport: Transport) -> None:
        stream = transport.stream(["sh", "-c", "echo last words; exit 3"])

        assert read_all(stream) == b"last words\n"
        assert stream.read(1, TIMEOUT_S) == b""
        assert stream.end().exit_status == 3

    def test_reading_nothing_in_time_is_a_lost_link(self, transport: Transport) -> None:
        stream = transport.stream(["cat"])
        began = time.monotonic()

        with pytest.raises(LinkLost, match=r"nothing came for 0\.3 s"):
            stream.read(1, SHORT_S)

        assert SHORT_S <= time.monotonic() - began < TIMEOUT_S
        stream.write(b"late")
        assert read_exactly(stream, 4) == b"late"

    def test_stderr_without_end_does_not_hold_up_a_silent_reader(self, transport: Transport) -> None:
        noise = "head -c 8000000 /dev/zero | tr '\\0' n >&2; echo the end >&2; echo done"
        stream = transport.stream(["sh", "-c", noise])

        assert read_all(stream) == b"done\n"
        done = stream.end()
        assert len(done.stderr) == 4096
        assert done.stderr.endswith(b"nnn" + b"the end\n")

    def test_nor_a_writer_whose_command_reads_only_afterwards(self, transport: Transport) -> None:
        noise = "head -c 5000000 /dev/zero >&2; exec cat >/dev/null"
        stream = transport.stream(["sh", "-c", noise])

        stream.write(bytes(4 * MIB))

        assert stream.end().exit_status == 0

    def test_the_end_of_the_stream_is_the_end_of_the_commands_input(self, transport: Transport) -> None:
        stream = transport.stream(["sh", "-c", "cat >/dev/null; exit 5"])

        assert stream.end().exit_status == 5

    def test_ends_twice_alike(self, transport: Transport) -> None:
        stream = transport.stream(["sh", "-c", "echo dropped; echo kept >&2; cat; exit 4"])
        first = stream.end()

        assert stream.end() == first
        assert (first.exit_status, first.stdout, first.stderr) == (4, b"", b"kept\n")

    def test_what_ignores_the_end_of_its_input_has_no_status(self, transport: Transport) -> None:
        stream = transport.stream(["sleep", "60"])
        began = time.monotonic()

        assert stream.end().exit_status == -1
        assert time.monotonic() - began < TIMEOUT_S

    def test_is_of_no_use_once_it_has_ended(self, transport: Transport) -> None:
        stream = transport.stream(["cat"])
        stream.end()

        with pytest.raises(LinkLost):
            stream.read(1, SHORT_S)
        with pytest.raises(LinkLost):
            stream.write(b"x")

    def test_writing_to_a_command_that_is_gone_is_a_lost_link(self, transport: Transport) -> None:
        stream = transport.stream(["true"])
        assert read_all(stream) == b""

        def write_until_noticed() -> None:
            deadline = time.monotonic() + TIMEOUT_S
            while time.monotonic() < deadline:
                stream.write(bytes(65536))

        with pytest.raises(LinkLost):
            write_until_noticed()


class TestClose:
    def test_may_be_called_twice(self, transport: Transport) -> None:
        transport.stream(["cat"])
        transport.close()
        transport.close()

    def test_ends_the_input_of_what_still_runs(self, transport: Transport, tmp_path: Path) -> None:
        noticed = tmp_path / "noticed"
        stream = transport.stream(["sh", "-c", f"echo ready; cat; touch {noticed}"])
        assert read_exactly(stream, 6) == b"ready\n"

        transport.close()

        wait_until(noticed.exists, "the command has noticed")

    def test_nothing_can_be_started_afterwards(self, transport: Transport) -> None:
        transport.close()

        with pytest.raises(LinkLost):
            transport.stream(["true"])

    def test_wakes_a_reader(self, transport: Transport) -> None:
        stream = transport.stream(["sh", "-c", "echo ready; exec cat"])
        assert read_exactly(stream, 6) == b"ready\n"
        raised: list[Exception] = []
        began = threading.Event()

        def read() -> None:
            began.set()
            try:
                stream.read(1, 60)
            except LinkLost as error:
                raised.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        began.wait(TIMEOUT_S)
        transport.close()
        reader.join(TIMEOUT_S)

        assert len(raised) == 1
        stream.end()
