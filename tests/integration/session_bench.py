"""A device on this machine, and a conversation of one session with it."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from device_worker.protocol.records import split_records
from orchestrator.blobs.cache import BlobCache
from orchestrator.blobs.worker import loader_source, worker_archive
from orchestrator.domain.blob import BlobKind
from orchestrator.domain.conversation import Assignment, Close, Command, RecordsArrived, Report, SessionEnded
from orchestrator.domain.device import Device, TransportKind
from orchestrator.execution.threads import run_guarded
from orchestrator.power.command_switch import CommandSwitch
from orchestrator.session.device_session import DeviceSession, DeviceSessions
from orchestrator.session.link import LinkPolicy
from orchestrator.session.worker_client import WorkerProgram
from orchestrator.testing.faulty_transport import Fault, FaultyConnector
from orchestrator.transport.admission import gate_of_this_process
from orchestrator.transport.base import Admission, Connector, Transport
from orchestrator.transport.local import LocalConnector

WAIT_S = 30.0
Kind = TypeVar("Kind")
OK = 'echo \'{"metric": "latency_ns", "samples": [1000]}\'\necho \'{"done": true}\'\n'
PATIENT = LinkPolicy(losses_max=6, heartbeat_s=1.0)


class CountingConnector:
    """Local connections; knows how many were made and how many are still open."""

    def __init__(self) -> None:
        self.made = 0
        self.open: set[Transport] = set()

    def connect(self, device: Device) -> Transport:
        transport = LocalConnector().connect(device)
        close = transport.close

        def counted_close() -> None:
            self.open.discard(transport)
            close()

        transport.close = counted_close  # type: ignore[method-assign]
        self.made += 1
        self.open.add(transport)
        return transport


class Bench:
    """One device on this machine, and the plan of an exec program for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = BlobCache(folder / "controller")
        self.device = Device("board", TransportKind.LOCAL, state_dir=str(folder / "device"), exclusive=False)
        self.connector = CountingConnector()

    def assignment(self, program: str, trials: int = 3, run: str = "run-1") -> Assignment:
        """Plan so many trials of a shell program."""
        script = self.cache.add(program.encode(), BlobKind.FILE, "program.sh")
        model = self.cache.add(b"a model", BlobKind.MODEL, "model.tflite")
        job = {
            "job": "j1",
            "label": "shell",
            "variant": "fp32",
            "runtime": "exec/shell",
            "engine": "exec",
            "module": None,
            "settings": {},
            "python_path": [],
            "command": ["sh", "program.sh"],
            "model": {"name": "model.tflite", "sha256": model.sha256, "size": model.size},
            "files": [{"name": "program.sh", "sha256": script.sha256, "size": script.size}],
            "input": {"low": 0.0, "high": 1.0},
            "dataset": None,
            "accuracy_metric": None,
        }
        document = {
            "protocol": 1,
            "device": "board",
            "sweep": "s",
            "seed": 1,
            "jobs": [job],
            "trials": [{"trial": f"j1.{n}", "job": "j1", "kind": "measure", "index": n} for n in range(1, trials + 1)],
            "measure": {
                "warmup_runs_min": 0,
                "warmup_seconds_min": 0.0,
                "runs_min": 1,
                "seconds_min": 0.0,
                "seconds_max": 1.0,
                "runs_max": 10,
            },
            "limits": {
                "trial_timeout_s": 60.0,
                "temperature_c_max": None,
                "memory_bytes_max": None,
                "cooldown_s_max": 0.0,
            },
            "retries": {"failed": 0, "invalid": 0},
            "blobs": [{"sha256": b.sha256, "size": b.size, "kind": b.kind.value} for b in (model, script)],
        }
        plan = self.cache.add(json.dumps(document, sort_keys=True).encode(), BlobKind.PLAN, "plan.json")
        assert plan.sha256 == hashlib.sha256(self.cache.path(plan).read_bytes()).hexdigest()
        return Assignment(run, plan.sha256, (plan, model, script))


class Talk:
    """A session in a thread, and what it has reported."""

    def __init__(
        self,
        bench: Bench,
        faults: Sequence[Fault] = (),
        policy: LinkPolicy = PATIENT,
        reach: Connector | None = None,
        *,
        gate: Admission | None = None,
    ) -> None:
        archive, sha256 = worker_archive()
        connector = FaultyConnector(reach or bench.connector, {bench.device.name: list(faults)})
        worker = WorkerProgram(archive, sha256, loader_source())
        gate = gate or gate_of_this_process()
        parts = DeviceSessions(connector, worker, bench.cache, CommandSwitch(), policy, gate=gate)
        self.session: DeviceSession = parts(bench.device)
        self.reports: list[Report] = []
        self.arriving: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._thread = threading.Thread(target=run_guarded, args=(self.session, "board", self.arriving.put))
        self._thread.start()

    def post(self, command: Command) -> None:
        self.session.post(command)

    def until(self, kind: type[Kind]) -> Kind:
        deadline = time.monotonic() + WAIT_S
        while True:
            report = self.arriving.get(timeout=max(0.1, deadline - time.monotonic()))
            self.reports.append(report)
            if isinstance(report, kind):
                return report
            assert not isinstance(report, SessionEnded), report

    def end(self) -> None:
        self.post(Close())
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    @property
    def events(self) -> Sequence[Mapping[str, object]]:
        """Return every event that was passed on, checking that none came twice and none is missing."""
        lines = b"".join(report.lines for report in self.reports if isinstance(report, RecordsArrived))
        events, used = split_records(lines)
        assert used == len(lines), "records overlap, tear or leave gaps"
        return events
