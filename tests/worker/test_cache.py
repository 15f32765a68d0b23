"""What leaves a device's cache, and what never does."""

import os
import subprocess
import time

import pytest

from device_worker.state.cache import Cache
from device_worker.state.state_dir import StateDir
from device_worker.system.process_identity import ProcessIdentity, read_boot_id, read_start_ticks
from worker_client import Refused, pack_bundle, sha256_of

KIB = 1 << 10
BLOB_BYTES = 256 * KIB


@pytest.fixture
def blobs():
    return [os.urandom(BLOB_BYTES) for _ in range(4)]


def ask(device, *blobs, **fields):
    """Ask for blobs as a session does before it uploads."""
    return device.ask("blobs", blobs=[{"sha256": sha256_of(blob), "size": len(blob)} for blob in blobs], **fields)


def ship(connect, *blobs, **fields):
    """Be a session of its own that uploads these and ends."""
    client = connect()
    ask(client, *blobs, **fields)
    for blob in blobs:
        client.ask("blob-put", blob, sha256=sha256_of(blob), size=len(blob), offset=0)
    client.close()


def kept(state_dir):
    return set(os.listdir(os.path.join(state_dir, "blobs")))


def names(*blobs):
    return {sha256_of(blob) for blob in blobs}


def age(state_dir, *blobs):
    """Let these have been used long ago, each before the next."""
    for day, blob in enumerate(blobs):
        os.utime(os.path.join(state_dir, "blobs", sha256_of(blob)), (day * 86400, day * 86400))


def test_the_least_recently_used_gives_way_to_an_upload_beyond_the_cap(connect, state_dir, blobs):
    first, second, third, new = blobs
    for blob in (first, second, third):
        ship(connect, blob)
    age(state_dir, first, second, third)
    answer = ask(connect(), new, cache_bytes_max=3 * BLOB_BYTES + 64 * KIB)
    assert answer["removed_bytes"] >= BLOB_BYTES
    assert kept(state_dir) == names(second, third)


def test_what_a_session_asks_for_is_used_now(connect, state_dir, blobs):
    first, second, third, new = blobs
    for blob in (first, second, third):
        ship(connect, blob)
    age(state_dir, first, second, third)
    ship(connect, first)
    ask(connect(), new, cache_bytes_max=3 * BLOB_BYTES + 64 * KIB)
    assert kept(state_dir) == names(first, third)


def test_nothing_is_removed_where_nothing_is_to_come(connect, state_dir, blobs):
    ship(connect, *blobs)
    assert ask(connect(), blobs[0], cache_bytes_max=1)["removed_bytes"] == 0
    assert kept(state_dir) == names(*blobs)


def test_what_another_session_is_about_to_use_stays_until_that_one_ends(connect, state_dir, blobs):
    """It has uploaded, and not started: no run folder names its blobs yet."""
    mine, theirs = blobs[0], blobs[1]
    ship(connect, mine)
    age(state_dir, mine)
    other = connect()
    ask(other, mine)
    assert ask(connect(), theirs, cache_bytes_max=1)["removed_bytes"] == 0
    other.process.kill()
    other.process.wait()
    assert ask(connect(), theirs, cache_bytes_max=1)["removed_bytes"] >= BLOB_BYTES
    assert kept(state_dir) == set()


def test_what_the_plan_of_a_run_folder_names_stays_until_it_is_forgotten(connect, state_dir, plans, blobs):
    plans.add_program("job", files=[plans.add_file("data", blobs[0])], command=["true"])
    plans.add_program("job2")
    client = connect()
    client.execute("run-1", plans)
    status = client.ask("status", run="run-1")
    client.close()
    ask(connect(), blobs[1], cache_bytes_max=1)
    assert names(*plans.blobs(), plans.plan_bytes()) <= kept(state_dir)
    last = connect()
    assert last.ask("forget", run="run-1", log_id=status["log_id"], last_seq=status["last_seq"])["forgotten"] is True
    ask(last, blobs[1], cache_bytes_max=1)
    assert kept(state_dir) == set()


def test_a_bundle_leaves_together_with_what_it_unpacked_to(connect, state_dir, plans, blobs):
    bundle = pack_bundle({"package/__init__.py": b"", "package/data": os.urandom(BLOB_BYTES)})
    plans.add_program("job", python_path=[plans.add_blob(bundle, "bundle")])
    client = connect()
    client.execute("run-1", plans)
    status = client.ask("status", run="run-1")
    client.ask("forget", run="run-1", log_id=status["log_id"], last_seq=status["last_seq"])
    client.close()
    assert os.listdir(os.path.join(state_dir, "bundles")) == [sha256_of(bundle)]
    assert ask(connect(), blobs[0], cache_bytes_max=1)["removed_bytes"] >= 2 * BLOB_BYTES
    assert os.listdir(os.path.join(state_dir, "bundles")) == []
    assert sha256_of(bundle) not in kept(state_dir)


