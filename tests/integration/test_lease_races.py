"""Processes that race for one device, on both databases: never two of them have it, and each has its turn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import sample_device, sample_header, sample_model, sample_sweep
from tests.databases import Databases

TURNS = 15

RACER = """
import os, sys
from orchestrator.domain.lease import LeaseRequest, Granted
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import sample_device

url, run, witness, turns = sys.argv[1:]
device = sample_device("pi-03")
fd = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
with open_store(url) as store:
    for _ in range(int(turns)):
        claim = LeaseRequest(run + "@ws", "pid " + str(os.getpid()), run, None, 60.0, queues=True)
        answer, places = store.leases.request_leases([device], claim)["pi-03"], {}
        while not isinstance(answer, Granted):
            places = {"pi-03": answer.waiting}
            answer = store.leases.request_leases([device], claim, places)["pi-03"]
        os.write(fd, f"begin {run} {answer.lease.token}\\n".encode())
        assert store.leases.renew_leases({answer.lease.id: 60.0}) == []
        os.write(fd, f"end {run} {answer.lease.token}\\n".encode())
        store.leases.end_leases([answer.lease.id])
"""


def test_two_processes_take_turns(databases: Databases, tmp_path: Path) -> None:
    url, witness = databases.migrated(), tmp_path / "witness"
    runs = ("run-1", "run-2")
    with open_store(url) as store:
        for run in runs:
            header = sample_header(run, sample_sweep(), sample_model())
            store.runs.create_run(header, sample_model(), [sample_device("pi-03")])
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACER, url, run, str(witness), str(TURNS)], stderr=subprocess.PIPE, text=True
            )
            for run in runs
        ]
        for racer in racers:
            _, complaint = racer.communicate(timeout=100)
            assert racer.returncode == 0, complaint
        assert store.leases.holdings(["pi-03"]) == {}
    stamps = [line.split() for line in witness.read_text().splitlines()]
    assert len(stamps) == 2 * TURNS * len(runs)
    for begin, end in zip(stamps[::2], stamps[1::2], strict=True):
        assert (begin[0], end[0]) == ("begin", "end")
        assert begin[1:] == end[1:]
    tokens = [int(token) for _, _, token in stamps[::2]]
    assert tokens == sorted(set(tokens))
