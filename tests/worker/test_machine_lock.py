"""The lock that all users, state folders and containers of a machine share."""

import getpass
import os
import signal
import subprocess
import sys

import pytest

import worker_client
from device_worker.protocol.errors import WorkerError
from device_worker.state.machine_lock import MachineLock
from tests.machines import played_machine
from worker_client import REPOSITORY, Refused, end_runners, read_log, runner_of, trials_of, wait_until

SLOW = """#!/bin/sh
exec sleep 600
"""
LEAVES_A_HELPER = """#!/bin/sh
env -i setsid sleep 600 </dev/null >/dev/null 2>&1 &
echo $! > {told}
exec sleep 600
"""


@pytest.fixture
def lock_file(tmp_path):
    path = tmp_path / "machine"
    path.write_text("")
    return str(path)


@pytest.fixture
def places(tmp_path, installed_worker, worker_zip):
    """A function that connects to a state folder by name; all are on one machine that is the test's own."""
    prefix = played_machine(tmp_path / "boot_id")
    opened = {}

    def connect(name):
        state_dir = str(tmp_path / name / "state")
        if not os.path.exists(state_dir):
            worker_client.seed_state_dir(state_dir, installed_worker)
        opened.setdefault(state_dir, []).append(worker_client.Client(worker_zip, state_dir, prefix=prefix))
        return opened[state_dir][-1]

    connect.state_dir = lambda name: str(tmp_path / name / "state")
    yield connect
    for state_dir, clients in opened.items():
        for client in clients:
            client.close()
        end_runners(state_dir)


def holder_of(refused):
    (found,) = refused.value.details["machine_holders"]
    return found


# ---- The lock itself


def test_an_exclusive_holder_keeps_all_others_out_and_is_named(lock_file):
    held = MachineLock(True, lock_file)
    for exclusive in (True, False):
        with pytest.raises(WorkerError, match="is measuring on this machine") as refused:
            MachineLock(exclusive, lock_file)
        assert refused.value.kind == "device-busy"
        assert holder_of(refused)["pid"] == os.getpid()
        assert holder_of(refused)["user"] == getpass.getuser()
        assert f"process {os.getpid()}" in str(refused.value)
        advice = "exclusive: false in the inventory" if exclusive else "would need exclusive: false too"
        assert advice in refused.value.hint
    held.release()
    MachineLock(True, lock_file).release()


def test_holders_that_are_not_exclusive_share_the_machine_and_keep_an_exclusive_one_out(lock_file):
    first, second = MachineLock(False, lock_file), MachineLock(False, lock_file)
    with pytest.raises(WorkerError, match="are measuring on this machine"):
        MachineLock(True, lock_file)
    first.release()
    with pytest.raises(WorkerError, match="is measuring on this machine"):
        MachineLock(True, lock_file)
    second.release()
    MachineLock(True, lock_file).release()


def test_an_orderly_end_frees_the_machine_though_a_daemon_still_has_the_file(lock_file):
    held = MachineLock(True, lock_file)
    daemon = subprocess.Popen(["sleep", "600"], pass_fds=[held.fd])
    try:
        held.release()
        MachineLock(True, lock_file).release()
        assert daemon.poll() is None
    finally:
        daemon.kill()
        daemon.wait()


TAKE = f"""
import os, sys
sys.path.insert(0, {REPOSITORY!r})
from device_worker.protocol.errors import WorkerError
import device_worker.state.machine_holders  # before the root and the user change: the library is not there then
from device_worker.state.machine_lock import MachineLock
def take(path=None):
    try:
        MachineLock(True, path)
        print("taken", flush=True)
    except WorkerError as error:
        print(error.kind, error, flush=True)
"""
HOLD = f"""
import subprocess
{TAKE}
def be_another_user():
    if os.fork() == 0:  # without a new program: another user may not be allowed to read this interpreter
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        take()
        os._exit(0)
    os.wait()
held = MachineLock(True)
be_another_user()
for words in {{others!r}}:
    subprocess.run([*words, sys.executable, "-c", {TAKE!r} + "take()"])
held.release()
take()
"""


