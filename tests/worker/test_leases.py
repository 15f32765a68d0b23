"""A device that remembers leases: late controllers are refused, and whoever is kept out is told by whom."""

import json
import os
import stat

import pytest

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.fields import BadField, Fields
from device_worker.protocol.start import Lease
from device_worker.state.leases import LeaseBook
from device_worker.state.state_dir import StateDir
from worker_client import Refused, sha256_of, wait_until

DONE = 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'
DATABASE = "5e0c1b9e-0000-4000-8000-000000000001"


def lease(token, database=DATABASE, **fields):
    said = {"database": database, "device": "pi-03", "token": token, "holder": "ann@ws1", "estimate_s": 120}
    return dict(said, **fields)


def read(value):
    return Lease(Fields(value, "lease"))


def start(device, builder, run="run-1", **fields):
    plan = builder.plan_bytes()
    device.upload(*builder.blobs(), plan)
    return device.ask("start", run=run, plan_sha256=sha256_of(plan), skip=[], **fields)


@pytest.fixture
def waiting(plans, tmp_path):
    """A plan of one trial that waits at a fifo, and the fifo."""
    fifo = str(tmp_path / "gate")
    os.mkfifo(fifo)
    plans.add_program("p", f"#!/bin/sh\nread line < {fifo}\n{DONE}", trials=1)
    return plans, fifo


@pytest.fixture
def book(tmp_path):
    state = StateDir(str(tmp_path / "state"))
    state.make()
    return LeaseBook(state)


def admit(book, token, database=DATABASE):
    book.admit(read(lease(token, database=database, estimate_s=None)))


def test_a_lower_token_of_the_same_database_is_refused(book):
    admit(book, 7)
    admit(book, 7)
    with pytest.raises(WorkerError, match="the lease of ann@ws1 has ended") as refused:
        admit(book, 6)
    assert refused.value.kind == "stale-lease"
    admit(book, 8)


def test_databases_do_not_know_each_others_tokens(book):
    admit(book, 7)
    admit(book, 1, "another")
    with pytest.raises(WorkerError):
        admit(book, 6)


def test_the_database_that_was_unheard_of_for_longest_is_forgotten(book):
    for number in range(65):
        admit(book, 7, f"database-{number}")
        admit(book, 100 + number)
    admit(book, 1, "database-0")
    with pytest.raises(WorkerError):
        admit(book, 6, "database-64")
    with pytest.raises(WorkerError):
        admit(book, 163)


def test_the_file_is_private_and_replaced_as_a_whole(book, tmp_path):
    admit(book, 7)
    path = str(tmp_path / "state" / "leases")
    first = os.stat(path)
    admit(book, 8)
    assert os.stat(path).st_ino != first.st_ino
    assert stat.S_IMODE(first.st_mode) == 0o600
    assert [name for name in os.listdir(str(tmp_path / "state")) if name.startswith("leases")] == ["leases"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": "b"}', "\xff"])
def test_a_file_that_a_person_spoilt_is_begun_anew(book, tmp_path, content):
    (tmp_path / "state" / "leases").write_text(content, encoding="latin-1")
    admit(book, 3)
    with pytest.raises(WorkerError):
        admit(book, 2)


@pytest.mark.parametrize(
    "value",
    [
        [],
        "lease",
        {},
        lease(0),
        lease(-1),
        lease(True),
        lease(1.5),
        lease(2**63),
        lease(1, database=""),
        lease(1, database=None),
        lease(1, device=""),
        lease(1, device=None),
        lease(1, holder="x" * 201),
        lease(1, holder="a\nb"),
        lease(1, estimate_s=-1),
        lease(1, estimate_s="long"),
        lease(1, estimate_s=float("nan")),
        lease(1, estimate_s=float("inf")),
    ],
)
def test_what_is_no_lease_is_a_bad_request(value):
    with pytest.raises(BadField, match=r"^lease: "):
        read(value)


def test_a_device_that_is_renamed_begins_anew(book):
    book.admit(read(lease(7)))
    book.admit(read(lease(1, device="pi-3")))
    with pytest.raises(WorkerError, match="has been under a newer lease"):
        book.admit(read(lease(6)))


def test_a_start_under_an_old_lease_starts_nothing(device, plans, state_dir):
    plans.add_program("p", f"#!/bin/sh\n{DONE}", trials=1)
    device.events("run-1", start(device, plans, lease=lease(5))["log_id"])
    with pytest.raises(Refused) as refused:
        start(device, plans, run="run-2", lease=lease(4))
    assert refused.value.kind == "stale-lease"
    assert os.listdir(os.path.join(state_dir, "runs")) == ["run-1"]


def test_a_run_that_goes_on_is_not_told_of_to_an_old_lease(device, waiting, connect):
    plans, fifo = waiting
    log_id = start(device, plans, lease=lease(5))["log_id"]
    with pytest.raises(Refused, match="has been under a newer lease"):
        start(connect(), plans, lease=lease(4))
    assert start(connect(), plans, lease=lease(6))["log_id"] == log_id
    with open(fifo, "w") as gate:
        gate.write("go\n")
    assert device.events("run-1", log_id)[-1]["outcome"] == "complete"


def test_whoever_is_kept_out_hears_who_holds_the_device_since_when_and_until_when(device, waiting, connect, state_dir):
    plans, fifo = waiting
    log_id = start(device, plans, lease=lease(1))["log_id"]
    with open(os.path.join(state_dir, "lock")) as file:
        said = json.load(file)
    assert (said["holder"], said["run"], said["until_unix"] - said["since_unix"]) == ("ann@ws1", "run-1", 120)
    with pytest.raises(Refused) as refused:
        start(connect(), plans, run="run-2", lease=lease(1, database="another", holder="bob@ws2"))
    assert refused.value.kind == "device-busy"
    words = refused.value.answer["message"]
    assert words.startswith("run run-1 of ann@ws1 is measuring here since ")
    assert ", until about " in words
    assert refused.value.answer["holder"]["holder"] == "ann@ws1"
    with open(fifo, "w") as gate:
        gate.write("go\n")
    assert device.events("run-1", log_id)[-1]["outcome"] == "complete"
    wait_until(lambda: os.stat(os.path.join(state_dir, "lock")).st_size == 0)


def test_a_controller_that_knows_no_leases_is_served(device, plans):
    plans.add_program("p", f"#!/bin/sh\n{DONE}", trials=1)
    assert device.events("run-1", start(device, plans)["log_id"])[-1]["outcome"] == "complete"
