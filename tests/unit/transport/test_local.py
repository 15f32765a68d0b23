"""What is particular to commands on this machine."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import LinkLost
from orchestrator.transport import local
from orchestrator.transport.local import LocalConnector, LocalTransport
from tests.servers.processes import wait_until

HERE = Device("here", TransportKind.LOCAL)


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    transport = LocalConnector(end_timeout_s=0.2, write_stall_s=0.2).connect(HERE)
    yield transport
    transport.close()


def test_a_command_leads_a_session_of_its_own(transport: LocalTransport) -> None:
    done = transport.run([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"])

    assert done.stdout == b"True\n"


def test_it_starts_in_the_home_directory_as_over_ssh(
    transport: LocalTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert transport.run(["pwd"]).stdout == f"{tmp_path}\n".encode()

    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    assert transport.run(["pwd"]).stdout == b"/\n"


def test_a_signal_is_told_as_a_shell_tells_it(transport: LocalTransport) -> None:
    assert transport.run(["sh", "-c", "kill -TERM $$"]).exit_status == 128 + 15


def test_what_does_not_end_is_killed_with_its_children(transport: LocalTransport) -> None:
    stream = transport.stream(["sh", "-c", "sleep 60 & echo $!; trap '' TERM; sleep 60"])
    child = int(stream.read(100, 10))

    assert stream.end().exit_status == -1
    wait_until(lambda: not alive(child), "the child is gone")


def test_a_command_that_reads_byte_by_byte_is_given_up_though_it_always_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "BYTES_PER_S_MIN", 1 << 20)
    reads = "import os, time\nos.write(1, b'!')\nwhile os.read(0, 4096): time.sleep(0.05)"
    with closing(LocalConnector(end_timeout_s=0.2, write_stall_s=0.5).connect(HERE)) as transport:
        stream = transport.stream([sys.executable, "-c", reads])
        assert stream.read(1, 10) == b"!"  # an interpreter's start on a busy machine is no stall
        with pytest.raises(LinkLost, match="reads less than 1048576 bytes a second"):
            stream.write(bytes(1 << 19))


def test_a_program_that_has_detached_itself_survives(transport: LocalTransport, tmp_path: Path) -> None:
    gate, finished = tmp_path / "gate", tmp_path / "finished"
    os.mkfifo(gate)
    program = (
        "import os, sys\n"
        "if os.fork(): sys.exit(os.read(0, 1) and 1)\n"
        "os.setsid()\n"
        "os.write(1, b'detached')\n"
        "for descriptor in range(3): os.close(descriptor)\n"
        "open(sys.argv[1]).read()\n"
        "open(sys.argv[2], 'w').close()\n"
    )
    stream = transport.stream([sys.executable, "-c", program, str(gate), str(finished)])
    assert stream.read(100, 10) == b"detached"

    stream.end()
    transport.close()

    gate.write_text("")
    wait_until(finished.exists, "the detached program has finished")


def test_a_command_that_reads_nothing_counts_as_lost(transport: LocalTransport) -> None:
    stream = transport.stream(["sleep", "60"])

    with pytest.raises(LinkLost, match="read none of its input"):
        stream.write(bytes(1024 * 1024))


def test_leaves_no_descriptor_open() -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    transport = LocalConnector(end_timeout_s=0.2).connect(HERE)
    for _ in range(3):
        transport.run(["true"])
        transport.stream(["cat"]).end()
        forgotten = transport.stream(["true"])
        assert forgotten.read(1, 10) == b""

    transport.close()

    assert len(list(descriptors.iterdir())) == before


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
