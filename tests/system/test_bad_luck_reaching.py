"""Devices that cannot be reached, trusted or used: each is named with the step and the remedy, and the others go on.

All of them take part in one run, for bad luck does not come one at a time; each test looks at one of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import disks
from tests.lab import Lab
from tests.servers.ports import free_port
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import TcpRelay

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

TRIALS = 2
IMPATIENT = {"BENCHFLEET_CONNECT_TIMEOUT_S": "3"}
OLD_PYTHONS = ("2.7", "3.6")
AGED_PYTHON = """\
#!/bin/sh
echo 'benchfleet-loader {"python": "3.5.3", "have": false, "state_dir": "/nowhere"}'
"""
"""What a loader prints on a Python that is too old, for machines that have none to try."""


class UnluckyLab(Lab):
    """A healthy device, and one for each thing that can be wrong before the first trial."""

    def __init__(self, directory: Path, server: SshServer, stack: ExitStack) -> None:
        super().__init__(directory)
        self._server = server
        self._stack = stack
        self.known_hosts = self.home / ".config" / "benchfleet" / "known_hosts"
        self.closed_port = free_port()
        self.stranger = directory / "stranger"
        self.not_enrolled = stack.enter_context(SshServer(directory / "not-enrolled"))
        self.reflashed = stack.enter_context(SshServer(directory / "reflashed"))
        self._write_sweep()
        self._add_network_troubles()
        self._add_key_troubles()
        self._add_python_troubles()
        self._add_disk_troubles()

    def _write_sweep(self) -> None:
        """Write a sweep with a file of 4 MiB, for which one device has no room beside its worker."""
        self.write("ballast", "x" * (4 << 20))
        program = {"name": "shell", "command": ["sh", "sweep.sh"], "files": ["sweep.sh", "ballast"]}
        self.write_exec_sweep(trials=TRIALS, runtimes=[{"exec": program}])

    def _add_network_troubles(self) -> None:
        self.trust(self._server)
        self.add_ssh("good", self._server)
        self.add_ssh("closed", self._server, port=self.closed_port)
        relay = self._stack.enter_context(TcpRelay(self._server.host, self._server.port))
        relay.blackhole()
        self.add_ssh("silent", self._server, port=relay.port)

    def _add_key_troubles(self) -> None:
        make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.stranger)]
        subprocess.run(make_key, check=True, timeout=30)
        self.add_ssh("refused", self._server, identity_file=str(self.stranger))
        self.add_ssh("keyless", self._server, identity_file=str(self.directory / "nowhere"))
        self.add_ssh("unknown", self.not_enrolled)
        self.add_ssh("changed", self.reflashed)
        self.trust(self.reflashed)
        self.reflashed.rotate_host_key()

    def _add_python_troubles(self) -> None:
        self.add_ssh("bare", self._server, python="/nowhere/python3")
        self.add_ssh("odd", self._server, python="false")
        aged = self.write("aged-python", AGED_PYTHON)
        aged.chmod(0o755)
        self.add_ssh("aged", self._server, python=str(aged))
        for version in OLD_PYTHONS:
            python = find_python(version)
            if python is not None:
                self.add_ssh(f"python-{version}", self._server, python=python)

    def _add_disk_troubles(self) -> None:
        """Only root can mount disks of its own; elsewhere these devices are not there, and their tests are skipped."""
        if not disks.may_mount():
            return
        for name, size_bytes in (("full", 64 << 10), ("small", 4 << 20), ("frozen", 1 << 20)):
            self._stack.enter_context(disks.mounted(self.state_dir(name), size_bytes))
            self.add_ssh(name, self._server)
        disks.make_read_only(self.state_dir("frozen"))


def find_python(version: str) -> str | None:
    """Return an interpreter of this version, on the PATH or as pyenv keeps them."""
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    code = "import sys; print(sys.executable); print('%d.%d' % sys.version_info[:2])"
    for candidate in (f"python{version}", *map(str, of_pyenv)):
        try:
            said = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False, timeout=30)
        except OSError:
            continue
        if said.stdout.splitlines()[1:] == [version]:
            return said.stdout.splitlines()[0]
    return None


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Iterator[UnluckyLab]:
    with ExitStack() as stack:
        yield UnluckyLab(tmp_path_factory.mktemp("unlucky"), ssh_server, stack)


@pytest.fixture(scope="module")
def done(lab: UnluckyLab) -> subprocess.CompletedProcess[str]:
    """The run of all devices."""
    return lab.run("run", "sweep.yaml", environment=IMPATIENT)


@pytest.fixture
def run(done: subprocess.CompletedProcess[str]) -> str:
    """The name of the run of all devices."""
    return done.stdout.split()[1]


@pytest.fixture
def assert_failed(lab: UnluckyLab, done: subprocess.CompletedProcess[str], run: str) -> Callable[..., None]:
    """Check that a device failed, and that all of these words were said about it."""

    def check(device: str, *words: str) -> None:
        lab.assert_told(done, device, "failed", *words)
        assert sum(lab.counts(device, run)) == 0

    return check


def test_the_healthy_device_goes_on_and_the_run_is_incomplete(
    lab: UnluckyLab, done: subprocess.CompletedProcess[str], run: str
) -> None:
    assert done.returncode == 3
    lab.assert_told(done, "good", "complete", f"{TRIALS} measured")
    assert lab.counts("good", run) == [1] * TRIALS
    shown = lab.run("runs", "show", run)
    assert shown.returncode == 3
    assert [name for name in lab.devices if name not in shown.stdout] == []


def test_a_closed_port(lab: UnluckyLab, assert_failed: Callable[..., None]) -> None:
    assert_failed("closed", "connect", f"127.0.0.1:{lab.closed_port} refuses", "hint", "sshd running")


def test_a_host_that_accepts_and_never_answers(assert_failed: Callable[..., None]) -> None:
    assert_failed("silent", "connect", "did not answer within 3 s", "hint", "is the device on")


def test_a_key_that_the_device_refuses(lab: UnluckyLab, assert_failed: Callable[..., None]) -> None:
    assert_failed("refused", "connect", "refuses", str(lab.stranger), "hint", "authorized_keys", "identity_file")


def test_a_key_that_is_not_there(lab: UnluckyLab, assert_failed: Callable[..., None]) -> None:
    assert_failed("keyless", "connect", f"no key {lab.directory / 'nowhere'}", "hint", "identity_file")


def test_an_unknown_host_key(lab: UnluckyLab, assert_failed: Callable[..., None]) -> None:
    fingerprint = lab.not_enrolled.host_key_fingerprint
    assert_failed("unknown", "connect", fingerprint, "not enrolled", "hint", "benchfleet devices enroll unknown")


def test_a_changed_host_key(lab: UnluckyLab, assert_failed: Callable[..., None]) -> None:
    place, shown = f"remove {lab.known_hosts}:2", lab.reflashed.host_key_fingerprint
    assert_failed("changed", "connect", "host key changed", shown, "hint", place, "devices enroll changed")


def test_no_python_on_the_device(assert_failed: Callable[..., None]) -> None:
    assert_failed("bare", "start worker", "no /nowhere/python3 on the device", "hint", "Python 3.7", "python:")


@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_a_python_that_is_too_old(lab: UnluckyLab, assert_failed: Callable[..., None], version: str) -> None:
    if f"python-{version}" not in lab.devices:
        pytest.skip(f"no Python {version} found (on the PATH, in pyenv)")
    assert_failed(f"python-{version}", "start worker", f"is Python {version}.", "needs 3.7", "hint", "python:")


def test_a_python_that_says_it_is_too_old(assert_failed: Callable[..., None]) -> None:
    assert_failed("aged", "start worker", "is Python 3.5.3", "needs 3.7", "hint", "python:")


def test_a_python_that_is_none(assert_failed: Callable[..., None]) -> None:
    assert_failed("odd", "start worker", "false ended with 1", "hint", "python:")


@pytest.mark.parametrize(
    ("device", "words"),
    [
        pytest.param("full", ("start worker", "No space left", "free space", "state_dir"), id="no room for the worker"),
        pytest.param("small", ("upload", "ballast needs 4.2 MB more", "free space", "state_dir"), id="nor for a file"),
        pytest.param("frozen", ("start worker", "Read-only", "state_dir"), id="read-only"),
    ],
)
def test_a_disk_that_takes_nothing(
    lab: UnluckyLab, assert_failed: Callable[..., None], device: str, words: tuple[str, ...]
) -> None:
    if device not in lab.devices:
        pytest.skip("only root can mount a small disk")
    assert_failed(device, *words, str(lab.state_dir(device)), "hint")


def test_probing_has_a_row_for_each_device(lab: UnluckyLab) -> None:
    probed = lab.run("devices", "probe", "--select", "good or closed or bare", "--json")
    assert probed.returncode == 3
    answers = json.loads(probed.stdout)
    assert [(answer["name"], answer["facts"] is None) for answer in answers] == [
        ("good", False),
        ("closed", True),
        ("bare", True),
    ]
    good, closed, bare = (answer["error"] for answer in answers)
    assert good is None
    assert (closed["step"], bare["step"]) == ("connect", "start worker")
    assert closed["hint"]
    assert bare["hint"]


def test_no_device_at_all_is_a_failure_of_the_infrastructure(lab: UnluckyLab) -> None:
    done = lab.run("run", "sweep.yaml", "--select", "closed or bare")
    assert done.returncode == 4
    lab.assert_told(done, "closed", "connect", "hint")
    lab.assert_told(done, "bare", "start worker", "hint")
    assert lab.run("runs", "show", "last").returncode == 4


def test_what_was_put_right_is_measured_by_resuming_the_run(lab: UnluckyLab, run: str) -> None:
    """Enrolling is refused for a changed key until a person removes the old one; then `resume` measures both."""
    enrolled = lab.run("devices", "enroll", "unknown", "--yes")
    assert enrolled.returncode == 0, enrolled.stderr
    assert lab.not_enrolled.host_key_fingerprint in enrolled.stderr

    before = lab.known_hosts.read_text()
    refused = lab.run("devices", "enroll", "changed", "--yes")
    assert refused.returncode == 4
    assert "host key changed" in refused.stderr
    assert f"remove {lab.known_hosts}:2" in refused.stderr
    assert lab.known_hosts.read_text() == before
    lines = before.splitlines(keepends=True)
    lab.known_hosts.write_text("".join(lines[:1] + lines[2:]))
    assert lab.run("devices", "enroll", "changed", "--yes").returncode == 0

    resumed = lab.run("runs", "resume", run, environment=IMPATIENT)
    assert resumed.returncode == 3
    for device in ("good", "unknown", "changed"):
        assert lab.counts(device, run) == [1] * TRIALS