def test_a_bundle_that_will_be_unpacked_makes_room_for_it_first(connect, state_dir, plans, blobs):
    ship(connect, blobs[0])
    bundle = pack_bundle({"package/zeros": b"\0" * (4 * BLOB_BYTES)})
    plans.add_program("job", python_path=[plans.add_blob(bundle, "bundle")])
    client = connect()
    ask(client, *plans.blobs(), plans.plan_bytes(), cache_bytes_max=4 * BLOB_BYTES)
    for blob in (*plans.blobs(), plans.plan_bytes()):
        client.ask("blob-put", blob, sha256=sha256_of(blob), size=len(blob), offset=0)
    assert sha256_of(blobs[0]) in kept(state_dir)
    answer = client.ask("start", run="run-1", plan_sha256=sha256_of(plans.plan_bytes()), skip=[])
    assert sha256_of(blobs[0]) not in kept(state_dir)
    assert client.events("run-1", answer["log_id"])[-1]["outcome"] == "complete"


def test_an_interrupted_upload_is_no_blob_and_the_first_to_go(connect, state_dir, blobs):
    client = connect()
    half = blobs[0]
    client.ask("blob-put", half[: BLOB_BYTES // 2], sha256=sha256_of(half), size=BLOB_BYTES, offset=0)
    client.process.kill()
    client.process.wait()
    assert kept(state_dir) == {sha256_of(half) + ".partial"}
    again = connect()
    assert ask(again, half)["missing"] == [{"sha256": sha256_of(half), "offset": BLOB_BYTES // 2}]
    again.close()
    assert ask(connect(), blobs[1], cache_bytes_max=1)["removed_bytes"] >= BLOB_BYTES // 2
    assert kept(state_dir) == set()


@pytest.mark.parametrize("moved_s", [0.0, 40 * 3600.0, -40 * 3600.0])
def test_what_broken_off_installations_and_removals_left_goes_and_what_is_being_done_stays(
    connect, state_dir, blobs, moved_s
):
    """Whoever is at it lives, or does not; what a clock says, which may have jumped meanwhile, is no matter."""
    state = StateDir(state_dir)
    state.make()
    dead, alive = pid_of_the_dead(), os.getpid()
    folders = {pid: leftovers_of(state, pid) for pid in (dead, alive)}
    strange = os.path.join(state.worker, "d" * 64 + ".copy.partial")
    os.makedirs(strange)
    at = time.time() + moved_s
    for path in (*folders[dead], *folders[alive]):
        os.utime(path, (at, at))
    ask(connect(), blobs[0])
    assert [path for path in folders[dead] if os.path.exists(path)] == []
    assert [path for path in (*folders[alive], strange) if not os.path.exists(path)] == []


def pid_of_the_dead():
    """Return the number of a process that has ended, and that nobody has been given since."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def leftovers_of(state, pid):
    """Make what a process of this number has in hand, as installing, removing and forgetting name it."""
    paths = [
        os.path.join(state.worker, f"{'a' * 64}.{pid}.partial"),
        os.path.join(state.bundles, f".removed-{'b' * 64}.{pid}"),
        os.path.join(state.runs, f".forgotten-run.1.{pid}"),
    ]
    for path in paths:
        os.makedirs(path)
        with open(os.path.join(path, "file"), "wb") as file:
            file.write(b"x")
    return paths


@pytest.mark.parametrize("cap", [0, -1, True, "4G", 1.5])
def test_a_cap_that_is_none_is_refused(device, cap):
    with pytest.raises(Refused, match="cache_bytes_max"):
        ask(device, cache_bytes_max=cap)


def test_a_claim_of_a_process_number_that_is_used_again_is_not_held(state_dir):
    """The file names a process of this number that started at another time: it has ended."""
    state = StateDir(state_dir)
    state.make()
    cache = Cache(state)
    cache.claims.make(["a" * 64])
    path = os.path.join(state.claims, str(os.getpid()))
    assert cache.claims.alive() == {"a" * 64: os.getpid()}
    ticks = read_start_ticks(os.getpid())
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace(str(ticks), str(ticks - 1)))
    assert not ProcessIdentity(os.getpid(), read_boot_id(), ticks - 1).is_alive
    assert cache.claims.alive() == {}
    assert os.listdir(state.claims) == []


def test_a_conversation_that_ends_in_order_leaves_no_claim(connect, state_dir, blobs):
    ship(connect, blobs[0])
    assert os.listdir(os.path.join(state_dir, "claims")) == []
