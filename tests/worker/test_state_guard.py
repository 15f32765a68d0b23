"""Which folders are taken for a state folder, and how private everything in it is."""

import os
import stat

import pytest

import worker_client
from device_worker.system import mounts
from fixture_trees import write_file, write_tree
from worker_client import Refused, parse_loader_lines, sha256_of

GENERATED_MOUNTS = (
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
    "30 22 0:24 / /home rw,nosuid shared:5 - {home} server:/export/home rw,vers=4.2\n"
    "31 30 254:2 / /home/pi/local\\040disk rw - ext4 /dev/sda1 rw\n"
    "32 22 0:40 / /srv rw - tmpfs tmpfs rw\n"
    "33 32 0:41 / /srv rw master:3 - {over} lab rw\n"
)


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """A function that lets a generated table of mounts stand for the device's."""

    def replay(home="nfs4", over="ext4", table=GENERATED_MOUNTS):
        tree = {"proc/self/mountinfo": table.format(home=home, over=over)}
        monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(tmp_path / "root", tree))

    return replay


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/benchfleet", "ext4"),
        ("/home", "nfs4"),
        ("/home/pi/.cache/benchfleet", "nfs4"),
        ("/homestead/benchfleet", "ext4"),
        ("/home/pi/local disk/state", "ext4"),
        ("/srv/state", "cifs"),
    ],
)
def test_the_longest_and_latest_mount_decides(mounted, path, kind):
    mounted(over="cifs")
    assert mounts.file_system_of(path) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "lustre", "afs"])
def test_network_file_systems_are_known(kind):
    assert mounts.is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "f2fs", "tmpfs", "overlay", "fuse.ntfs-3g", "fuseblk", "btrfs", "", None])
def test_disks_are_none(kind):
    assert not mounts.is_network(kind)


def test_a_damaged_table_of_mounts_says_nothing(mounted):
    mounted(table="22 1\n- - -\n1 2 3 / / rw shared:1 ext4\n")
    assert mounts.file_system_of("/home") is None


@pytest.fixture
def on_a_network_disk(tmp_path):
    """The environment of a worker to which a generated table says that this very folder is another machine's."""
    table = f"22 1 0:5 / / rw - ext4 d rw\n9 22 0:6 / {tmp_path} rw - nfs4 s:/ rw\n"
    return {"BENCHFLEET_SYSFS_ROOT": write_tree(tmp_path / "root", {"proc/self/mountinfo": table})}


def test_nothing_is_written_to_a_network_file_system(connect, plans, on_a_network_disk, state_dir):
    plans.add_program("job")
    device = connect(environment=on_a_network_disk)
    refused = device.ask("facts")["facts"]["health"]["state_dir_refused"]
    assert "nfs4" in refused["message"]
    assert "state_dir: in the inventory" in refused["hint"]
    plan = sha256_of(plans.plan_bytes())
    writing = (
        ("blobs", {"blobs": []}),
        ("blob-put", {"sha256": plan, "size": 4, "offset": 0}),
        ("start", {"run": "run-1", "plan_sha256": plan, "skip": []}),
    )
    for kind, fields in writing:
        with pytest.raises(Refused) as told:
            device.ask(kind, **fields)
        assert told.value.kind == "state-dir-unusable"
        assert (told.value.answer["message"], told.value.answer["hint"]) == (refused["message"], refused["hint"])
    assert os.listdir(state_dir) == ["worker"]


def test_what_an_older_release_left_on_a_network_file_system_is_collected_and_cleared(
    connect, plans, on_a_network_disk, state_dir
):
    plans.add_program("job")
    before = connect()
    events = {run: before.execute(run, plans) for run in ("run-1", "run-2")}
    before.close()
    device = connect(environment=on_a_network_disk)
    ends = {run: device.ask("status", run=run) for run in events}
    for run, end in ends.items():
        assert device.events(run, end["log_id"]) == events[run]
        assert device.ask("cancel", run=run)["state"] == "finished"
    known = {"log_id": ends["run-1"]["log_id"], "last_seq": ends["run-1"]["last_seq"]}
    assert device.ask("forget", run="run-1", **known)["forgotten"]
    (stocked,) = device.ask("stock")["runs"]
    order = [{key: stocked[key] for key in ("run", "log_id", "last_seq")}]
    device.ask("clean", cache=True, runs=order, dry_run=False)
    assert os.listdir(os.path.join(state_dir, "runs")) == os.listdir(os.path.join(state_dir, "blobs")) == []


def test_a_state_folder_on_a_disk_is_not_refused(device):
    assert device.ask("facts")["facts"]["health"]["state_dir_refused"] is None


def first_message(state_dir, worker, **environment):
    """Return the first message of a conversation, whatever it is."""
    client = worker_client.Client(worker, state_dir, environment=environment)
    client.close()
    return client.hello


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o704])
def test_a_state_folder_that_others_may_read_is_made_private(state_dir, worker_zip, mode):
    os.chmod(state_dir, mode)
    assert first_message(state_dir, worker_zip)["type"] == "hello"
    assert stat.S_IMODE(os.stat(state_dir).st_mode) == 0o700


def test_a_folder_with_what_is_not_ours_keeps_its_mode_and_is_refused(connect, state_dir):
    """A home folder, or the root of a disk: whoever made it chose its mode."""
    os.chmod(state_dir, 0o755)
    write_file(state_dir, "thesis.tex", "")
    with pytest.raises(Refused) as told:
        connect().ask("blobs", blobs=[])
    assert told.value.kind == "state-dir-unusable"
    assert "thesis.tex" in told.value.answer["message"]
    assert "chmod 700" in told.value.answer["hint"]
    assert stat.S_IMODE(os.stat(state_dir).st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_state_folder_that_others_may_write_is_refused_by_the_loader(state_dir, worker_zip, mode):
    """What lies there may be somebody else's program: nothing of it is executed, a worker least of all."""
    os.chmod(state_dir, mode)
    done = worker_client.run_loader(state_dir, worker_zip)
    assert [line["error"] for line in parse_loader_lines(done.stdout)] == ["state-dir-unusable"]
    assert b"chmod 700" in done.stdout
    assert done.returncode == 1


def test_everything_in_the_state_folder_is_private_whatever_the_umask(connect, plans, tmp_path):
    """While a run is under way, so that its lock, fifo, work folder and unpacked bundle are among what is looked at."""
    state = str(tmp_path / "loose" / "state")
    gate = tmp_path / "gate"
    os.mkfifo(str(gate))
    bundle = worker_client.pack_bundle({"package/__init__.py": b"", "bin/tool": b"#!/bin/sh\n"})
    sha256 = plans.add_blob(bundle, "bundle")
    plans.add_program("job", f"#!/bin/sh\nread line < {gate}\necho '{{\"done\": true}}'\n", python_path=[sha256])
    device = connect(state_dir=state, prefix=["sh", "-c", 'umask 000; exec "$@"', "sh"])
    log_id = device.start("run-1", plans)["log_id"]
    device.ask("blob-put", b"half", sha256="a" * 64, size=1000, offset=0)
    messages = device.follow("run-1", log_id)
    device.until(messages, "trial-started")
    with open(str(gate), "w") as fifo:  # opens only when the trial waits there
        loose = [path for path in everything_in(state) if not os.path.islink(path) and os.stat(path).st_mode & 0o077]
        fifo.write("go\n")
    assert loose == []
    assert list(messages)[-1]["state"] == "finished"


def everything_in(folder):
    yield folder
    for parent, folders, names in os.walk(folder):
        for name in folders + names:
            yield os.path.join(parent, name)
