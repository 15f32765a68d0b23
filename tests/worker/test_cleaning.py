"""What `clean` removes from a device, and what it names as kept."""

import os
import signal
import subprocess

import pytest

import worker_client
from worker_client import Refused, runner_of, sha256_of, wait_until


def clean(device, cache=True, runs=(), dry_run=False):
    answer = device.ask("clean", cache=cache, runs=list(runs), dry_run=dry_run)
    return answer["removed"], answer["kept"]


def stock_of(device):
    return {one["run"]: one for one in device.ask("stock")["runs"]}


def ending(one):
    return {key: one[key] for key in ("run", "log_id", "last_seq")}


def named(things, kind):
    return {thing["name"] for thing in things if thing["kind"] == kind}


def in_folder(state_dir, folder):
    return set(os.listdir(os.path.join(state_dir, folder)))


@pytest.fixture
def finished(connect, plans):
    """A device on which a run has ended whose log nobody has forgotten yet."""
    plans.add_program("job")
    client = connect()
    client.execute("run-1", plans)
    client.close()
    return connect()


@pytest.fixture
def hanging(connect, plans, tmp_path):
    """A device in the midst of a trial."""
    flag = tmp_path / "flag"
    plans.add_program("job", f"#!/bin/sh\n: > {flag}\nexec sleep 600\n")
    client = connect()
    client.start("run-1", plans)
    wait_until(flag.exists)
    return client


def test_the_stock_tells_runs_with_how_far_their_logs_go(finished):
    stock = stock_of(finished)
    assert set(stock) == {"run-1"}
    one = stock["run-1"]
    assert (one["state"], one["damaged"]) == ("finished", 0)
    assert one["last_seq"] > 0
    assert one["bytes"] > 0


def test_blobs_of_a_run_that_is_still_here_stay_with_the_reason(finished, plans, state_dir):
    removed, kept = clean(finished)
    assert named(removed, "blob") == set()
    assert {one["reason"] for one in kept if one["kind"] == "blob"} == {"needed by run run-1"}
    assert {sha256_of(blob) for blob in [*plans.blobs(), plans.plan_bytes()]} <= in_folder(state_dir, "blobs")


def test_a_run_goes_with_what_only_it_needed(finished, plans, state_dir):
    removed, kept = clean(finished, runs=[ending(stock_of(finished)["run-1"])])
    assert named(removed, "run") == {"run-1"}
    assert named(removed, "blob") == {sha256_of(blob) for blob in [*plans.blobs(), plans.plan_bytes()]}
    assert kept == []
    assert in_folder(state_dir, "runs") == in_folder(state_dir, "blobs") == set()
    assert all(one["bytes"] > 0 for one in removed)


def test_a_dry_run_says_the_same_and_removes_nothing(finished, state_dir):
    before = in_folder(state_dir, "blobs")
    order = [ending(stock_of(finished)["run-1"])]
    would = clean(finished, runs=order, dry_run=True)
    assert in_folder(state_dir, "blobs") == before
    assert in_folder(state_dir, "runs") == {"run-1"}
    assert clean(finished, runs=order) == would


def test_a_run_whose_log_goes_further_than_was_said_stays(finished, state_dir):
    order = dict(ending(stock_of(finished)["run-1"]))
    order["last_seq"] -= 1
    removed, kept = clean(finished, runs=[order])
    assert named(removed, "run") == set()
    assert named(kept, "run") == {"run-1"}
    assert "changed" in next(one for one in kept if one["kind"] == "run")["reason"]
    assert in_folder(state_dir, "runs") == {"run-1"}


