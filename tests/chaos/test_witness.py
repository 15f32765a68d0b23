"""What a trial writes of itself is read back as it was, and logs are read without the project's own reader."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from device_worker.protocol.records import encode_record
from tests.chaos.device_logs import LogKeeper, finished_in, read_records
from tests.chaos.witness import METRIC, read_sightings, write_program
from tests.servers import processes

NAMES = {"state": "pi"}


def run_trial(folder: Path, trial: str) -> dict[str, float]:
    """Run the program where a runner would, and return the metrics that it prints."""
    work = folder / "disk" / "state" / "runs" / "run-1" / "work"
    work.mkdir(parents=True, exist_ok=True)
    command = write_program(work / "trial.py", [0.05, 0.0])
    done = subprocess.run(
        command, cwd=work, env={**os.environ, "BENCHFLEET_TRIAL": trial}, capture_output=True, check=True, timeout=30
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == {"done": True}
    return {line["metric"]: line["value"] for line in lines if "value" in line}


def test_every_trial_reports_a_number_that_its_stamps_have_too(tmp_path: Path) -> None:
    numbers = [run_trial(tmp_path, trial)[METRIC] for trial in ("j.1", "j.2", "j.1")]
    seen = read_sightings(tmp_path / "witness", "pi", NAMES)
    assert [(sighting.trial, sighting.run, sighting.number) for sighting in seen] == [
        ("j.1", "run-1", numbers[0]),
        ("j.2", "run-1", numbers[1]),
        ("j.1", "run-1", numbers[2]),
    ]
    assert all(sighting.ended and sighting.begin_ns < sighting.last_ns for sighting in seen)
    assert len(set(numbers)) == 3


def test_a_trial_is_seen_for_as_long_as_what_it_has_left_behind(tmp_path: Path) -> None:
    run_trial(tmp_path, "j.2")
    witness = tmp_path / "witness"
    (before,) = read_sightings(witness, "pi", NAMES)
    late = {"kind": "alive", "pid": before.pid, "run": "run-1", "trial": "j.2", "mono_ns": before.last_ns + 5}
    with witness.open("a") as file:
        file.write(json.dumps(late) + "\n")
    assert read_sightings(witness, "pi", NAMES) == [replace(before, last_ns=before.last_ns + 5)]


def test_a_trial_that_was_killed_is_seen_until_its_last_stamp(tmp_path: Path) -> None:
    run_trial(tmp_path, "j.1")
    witness = tmp_path / "witness"
    lines = witness.read_bytes().splitlines(keepends=True)
    witness.write_bytes(b"".join(lines[:-1]) + lines[-1][:10])
    (seen,) = read_sightings(witness, "pi", NAMES)
    assert not seen.ended
    assert seen.last_ns == json.loads(lines[-2])["mono_ns"]


def log_of(*kinds: str) -> bytes:
    opened = {"run": "run-1", "log_id": "log-1"}
    finished = {"trial": "j.1", "outcome": "ok", "invalid": [], "metrics": [{"name": METRIC, "value": 99}]}
    return b"".join(
        encode_record({"seq": seq, "kind": kind, **(opened if seq == 1 else finished)})
        for seq, kind in enumerate(kinds, 1)
    )


def test_a_log_is_read_up_to_what_is_torn() -> None:
    whole = log_of("log-opened", "trial-finished", "trial-finished")
    torn = read_records(whole[:-5])
    assert [record["seq"] for record in torn] == [1, 2]
    (found,) = finished_in(torn, "pi", METRIC)
    assert (found.log_id, found.seq, found.trial, found.number) == ("log-1", 2, "j.1", 99)


@pytest.mark.parametrize("position", [3, 12, 40])
def test_a_log_is_read_up_to_what_is_damaged(position: int) -> None:
    first = len(log_of("log-opened"))
    damaged = bytearray(log_of("log-opened", "trial-finished", "trial-finished"))
    damaged[first + position] ^= 1
    assert [record["seq"] for record in read_records(bytes(damaged))] == [1]


def test_a_log_is_kept_with_what_is_written_after_it_was_found_and_when_it_is_gone(tmp_path: Path) -> None:
    run = tmp_path / "state" / "runs" / "run-1"
    run.mkdir(parents=True)
    keeper = LogKeeper(tmp_path / "state", tmp_path / "kept")
    with (run / "log").open("wb", buffering=0) as log:
        log.write(b"one\n")
        processes.wait_until(lambda: len(keeper.logs()) == 1, "the log is found")
        log.write(b"two\n")
    (run / "log").unlink()
    (run / "log").write_bytes(b"another\n")
    keeper.close()
    assert sorted(path.read_bytes() for path in keeper.logs()) == [b"another\n", b"one\ntwo\n"]
