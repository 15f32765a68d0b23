"""Devices that cannot be reached, trusted or used: each is named with the step and the remedy, and the others go on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import disks
from tests.lab import OK_PROGRAM, Lab
from tests.servers.ports import free_port
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import TcpRelay

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

TRIALS = 2


@pytest.fixture
def lab(tmp_path: Path, ssh_server: SshServer) -> Lab:
    """A lab with a healthy device; tests add the one that has bad luck."""
    made = Lab(tmp_path)
    made.trust(ssh_server)
    made.add_ssh("good", ssh_server)
    made.write_exec_sweep(trials=TRIALS)
    return made


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[SshServer]:
    """An sshd that a test may do anything to."""
    with SshServer(tmp_path / "sshd") as server:
        yield server


def run(lab: Lab, **environment: str) -> subprocess.CompletedProcess[str]:
    return lab.run("run", "sweep.yaml", environment=environment)

def P(done):
    print("\n[%d]\n%s---\n%s" % (done.returncode, done.stderr, done.stdout))

def assert_failed_alone(lab: Lab, done: subprocess.CompletedProcess[str], device: str, *words: str) -> None:
    """Check that a device's failure is told with all of `words`, and that the healthy device has all its results."""
    P(done)
    lab.assert_told(done, device, *words)
    assert done.returncode == 3
    assert lab.counts("good") == [1] * TRIALS
    assert sum(lab.counts(device)) == 0


def test_a_closed_port(lab: Lab, ssh_server: SshServer) -> None:
    port = free_port()
    lab.add_ssh("bad", ssh_server, port=port)
    done = run(lab)
    assert_failed_alone(lab, done, "bad", "connect", f"127.0.0.1:{port} refuses", "hint", "sshd running")


def test_a_host_that_accepts_and_never_answers(lab: Lab, ssh_server: SshServer) -> None:
    with TcpRelay(ssh_server.host, ssh_server.port) as relay:
        relay.blackhole()
        lab.add_ssh("bad", ssh_server, port=relay.port)
        done = run(lab, BENCHFLEET_CONNECT_TIMEOUT_S="2")
    assert_failed_alone(lab, done, "bad", "connect", "did not answer within 2 s", "hint", "is the device on")


def test_a_key_that_the_device_refuses(lab: Lab, ssh_server: SshServer) -> None:
    key = lab.directory / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)
    lab.add_ssh("bad", ssh_server, identity_file=str(key))
    done = run(lab)
    assert_failed_alone(lab, done, "bad", "connect", "refuses", str(key), "hint", "authorized_keys", "identity_file")


