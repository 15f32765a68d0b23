"""Detached processes, their identities, their lock and their leftovers."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from device_worker.protocol.errors import WorkerError
from device_worker.state.device_lock import DeviceLock
from device_worker.system import containment, leftovers
from device_worker.system.detachment import run_detached
from device_worker.system.process_identity import ProcessIdentity, read_boot_id, read_start_ticks
from worker_client import wait_until


@pytest.fixture
def child():
    """A process that does nothing, until the test is over."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def identity_of(pid):
    return ProcessIdentity(pid, read_boot_id(), read_start_ticks(pid))


def test_a_process_is_alive_until_it_has_ended_even_if_nobody_has_reaped_it(child):
    identity = identity_of(child.pid)
    assert identity.is_alive
    child.kill()
    wait_until(lambda: not identity.is_alive)  # a zombie now
    assert os.path.exists(f"/proc/{child.pid}")


def test_another_boot_or_start_time_is_another_process(child):
    good = identity_of(child.pid)
    assert not ProcessIdentity(child.pid, "another-boot", good.start_ticks).is_alive
    other = ProcessIdentity(child.pid, good.boot_id, good.start_ticks + 1)
    assert not other.is_alive
    assert other.terminate() is False
    assert child.poll() is None
    assert good.terminate() is True
    assert child.wait(10) == -signal.SIGTERM


def test_an_identity_is_kept_in_a_file(tmp_path):
    mine = ProcessIdentity.of_self()
    path = tmp_path / "pid"
    path.write_text(json.dumps(mine.to_json()))
    assert ProcessIdentity.read(str(path)).marker == mine.marker
    for content in ("", "{}", "[]", '{"pid": "x", "boot_id": "b", "start_ticks": 1}', "null"):
        path.write_text(content)
        assert ProcessIdentity.read(str(path)) is None
    assert ProcessIdentity.read(str(tmp_path / "absent")) is None


def test_a_process_with_brackets_and_spaces_in_its_name_is_read_right(tmp_path):
    program = tmp_path / "a) R 1 (b"
    os.symlink("/bin/sleep", str(program))
    process = subprocess.Popen([str(program), "600"])
    try:
        assert read_start_ticks(process.pid) >= read_start_ticks(os.getpid())
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def log_path(tmp_path):
    return str(tmp_path / "runner.log")


def read_text(path):
    with open(path) as file:
        return file.read()


def test_a_detached_process_reports_and_goes_on(log_path, tmp_path):
    after = tmp_path / "after"

    def work(report):
        report({"pid": os.getpid(), "sid": os.getsid(0), "cwd": os.getcwd(), "umask": os.umask(0)})
        after.write_text("went on")

    report = run_detached(work, log_path)
    assert report["sid"] not in (os.getsid(0), report["pid"])  # it can never get a terminal
    assert (report["cwd"], report["umask"]) == ("/", 0o77)
    wait_until(after.exists)


def test_an_error_before_the_report_reaches_the_starter(log_path):
    def work(_report):
        raise WorkerError("device-busy", "somebody", "wait", holder={"run": "r"})

    with pytest.raises(WorkerError, match="somebody") as raised:
        run_detached(work, log_path)
    assert raised.value.to_fields() == {
        "kind": "device-busy",
        "message": "somebody",
        "hint": "wait",
        "holder": {"run": "r"},
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), "disk-full"),
        (OSError(errno.EACCES, "no"), "state-dir-unusable"),
        (ValueError("x"), "runner-failed"),
    ],
)
def test_any_exception_before_the_report_has_a_kind_and_is_logged(log_path, error, kind):
    def work(_report):
        raise error

    with pytest.raises(WorkerError) as raised:
        run_detached(work, log_path)
    assert raised.value.kind == kind
    assert "Traceback" in read_text(log_path)


def test_a_process_that_dies_before_its_report_is_told_from_one_that_reports(log_path):
    with pytest.raises(WorkerError, match="before it began") as raised:
        run_detached(lambda _report: os.kill(os.getpid(), signal.SIGKILL), log_path)
    assert raised.value.kind == "runner-failed"


def test_an_error_is_told_even_where_its_trace_cannot_be_had(log_path, monkeypatch):
    """As where no more files can be opened: then the module that prints traces cannot be imported either."""
    monkeypatch.setitem(sys.modules, "traceback", None)

    def work(report):
        raise OSError(errno.EMFILE, "Too many open files", "somewhere")

    with pytest.raises(WorkerError, match="Too many open files"):
        run_detached(work, log_path)
    assert "Too many open files" in read_text(log_path)


