"""Real worker processes over real pipes; this suite runs on Python 3.7 and imports nothing of the orchestrator."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
for folder in (REPOSITORY, HERE):
    if folder not in sys.path:
        sys.path.insert(0, folder)

import pytest  # noqa: E402

pytest.register_assert_rewrite("conversation_contract")

import worker_client  # noqa: E402
import worker_plans  # noqa: E402
from tests.machines import leave_machine  # noqa: E402

leave_machine()


@pytest.fixture(scope="session")
def worker_zip():
    """The worker as the controller ships it."""
    return worker_client.pack_worker()


@pytest.fixture(scope="session")
def installed_worker(worker_zip, tmp_path_factory):
    """The folder of a worker that has been shipped and started once."""
    state_dir = str(tmp_path_factory.mktemp("installed") / "state")
    worker_client.Client(worker_zip, state_dir).close()
    return os.path.join(state_dir, "worker", worker_client.sha256_of(worker_zip))


@pytest.fixture
def fresh_dir(tmp_path):
    """The state folder of a device that has never been connected to: it does not exist yet."""
    return str(tmp_path / "fresh" / "state")


@pytest.fixture
def state_dir(tmp_path, installed_worker):
    """The state folder of a device that has the worker, and nothing else."""
    state = str(tmp_path / "state")
    worker_client.seed_state_dir(state, installed_worker)
    return state


@pytest.fixture
def connect(state_dir, worker_zip):
    """A function that opens one more connection to the device."""
    opened = []

    def open_connection(**options):
        options.setdefault("state_dir", state_dir)
        client = worker_client.Client(worker_zip, **options)
        opened.append(client)
        return client

    yield open_connection
    for client in opened:
        client.close()
    worker_client.end_runners(state_dir)


@pytest.fixture
def device(connect):
    """One connection to a fresh device."""
    return connect()


class Gate:
    """Keeps the trials of a program from ending until it opens."""

    def __init__(self, path):
        self._path = path
        self._fd = None
        os.mkfifo(path)

    def add_program(self, plans, trials=1, free=0):
        """Add a program, the first `free` trials of which end at once."""
        last_free = "|".join(f"job.{number}" for number in range(free + 1))
        wait = f"case $BENCHFLEET_TRIAL in {last_free}) ;; *) read line < {self._path} ;; esac\n"
        report = 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'
        plans.add_program("job", f"#!/bin/sh\n{wait}{report}", trials=trials)

    def open(self):
        """Let all trials end."""
        self._fd = os.open(self._path, os.O_RDWR)  # both ends: the lines stay for trials that are yet to begin
        os.write(self._fd, b"go\n" * 100)

    def close(self):
        if self._fd is not None:
            os.close(self._fd)


@pytest.fixture
def gate(tmp_path):
    """A gate that trials of the device wait at."""
    made = Gate(str(tmp_path / "gate"))
    yield made
    made.close()


@pytest.fixture
def plans():
    """A builder of plans of `exec` programs."""
    return worker_plans.PlanBuilder()


@pytest.fixture
def noexec(tmp_path):
    """A folder on a real file system that is mounted noexec."""
    folder = tmp_path / "noexec"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "noexec,size=400m,mode=0700", "tmpfs", str(folder)]
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(command, stderr=subprocess.DEVNULL).returncode
    ):
        pytest.skip("this machine does not let us mount a disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