def test_a_key_that_is_not_there(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("bad", ssh_server, identity_file=str(lab.directory / "nowhere"))
    done = run(lab)
    assert_failed_alone(lab, done, "bad", "connect", "there is no key", "nowhere", "hint", "identity_file")


def test_an_unknown_host_key_is_refused_until_it_is_enrolled(lab: Lab, own_server: SshServer) -> None:
    lab.add_ssh("bad", own_server)
    done = run(lab)
    fingerprint = own_server.host_key_fingerprint
    assert_failed_alone(lab, done, "bad", "connect", fingerprint, "not enrolled", "hint", "devices enroll bad")

    enrolled = lab.run("devices", "enroll", "bad", "--yes")
    assert enrolled.returncode == 0, enrolled.stderr
    assert fingerprint in enrolled.stderr
    resumed = lab.run("runs", "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert lab.counts("bad") == lab.counts("good") == [1] * TRIALS


def test_a_changed_host_key_is_refused_until_a_person_removes_the_old_one(lab: Lab, own_server: SshServer) -> None:
    lab.add_ssh("bad", own_server)
    lab.trust(own_server)
    own_server.rotate_host_key()
    known_hosts = lab.home / ".config" / "benchfleet" / "known_hosts"
    place = f"remove {known_hosts}:2"
    done = run(lab)
    assert_failed_alone(lab, done, "bad", "connect", "host key changed", "hint", place, "devices enroll bad")

    refused = lab.run("devices", "enroll", "bad", "--yes")
    P(refused)
    assert refused.returncode == 4
    assert "host key changed" in refused.stderr
    assert place in refused.stderr
    assert len(known_hosts.read_text().splitlines()) == 2

    known_hosts.write_text(known_hosts.read_text().splitlines(keepends=True)[0])
    assert lab.run("devices", "enroll", "bad", "--yes").returncode == 0
    resumed = lab.run("runs", "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert lab.counts("bad") == [1] * TRIALS


def test_no_python_on_the_device(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("bad", ssh_server, python="/nowhere/python3")
    done = run(lab)
    assert_failed_alone(
        lab, done, "bad", "start worker", "no /nowhere/python3 on the device", "hint", "Python 3.7", "python:"
    )


@pytest.mark.parametrize("version", ["2.7", "3.6"])
def test_a_python_that_is_too_old(lab: Lab, ssh_server: SshServer, version: str) -> None:
    python = old_python(version)
    lab.add_ssh("bad", ssh_server, python=python)
    done = run(lab)
    assert_failed_alone(lab, done, "bad", "start worker", f"is Python {version}.", "3.7 or newer", "hint", "python:")


def old_python(version: str) -> str:
    """Return an interpreter of this version, on the PATH or as pyenv keeps them; skip where there is none."""
    candidates = [f"python{version}", *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for candidate in candidates:
        try:
            code = "import sys; print(sys.executable); print('%d.%d' % sys.version_info[:2])"
            said = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False, timeout=30)
        except OSError:
            continue
        if said.stdout.splitlines()[1:] == [version]:
            return said.stdout.splitlines()[0]
    pytest.skip(f"no Python {version} found (on the PATH, in pyenv)")


def test_a_program_that_is_not_python(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("bad", ssh_server, python="false")
    done = run(lab)
    assert_failed_alone(lab, done, "bad", "start worker", "false ended with", "hint", "python:")


def test_a_disk_too_small_for_the_worker(lab: Lab, ssh_server: SshServer) -> None:
    with disks.mounted(lab.state_dir("bad"), 64 << 10):
        lab.add_ssh("bad", ssh_server)
        done = run(lab)
        assert_failed_alone(lab, done, "bad", "start worker", "No space left", "hint", "free space", "state_dir")


def test_a_disk_too_small_for_the_upload(lab: Lab, ssh_server: SshServer) -> None:
    files = ["sweep.sh", "ballast"]
    lab.write("ballast", "x" * (3 << 20))
    program = {"exec": {"name": "shell", "command": ["sh", "sweep.sh"], "files": files}}
    lab.write_exec_sweep(trials=TRIALS, runtimes=[program])
    with disks.mounted(lab.state_dir("bad"), 2 << 20):
        lab.add_ssh("bad", ssh_server)
        done = run(lab)
        assert_failed_alone(lab, done, "bad", "upload", "ballast", "needs", "free", "hint", "free space", "state_dir")
        # with room it goes on where it was: nothing is lost
        subprocess.run(["mount", "-o", "remount,size=16m", str(lab.state_dir("bad"))], check=True)
        resumed = lab.run("runs", "resume", "last")
        assert resumed.returncode == 0, resumed.stderr
        assert lab.counts("bad") == [1] * TRIALS


def test_a_state_folder_that_cannot_be_written(lab: Lab, ssh_server: SshServer) -> None:
    with disks.mounted(lab.state_dir("bad"), 1 << 20) as disk:
        disks.make_read_only(disk)
        lab.add_ssh("bad", ssh_server)
        done = run(lab)
        assert_failed_alone(lab, done, "bad", "start worker", str(disk), "hint", "state_dir")


def test_no_device_at_all_is_a_failure_of_the_infrastructure(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("closed", ssh_server, port=free_port())
    lab.add_ssh("bare", ssh_server, python="/nowhere/python3")
    done = lab.run("run", "sweep.yaml", "--select", "closed or bare")
    P(done)
    assert done.returncode == 4
    lab.assert_told(done, "closed", "connect", "hint")
    lab.assert_told(done, "bare", "start worker", "hint")
    shown = lab.run("runs", "show", "last")
    assert shown.returncode == 4


def test_probing_has_a_row_for_each_device_that_failed(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("bad", ssh_server, port=free_port())
    done = lab.run("devices", "probe")
    P(done)
    assert done.returncode == 3
    answers = lab.json("devices", "probe")
    print(answers)