STRANGERS = f"""
import os, subprocess, sys
sys.path.insert(0, {REPOSITORY!r})
from device_worker.protocol.errors import WorkerError
from device_worker.runner import runner_process
from device_worker.state.machine_lock import MachineLock
from device_worker.system import trial_mark
left = subprocess.Popen(["sleep", "600"], preexec_fn=lambda: trial_mark.mark_self(trial_mark.number_of("/elsewhere")))
def mark():
    trial_mark.mark_self(trial_mark.number_of("/elsewhere"))
elsewhere = subprocess.Popen(["unshare", "--time", "--fork", "sleep", "600"], preexec_fn=mark)
shared = MachineLock(False)
try:
    runner_process._end_strangers(shared)
except WorkerError as error:
    print(error.kind, sorted(one["pid"] for one in error.details["processes"]) == sorted([left.pid, elsewhere.pid]))
print(left.poll())
shared.release()
runner_process._end_strangers(MachineLock(True))
print(left.wait(10))
left = subprocess.Popen(["sleep", "600"], preexec_fn=lambda: trial_mark.mark_self(trial_mark.number_of("/elsewhere")))
os.setuid(65534)  # from now on it is another user's, as a program under sudo is
try:
    runner_process._end_strangers(MachineLock(True, "/proc/self/ns/mnt"))
except WorkerError as error:
    print(error.kind, left.pid == error.details["processes"][0]["pid"])
"""


# ---- Whoever has the number of a holder that has ended

INNOCENT = f"""
import os, subprocess, sys
sys.path.insert(0, {REPOSITORY!r})
from device_worker.protocol.errors import WorkerError
from device_worker.state.machine_lock import MachineLock
held = MachineLock(True, sys.argv[1])
heir = subprocess.Popen(["sleep", "600"], pass_fds=[held.fd])
os.close(held.fd)  # as a runner that was killed: its number is on record, and its trial's process keeps the lock
print(heir.pid, flush=True)
os.dup2(1, 2)
if len(sys.argv) > 2:
    os.execvp(sys.argv[2], sys.argv[2:])
input()
"""