def test_a_stopped_run_goes_only_where_it_is_ordered_as_it_stands(hanging, state_dir):
    runner = runner_of(state_dir, "run-1")
    os.kill(runner.pid, signal.SIGKILL)
    wait_until(lambda: not runner.is_alive)
    one = stock_of(hanging)["run-1"]
    assert one["state"] == "stopped"
    removed, _kept = clean(hanging, runs=[ending(one)])
    assert named(removed, "run") == {"run-1"}
    assert in_folder(state_dir, "runs") == set()


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_busy_device_is_left_alone_and_says_who_is_on_it(hanging, state_dir, dry_run):
    before = in_folder(state_dir, "blobs")
    with pytest.raises(Refused, match="run run-1 is measuring here") as refused:
        clean(hanging, runs=[ending(stock_of(hanging)["run-1"])], dry_run=dry_run)
    assert refused.value.kind == "device-busy"
    assert in_folder(state_dir, "blobs") == before
    assert runner_of(state_dir, "run-1").is_alive


def test_what_another_session_has_claimed_stays(connect, state_dir):
    blob = b"claimed"
    other = connect()
    other.upload(blob)
    removed, kept = clean(connect())
    assert removed == []
    assert [one["reason"] for one in kept] == [f"needed by session {other.hello['pid']}"]
    other.close()
    removed, kept = clean(connect())
    assert named(removed, "blob") == {sha256_of(blob)}
    assert in_folder(state_dir, "blobs") == set()


def test_half_an_upload_goes(connect, state_dir):
    connect().ask("blob-put", b"half", sha256="a" * 64, size=1000, offset=0)
    removed, _kept = clean(connect())
    assert named(removed, "blob") == {"a" * 64}
    assert in_folder(state_dir, "blobs") == set()


def test_workers_of_other_versions_go_unless_a_process_was_started_with_one(connect, state_dir, installed_worker):
    idle, busy = "b" * 64, "c" * 64
    for name in (idle, busy):
        os.mkdir(os.path.join(state_dir, "worker", name))
    with subprocess.Popen(["sh", "-c", "read line", "sh", busy], stdin=subprocess.PIPE) as user:
        removed, kept = clean(connect())
        assert [one["reason"] for one in kept if one["kind"] == "worker"] == [f"process {user.pid} runs it"]
    assert named(removed, "worker") == {idle}
    assert in_folder(state_dir, "worker") == {busy, os.path.basename(installed_worker)}
    assert os.path.isdir(installed_worker)


def test_leftovers_of_broken_off_installations_go(connect, state_dir):
    session = connect()
    path = os.path.join(state_dir, "worker", f"{'d' * 64}.{session.process.pid}.partial")
    os.mkdir(path)
    assert named(clean(connect())[0], "leftover") == set(), "somebody may be at it just now"
    session.close()
    assert named(clean(connect())[0], "leftover") == {os.path.basename(path)}
    assert not os.path.exists(path)


def test_the_runs_alone_may_go(finished, state_dir):
    before = in_folder(state_dir, "blobs")
    removed, kept = clean(finished, cache=False, runs=[ending(stock_of(finished)["run-1"])])
    assert ({one["kind"] for one in removed}, kept) == ({"run"}, [])
    assert in_folder(state_dir, "blobs") == before


def test_what_a_killed_runner_left_running_is_ended(hanging, state_dir):
    runner = runner_of(state_dir, "run-1")
    with subprocess.Popen(["sleep", "600"], env=dict(os.environ, BENCHFLEET_RUNNER=runner.marker)) as leftover:
        os.kill(runner.pid, signal.SIGKILL)
        wait_until(lambda: not runner.is_alive)
        clean(hanging)
        assert leftover.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize(
    "fields",
    [
        {"cache": True, "runs": [], "dry_run": "no"},
        {"cache": 1, "runs": [], "dry_run": False},
        {"cache": True, "runs": {"run-1": 1}, "dry_run": False},
        {"cache": True, "runs": ["run-1"], "dry_run": False},
        {"cache": True, "runs": [{"run": "../../etc"}], "dry_run": False},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(device, fields):
    with pytest.raises(Refused) as refused:
        device.ask("clean", **fields)
    assert refused.value.kind == "bad-request"


def test_a_device_that_has_nothing_is_clean(connect, fresh_dir):
    device = connect(state_dir=fresh_dir)
    assert device.ask("stock")["runs"] == []
    assert clean(device) == ([], [])
    assert os.path.isdir(os.path.join(fresh_dir, "worker", worker_client.sha256_of(worker_client.pack_worker())))