def test_an_exception_after_the_report_is_only_logged(log_path):
    def work(report):
        report({"state": "running"})
        raise ValueError("later")

    assert run_detached(work, log_path) == {"state": "running"}
    wait_until(lambda: "ValueError: later" in read_text(log_path))


def test_the_lock_tells_its_holder_and_what_the_last_one_left(tmp_path):
    path = str(tmp_path / "lock")
    first = DeviceLock(path, {"run": "one", "since_unix": 1})
    assert first.previous is None
    with pytest.raises(WorkerError, match="run one") as refused:
        DeviceLock(path, {"run": "two"})
    assert refused.value.details["holder"] == {"run": "one", "since_unix": 1}
    os.close(first._fd)  # its process was killed
    second = DeviceLock(path, {"run": "two"})
    assert second.previous == {"run": "one", "since_unix": 1}
    second.release()
    assert DeviceLock(path, {"run": "three"}).previous is None


def test_a_crashed_run_is_not_said_to_measure_while_the_next_holder_writes_its_name(tmp_path, child, monkeypatch):
    path = str(tmp_path / "lock")
    crashed = dict(identity_of(child.pid).to_json(), run="crashed")
    child.kill()
    child.wait()
    os.close(DeviceLock(path, crashed)._fd)
    held = DeviceLock(path, crashed)  # the next holder, as it stands between its lock and its name
    present = dict(ProcessIdentity.of_self().to_json(), run="present")
    pauses = []

    def pause(_):
        pauses.append(None)
        if len(pauses) == 6:  # later than the lock itself is tried
            held._write(json.dumps(present).encode())

    monkeypatch.setattr("time.sleep", pause)
    with pytest.raises(WorkerError, match="run present is measuring here") as refused:
        DeviceLock(path, {"run": "two"})
    assert refused.value.details["holder"] == present
    # From a container with numbers of its own nobody seems to be alive.
    held._write(json.dumps(crashed).encode())
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(WorkerError, match="run crashed is measuring here"):
        DeviceLock(path, {"run": "two"})
    held.release()


def test_leftovers_are_found_by_their_marker_and_nobody_else_is_touched(child):
    marked = subprocess.Popen(["sleep", "600"], env=dict(os.environ, BENCHFLEET_RUNNER="boot.1.2"))
    try:
        wait_until(lambda: "BENCHFLEET_RUNNER=boot.1.2" in read_text(f"/proc/{marked.pid}/environ"))
        assert leftovers.find_marked("boot.1") == []
        assert leftovers.find_marked("boot.1.2") == [marked.pid]
        assert leftovers.end_all(lambda: [] if marked.poll() else leftovers.find_marked("boot.1.2")) == []
        assert marked.wait(10) == -signal.SIGKILL
        assert child.poll() is None
    finally:
        marked.kill()
        marked.wait()


ORPHANS = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from device_worker.system import containment, leftovers
escape = "setsid" if sys.argv[2] == "subreaper" else ""
if not escape:
    containment.load_prctl = lambda: None
hold = containment.Containment(950)
process = subprocess.Popen(["sh", "-c", escape + " sleep 600 & sleep 600"], start_new_session=True)
hold.kill_group(process.pid)
process.wait()
hold.end_trial()
print(containment._children())
"""


@pytest.mark.parametrize("kernel", ["subreaper", "plain"])
def test_a_runner_has_no_children_left_after_a_trial(kernel):
    """Only where the kernel gives orphans to the runner are those found that have left the trial's session."""
    root = os.path.dirname(os.path.dirname(containment.__file__))
    done = subprocess.run([sys.executable, "-c", ORPHANS, root, kernel], stdout=subprocess.PIPE, check=True, timeout=30)
    assert done.stdout == b"[]\n"


WAITING = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from device_worker.system.wakeups import SignalWakeups
wakeups = SignalWakeups()
print(wakeups.wait(0.05), flush=True)
print("waiting", flush=True)
print(wakeups.wait(600), wakeups.is_stopping, wakeups.wait(600), flush=True)
"""


def test_a_wait_ends_in_time_or_with_the_wish_to_stop():
    root = os.path.dirname(os.path.dirname(containment.__file__))
    command = [sys.executable, "-c", WAITING, root]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"False\n"
        assert process.stdout.readline() == b"waiting\n"
        process.terminate()
        assert process.stdout.read() == b"True True True\n"