class Reused:
    """A process that has the number of a lock's dead holder, while `heir` keeps the lock."""

    def __init__(self, lock_file, *command):
        words = [sys.executable, "-c", INNOCENT, lock_file, *command]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.heir = int(self.process.stdout.readline())
        if command:
            wait_until(lambda: command_of(self.pid).startswith(command[0].encode()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in (self.heir, self.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()


def command_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def asked_as_another_user(lock_file, words=()):
    """Return what a user who may not look into the holder's files is told."""
    script = TAKE + f"take({lock_file!r})"
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    ran = subprocess.run([*words, *drop, "/usr/bin/python3", "-c", script], stdout=subprocess.PIPE, timeout=60)
    return ran.stdout.decode()


def test_a_process_with_the_number_of_an_ended_runner_is_not_said_to_measure(lock_file):
    with Reused(lock_file) as innocent:
        with pytest.raises(WorkerError, match="has ended, and a process of its trial still runs") as refused:
            MachineLock(True, lock_file)
        assert [one["pid"] for one in refused.value.details["machine_holders"]] == [innocent.heir]
        assert "reboot the device" in refused.value.hint
        assert "measuring" not in str(refused.value)


needs_another_user = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/usr/bin/python3"), reason="needs root, and a Python for every user"
)


@pytest.fixture
def open_lock_file(lock_file, tmp_path):
    """A lock's file that other users reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if os.stat(str(folder)).st_uid == os.geteuid() and str(folder) != "/":
            os.chmod(str(folder), os.stat(str(folder)).st_mode | 0o055)
    return lock_file


UNTOLD = "has the number of the process that took this machine's lock, and may be another by now"


@needs_another_user
def test_to_another_user_such_a_process_is_named_and_not_accused(open_lock_file):
    """The other user sees no open files. A holder that is no runner looks the same, and is not to stay in secret."""
    with Reused(open_lock_file, "sleep", "600") as innocent:
        told = asked_as_another_user(open_lock_file)
    assert told == f"device-busy process {innocent.pid} of root (sleep 600) {UNTOLD}\n"


@needs_another_user
def test_a_worker_with_the_number_is_not_accused_either(open_lock_file):
    with Reused(
        open_lock_file, sys.executable, "-c", "'benchfleet-loader'; input()", "/state", "0" * 64, "1"
    ) as worker:
        told = asked_as_another_user(open_lock_file)
    assert told.startswith(f"device-busy process {worker.pid} of root (")
    assert told.endswith(f" {UNTOLD}\n")


@needs_another_user
def test_where_other_users_are_hidden_nobody_is_accused(open_lock_file):
    hides = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh"]
    with Reused(open_lock_file, "sleep", "600") as innocent:
        told = asked_as_another_user(open_lock_file, hides)
    assert told.startswith(f"device-busy process {innocent.pid} of another user (")
    assert told.endswith(f" {UNTOLD}\n")


# ---- The file that is locked

FILE = f"""
import os, sys
sys.path.insert(0, {REPOSITORY!r})
from device_worker.protocol.errors import WorkerError
from device_worker.state.machine_lock import MachineLock
hidden = sys.argv[1:]
exists = os.path.exists
os.path.exists = lambda path: os.path.basename(path) not in hidden and exists(path)
try:
    print(os.readlink("/proc/self/fd/%d" % MachineLock(False).fd))
except WorkerError as error:
    print(error.kind, error.hint)
"""


@pytest.mark.parametrize(
    ("hidden", "locked"),
    [
        ((), "time:["),
        (("time",), "user:["),
        (("time", "user"), "mnt:["),
        (("time", "user", "mnt"), "runner-failed mount /proc on the device"),
    ],
    ids=["Linux 5.6", "older", "without users of their own", "no /proc"],
)
@pytest.mark.skipif(not os.path.exists("/proc/self/ns/time"), reason="needs Linux 5.6")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_most_shared_namespace_of_the_kernel_is_locked(hidden, locked):
    """In namespaces of the test's own, where nobody measures."""
    command = ["unshare", "--time", "--mount", "--map-root-user", "--fork", sys.executable, "-c", FILE, *hidden]
    ran = subprocess.run(command, stdout=subprocess.PIPE, timeout=60)
    assert ran.stdout.decode().startswith(locked)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not os.path.exists("/proc/self/ns/time"), reason="needs Linux 5.6")
@pytest.mark.parametrize(("has_name", "locked"), [(True, "/"), (False, "time:[")], ids=["played", "as nspawn does"])
def test_a_boot_id_mounted_without_a_name_plays_no_machine(tmp_path, has_name, locked):
    file = tmp_path / "boot_id"
    prefix = ["unshare", "--time", "--fork", *played_machine(file)]
    script = FILE if has_name else f"import os; os.unlink({str(file)!r})" + FILE
    ran = subprocess.run([*prefix, sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=60)
    assert ran.stdout.decode().startswith(locked)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_trials_of_other_state_folders_left_is_ended_under_a_whole_lock_or_refuses_the_start():
    """In process and time namespaces of the test's own: the processes of other tests are none of its business."""
    command = ["unshare", "--time", "--pid", "--fork", "--mount-proc", sys.executable, "-c", STRANGERS]
    ran = subprocess.run(command, stdout=subprocess.PIPE, timeout=60)
    assert ran.stdout.decode().splitlines() == ["survivor True", "None", "-9", "survivor True"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(not os.path.exists("/proc/self/ns/time"), reason="needs Linux 5.6")
def test_the_kernels_own_lock_holds_for_other_users_and_for_containers():
    """In a time namespace of the test's own, so that neither others on this machine nor the test disturb each other."""
    containers = [
        ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--mount-proc"],
        ["unshare", "--map-root-user", "--mount", "--pid", "--fork"],
        ["chroot", "/"],
    ]
    script = HOLD.format(others=containers)
    command = ["unshare", "--time", "--fork", sys.executable, "-c", script]
    ran = subprocess.run(command, stdout=subprocess.PIPE, timeout=60)
    user, container, own_users, changed_root, last = ran.stdout.decode().splitlines()
    assert user.startswith("device-busy root (process")  # the holder is named to another user
    assert container.startswith("device-busy another container of this machine")  # it sees no process of the holder
    assert own_users.startswith("device-busy")
    assert changed_root.startswith("device-busy root (process")
    assert last == "taken"


# ---- Runners


def test_two_state_folders_of_a_machine_never_measure_at_the_same_time(places, plans):
    plans.add_program("job", SLOW)
    first, second = places("one"), places("two")
    pid = first.start("run-1", plans, exclusive=True)["pid"]
    with pytest.raises(Refused) as refused:
        second.start("run-2", plans, exclusive=True)
    assert refused.value.kind == "device-busy"
    (holder,) = refused.value.answer["machine_holders"]
    assert holder == {"pid": pid, "user": getpass.getuser(), "state_dir": places.state_dir("one")}
    assert not os.path.exists(os.path.join(places.state_dir("two"), "runs", "run-2"))
    first.ask("cancel", run="run-1")
    assert second.start("run-2", plans, exclusive=True)["state"] == "running"


def test_a_start_that_says_nothing_wants_the_machine_for_itself(places, plans):
    plans.add_program("job", SLOW)
    places("one").start("run-1", plans, exclusive=False)
    with pytest.raises(Refused) as refused:
        places("two").start("run-2", plans, exclusive=None)  # as from an older controller
    assert refused.value.kind == "device-busy"


def test_devices_that_are_played_on_one_machine_measure_together_and_each_result_says_so(places, plans):
    plans.add_program("job")
    one, two = places("one"), places("two")
    answers = one.start("run-1", plans, exclusive=False), two.start("run-2", plans, exclusive=False)
    events = one.events("run-1", answers[0]["log_id"]) + two.events("run-2", answers[1]["log_id"])
    assert [event["exclusive"] for event in trials_of(events)] == [False, False]
    alone = places("one").start("run-3", plans, exclusive=True)
    assert [event["exclusive"] for event in trials_of(one.events("run-3", alone["log_id"]))] == [True]


def test_the_kernel_frees_the_machine_when_a_runner_is_killed(places, plans):
    plans.add_program("job", SLOW)
    first, second = places("one"), places("two")
    first.start("run-1", plans, exclusive=True)
    wait_until(lambda: trials_of(read_log(places.state_dir("one"), "run-1"), "trial-started"))
    os.kill(runner_of(places.state_dir("one"), "run-1").pid, signal.SIGKILL)
    assert second.start("run-2", plans, exclusive=True)["state"] == "running"


def test_what_a_killed_runner_left_behind_keeps_the_machine_and_is_named(places, plans, tmp_path):
    told = tmp_path / "helper"
    plans.add_program("job", LEAVES_A_HELPER.format(told=told))
    first, second = places("one"), places("two")
    first.start("run-1", plans, exclusive=True)
    wait_until(lambda: told.exists() and told.read_text())
    helper, runner = int(told.read_text()), runner_of(places.state_dir("one"), "run-1")
    try:
        os.kill(runner.pid, signal.SIGKILL)
        wait_until(lambda: not runner.is_alive)
        with pytest.raises(Refused, match=f"the runner {runner.pid} has ended, and a process") as refused:
            second.start("run-2", plans, exclusive=True)
        assert helper in [one["pid"] for one in refused.value.answer["machine_holders"]]
    finally:
        os.kill(helper, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{helper}/fd") or not os.listdir(f"/proc/{helper}/fd"))
    assert second.start("run-2", plans, exclusive=True)["state"] == "running"
