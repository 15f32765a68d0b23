"""A disk that really fills up: a small tmpfs, mounted for the test."""

import contextlib
import errno
import os
import shutil
import subprocess

import pytest

import worker_client
from device_worker.protocol.plan import Plan
from device_worker.runner.progress import Progress
from device_worker.runner.runner import Runner
from device_worker.state.bundles import BundleStore
from device_worker.state.state_dir import RunDir
from worker_client import Refused, trials_of

DISK_BYTES = 2 << 20


@pytest.fixture
def disk(tmp_path):
    """A folder with two MiB of room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)]
    if subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE).returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_device(disk, connect, installed_worker):
    """A device whose state folder lies on the small disk."""
    worker_client.seed_state_dir(str(disk / "state"), installed_worker)
    yield connect(state_dir=str(disk / "state"))
    worker_client.end_runners(str(disk / "state"))


def fill(disk):
    """Use up the disk to the last byte."""
    with open(str(disk / "filler"), "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 16, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\1" * size) == size:
                    pass


def test_a_worker_that_does_not_fit_is_a_full_disk(disk, worker_zip):
    fill(disk)
    (disk / "filler").write_bytes(b"\1" * (DISK_BYTES - (64 << 10)))
    command = worker_client.loader_command(str(disk / "state"), worker_zip)
    done = subprocess.run(command, input=worker_zip, stdout=subprocess.PIPE, timeout=30)
    lines = worker_client.parse_loader_lines(done.stdout)
    assert [line.get("error") for line in lines] == [None, "disk-full"]
    assert os.listdir(str(disk / "state" / "worker")) == []


def test_a_blob_that_does_not_fit_is_refused_and_leaves_the_room_to_others(small_device, disk):
    free = small_device.ask("blobs", blobs=[])["free_bytes"]
    with pytest.raises(Refused) as refused:
        small_device.upload(os.urandom(free + 4096))
    assert refused.value.kind == "disk-full"
    assert refused.value.answer["needed_bytes"] > refused.value.answer["free_bytes"]
    assert small_device.ask("blobs", blobs=[])["free_bytes"] == free


def test_a_disk_that_fills_up_in_the_midst_of_a_run_ends_it_in_order_and_it_can_go_on(
    small_device, disk, plans, tmp_path
):
    """The second trial fills the disk: its result has no room, and yet the log says why it ended."""
    flag = tmp_path / "flag"
    script = (
        "#!/bin/sh\n"
        f'if [ "$BENCHFLEET_TRIAL" = job.2 ] && [ ! -e {flag} ]; then\n'
        f"touch {flag}; cat /dev/zero > {disk}/filler 2>/dev/null; fi\n"
        "samples=$(od -An -v -tu4 -w4 -N 40000 /dev/urandom | tr -s ' \\n' ',' | sed 's/^,//; s/,$//')\n"
        'echo "{\\"metric\\": \\"m\\", \\"samples\\": [$samples]}"\necho \'{"done": true}\'\n'
    )
    plans.add_program("job", script, trials=3)
    log_id = small_device.start("run-1", plans)["log_id"]
    events = small_device.events("run-1", log_id)
    assert [event["trial"] for event in trials_of(events)] == ["job.1"]
    assert [event["trial"] for event in trials_of(events, "trial-started")] == ["job.1", "job.2"]
    assert (events[-1]["kind"], events[-1]["outcome"]) == ("run-finished", "disk-full")
    fill(disk)
    with pytest.raises(Refused) as refused:
        small_device.start("run-1", plans)
    assert refused.value.kind == "disk-full"
    (disk / "filler").unlink()
    assert small_device.start("run-1", plans)["state"] == "running"
    rest = small_device.events("run-1", log_id, after_seq=events[-1]["seq"])
    assert [(event["trial"], event["attempt"]) for event in trials_of(rest)] == [("job.2", 2), ("job.3", 1)]
    assert rest[-1]["outcome"] == "complete"


def test_a_run_whose_log_will_not_fit_does_not_begin(small_device, disk, plans):
    plans.add_program("job", trials=50)
    plans.plan["measure"].update(seconds_min=5.0, runs_max=10**6)
    with pytest.raises(Refused, match="the log of this run needs about") as refused:
        small_device.start("run-1", plans)
    assert refused.value.kind == "disk-full"
    assert refused.value.answer["needed_bytes"] > DISK_BYTES > refused.value.answer["free_bytes"] > 0
    assert small_device.ask("status", run="run-1")["state"] == "unknown"
    assert os.listdir(str(disk / "state" / "runs")) == []
    assert (disk / "state" / "lock").read_bytes() == b"", "nobody holds the device, and nobody crashed"
    plans.plan["measure"].update(seconds_min=0.0)
    assert small_device.execute("run-1", plans)[-1]["outcome"] == "complete"


def test_what_was_reserved_is_recorded_although_others_fill_the_disk(small_device, disk, plans, tmp_path):
    """Nothing of the disk is left after the first trial has begun, and yet every result has its room."""
    script = "#!/bin/sh\n[ -e {0} ] || (touch {0}; cat /dev/zero > {1}/filler) 2>/dev/null\n"
    script = script.format(tmp_path / "flag", disk) + 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'
    plans.add_program("job", script, trials=5)
    events = small_device.execute("run-1", plans)
    assert [event["outcome"] for event in trials_of(events)] == ["ok"] * 5
    assert events[-1]["outcome"] == "complete"


def test_a_plan_whose_bundles_will_not_fit_does_not_begin(small_device, plans):
    bundle = worker_client.pack_bundle({"package/zeros": b"\0" * (DISK_BYTES + 1)})
    plans.add_program("job", python_path=[plans.add_blob(bundle, "bundle")])
    with pytest.raises(Refused, match="bundles unpack to") as refused:
        small_device.start("run-1", plans)
    assert refused.value.kind == "disk-full"
    assert refused.value.answer["needed_bytes"] > DISK_BYTES


def test_what_was_recorded_can_be_collected_from_a_disk_that_can_only_be_read(disk, connect, installed_worker, plans):
    state = str(disk / "state")
    worker_client.seed_state_dir(state, installed_worker)
    first = connect(state_dir=state)
    plans.add_program("job", trials=2)
    recorded = first.execute("run-1", plans)
    first.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    again = connect(state_dir=state)
    assert again.ask("facts")["facts"]["health"]["read_only"] is True
    assert again.events("run-1", recorded[0]["log_id"]) == recorded
    other = type(plans)()
    other.add_program("other")
    with pytest.raises(Refused, match="Read-only") as refused:
        again.start("run-2", other)
    assert refused.value.kind == "state-dir-unusable"


def test_a_worker_is_not_shipped_to_a_disk_that_can_only_be_read(disk, worker_zip):
    os.makedirs(str(disk / "state" / "worker"), 0o700)
    os.chmod(str(disk / "state"), 0o700)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    (line,) = worker_client.parse_loader_lines(worker_client.run_loader(str(disk / "state"), worker_zip).stdout)
    assert line["error"] == "state-dir-unusable"
    assert "read-only" in line["message"]


class FailedDiskLog:
    """Stands in for a log on a disk that the kernel has made read-only because it fails."""

    log_id = "the-log"

    def append(self, kind, **_fields):
        raise OSError(errno.EROFS, "Read-only file system", kind)


def test_a_runner_whose_disk_fails_ends_without_measuring(tmp_path, plans, capfd):
    """It can record nothing, so it starts nothing; what it can still say is in its own log."""
    plans.add_job("job", engine="tflite")
    plans.add_trials("job", 0, preflight=True)
    plan = Plan.parse(plans.plan_bytes())
    run_dir = RunDir(str(tmp_path), "run-1")
    runner = Runner(run_dir, plan, Progress(plan, ()), FailedDiskLog(), wake_fd=-1, exclusive=True)
    runner.execute(attempts=None, wakeups=NeverStopping(), containment=NothingLeft())
    assert "the disk is read-only now" in capfd.readouterr().err


class NeverStopping:
    """The wake-ups of a runner that nobody disturbs."""

    is_stopping = False


class NothingLeft:
    """The containment of trials that all end."""

    survivors = ()


def test_a_bundle_that_does_not_fit_is_refused_before_it_is_unpacked(disk, tmp_path):
    import zipfile

    with zipfile.ZipFile(str(tmp_path / "archive"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small", b"\0")
        archive.writestr("zeros", b"\0" * (DISK_BYTES + 1))
    with pytest.raises(OSError, match="unpacks to") as refused:
        BundleStore(str(disk)).unpack(str(tmp_path / "archive"), "a" * 64, lambda: False)
    assert refused.value.errno == errno.ENOSPC
    assert os.listdir(str(disk)) == []
