"""Keep what a simulated device has: blobs, runs, leases; and answer the questions that need no waiting."""

from __future__ import annotations

import hashlib
import math
import time
import zlib
from collections.abc import Callable
from typing import Any

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.fields import Fields
from device_worker.protocol.plan import Plan
from device_worker.protocol.start import Lease, StartOrder
from device_worker.protocol.vocabulary import ErrorKind, LogState, Message
from orchestrator.testing.fleet.faults import Faults, Pace
from orchestrator.testing.fleet.made_up import facts_of
from orchestrator.testing.fleet.runs import Order, SimulatedRun

_RUN_CHARACTERS_MAX = 100
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

Answer = dict[str, Any]


class SimulatedDevice:
    """One device. Used by one thread, that of the simulator's event loop."""

    def __init__(self, name: str, pace: Pace, faults: Faults) -> None:
        self.name = name
        self.pace = pace
        self.faults = faults
        self.workers: set[str] = set()
        self.runs: dict[str, SimulatedRun] = {}
        self.faults_used: dict[str, int] = {}
        self.held_before = math.inf
        self.followers: set[Callable[[], None]] = set()
        """What to call when a follower has to look at the log before the next record is due."""
        self._plans: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._partial: dict[str, bytearray] = {}
        self._tokens: dict[str, int] = {}
        self._unix_s = time.time() - time.monotonic()
        self._answers: dict[str, Callable[[Fields, bytes, str], Answer]] = {
            Message.BYTECODE: self._bytecode,
            Message.FACTS: self._facts,
            Message.CLOCK: self._clock,
            Message.BLOBS: self._blobs,
            Message.BLOB_PUT: self._blob_put,
            Message.START: self._start,
            Message.STATUS: self._status,
            Message.CANCEL: self._cancel,
            Message.FORGET: self._forget,
            Message.STOCK: self._stock,
            Message.CLEAN: self._clean,
        }
        self.state_dir = ""

    def answer(self, message: dict[str, Any], payload: bytes, worker_sha256: str) -> Answer:
        """Return the fields of the answer to a question. Raise WorkerError or BadField."""
        answer = self._answers.get(message["type"])
        if answer is None:
            raise WorkerError(ErrorKind.BAD_REQUEST, f"no such message: {message['type'][:80]!r}")
        return answer(Fields(message, message["type"]), payload, worker_sha256)

    def run_of(self, fields: Fields) -> tuple[str, SimulatedRun | None]:
        """Return a run that a message names, as far as the log goes now, or None. Raise WorkerError for a bad name."""
        name = fields.get("run")
        if not isinstance(name, str) or not name or name[0] == "." or not _NAME_CHARACTERS.issuperset(name):
            raise WorkerError(ErrorKind.BAD_REQUEST, "run: expected a plain name")
        if len(name) > _RUN_CHARACTERS_MAX:
            raise WorkerError(ErrorKind.BAD_REQUEST, f"run: expected at most {_RUN_CHARACTERS_MAX} characters")
        run = self.runs.get(name)
        if run is not None:
            run.advance(time.monotonic())
        return name, run

    def hold(self, before: float) -> None:
        """Let no trial from this place of the plan on end, infinity for none."""
        self.held_before = before
        for run in self.runs.values():
            run.hold(before, time.monotonic())
        self.wake()

    @property
    def is_held(self) -> bool:
        """Say whether a controller follows a run here that only goes on once the hold ends."""
        for run in self.runs.values():
            run.advance(time.monotonic())
        return bool(self.followers) and any(run.is_held for run in self.runs.values())

    def wake(self) -> None:
        """Have all followers look at their logs."""
        for call in list(self.followers):
            call()

    def _bytecode(self, fields: Fields, _payload: bytes, _worker: str) -> Answer:
        fields.sections("modules")
        raise WorkerError(ErrorKind.BAD_REQUEST, "bytecode: a simulated device has no Python to run any")

    def _facts(self, _fields: Fields, _payload: bytes, _worker: str) -> Answer:
        return {"facts": facts_of(self.name, self.state_dir, time.time_ns())}

    def _clock(self, _fields: Fields, _payload: bytes, _worker: str) -> Answer:
        return {"mono_ns": time.monotonic_ns(), "unix_ns": time.time_ns()}

    def _blobs(self, fields: Fields, _payload: bytes, _worker: str) -> Answer:
        wanted = [(blob.sha256("sha256"), blob.whole("size")) for blob in fields.sections("blobs")]
        missing = [
            {"sha256": sha256, "offset": len(self._partial.get(sha256, b""))}
            for sha256, size in wanted
            if self._sizes.get(sha256) != size
        ]
        return {"missing": missing, "free_bytes": 20_000_000_000, "removed_bytes": 0}

    def _blob_put(self, fields: Fields, payload: bytes, _worker: str) -> Answer:
        sha256, size, offset = fields.sha256("sha256"), fields.whole("size"), fields.whole("offset")
        if self._sizes.get(sha256) == size:
            return {"sha256": sha256, "complete": True}
        partial = self._partial.setdefault(sha256, bytearray())
        if offset > len(partial):
            raise WorkerError(ErrorKind.BAD_REQUEST, f"blob-put: {len(partial)} bytes are here, not {offset}")
        partial[offset:] = payload
        if len(partial) < size:
            return {"sha256": sha256, "complete": False}
        data = bytes(self._partial.pop(sha256))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise WorkerError(ErrorKind.BLOB_CORRUPT, f"the SHA-256 of {sha256} is another")
        self._sizes[sha256] = size
        if data.startswith(b'{"'):  # only plans are ever read; of other blobs the size is enough
            self._plans[sha256] = zlib.compress(data, 1)
        return {"sha256": sha256, "complete": True}

    def _start(self, fields: Fields, _payload: bytes, worker_sha256: str) -> Answer:
        order = StartOrder(fields, worker_sha256)
        name, run = self.run_of(fields)
        if order.lease is not None:
            self._admit(order.lease)
        if run is not None and run.order.plan_sha256 != order.plan_sha256:
            raise WorkerError(ErrorKind.PLAN_INVALID, f"run {name} has another plan here already")
        if run is not None and run.state != LogState.STOPPED:
            pid = 4711 if run.state == LogState.RUNNING else None
            return {"state": run.state, "log_id": run.log_id, "pid": pid}
        self._refuse_if_busy(name)
        if run is None:
            started = Order(self.name, name, order.plan_sha256, worker_sha256, self._unix_s, order.exclusive)
            run = SimulatedRun(started, self._plan(order.plan_sha256), self.faults, self.pace)
            run.held_before = self.held_before
            self.runs[name] = run
        spent = {trial: failed for log in order.spent.values() for trial, (failed, _invalid) in log.items()}
        run.begin(time.monotonic(), order.skip, spent)
        return {"state": run.state, "log_id": run.log_id, "pid": 4711}

    def _admit(self, lease: Lease) -> None:
        if lease.token < self._tokens.get(lease.origin, 0):
            raise WorkerError(ErrorKind.STALE_LEASE, f"a newer lease than {lease.token} has been here")
        self._tokens[lease.origin] = lease.token

    def _refuse_if_busy(self, name: str) -> None:
        for other, run in self.runs.items():
            run.advance(time.monotonic())
            if other != name and run.state == LogState.RUNNING:
                raise WorkerError(ErrorKind.DEVICE_BUSY, f"run {other} has the device")

    def _plan(self, sha256: str) -> Plan:
        packed = self._plans.get(sha256)
        if packed is None:
            raise WorkerError(ErrorKind.BLOB_MISSING, f"the plan {sha256} is not on this device", missing=[sha256])
        plan = Plan.parse(zlib.decompress(packed))
        missing = [blob.sha256 for blob in plan.blobs if blob.sha256 not in self._sizes]
        if missing:
            raise WorkerError(ErrorKind.BLOB_MISSING, "blobs of the plan are not here", missing=missing)
        if plan.stop is not None:
            raise WorkerError(ErrorKind.PLAN_INVALID, "plan: stop: a simulated device knows no stop rule")
        return plan

    def _status(self, fields: Fields, _payload: bytes, _worker: str) -> Answer:
        return _standing(self.run_of(fields)[1])

    def _cancel(self, fields: Fields, _payload: bytes, _worker: str) -> Answer:
        run = self.run_of(fields)[1]
        if run is not None:
            run.cancel(time.monotonic(), between_trials=bool(fields.get("between_trials")))
            self.wake()
        return {"state": _standing(run)["state"]}

    def _forget(self, fields: Fields, _payload: bytes, _worker: str) -> Answer:
        name, run = self.run_of(fields)
        if run is None:
            return {"forgotten": True}
        whole = (run.log_id, run.last_seq) == (fields.get("log_id"), fields.get("last_seq"))
        forgotten = run.state == LogState.FINISHED and whole
        if forgotten:
            del self.runs[name]
        return {"forgotten": forgotten}

    def _stock(self, _fields: Fields, _payload: bytes, _worker: str) -> Answer:
        return {"runs": [{**_standing(run), "run": name, "bytes": 0, "damaged": 0} for name, run in self.runs.items()]}

    def _clean(self, fields: Fields, _payload: bytes, _worker: str) -> Answer:
        removed, kept = [], []
        for one in fields.sections("runs"):
            name, run = self.run_of(one)
            if run is None:
                continue
            named = {"kind": "run", "name": name, "bytes": 0}
            if run.state == LogState.RUNNING or (run.log_id, run.last_seq) != (one.get("log_id"), one.get("last_seq")):
                kept.append({**named, "reason": "the run has changed since the controller looked"})
                continue
            removed.append(named)
            if not fields.flag("dry_run"):
                del self.runs[name]
        if fields.flag("cache"):
            removed += [{"kind": "blob", "name": sha256, "bytes": size} for sha256, size in self._sizes.items()]
            if not fields.flag("dry_run"):
                self._sizes.clear()
                self._plans.clear()
        return {"removed": removed, "kept": kept}


def _standing(run: SimulatedRun | None) -> Answer:
    if run is None:
        return {"state": LogState.UNKNOWN, "log_id": None, "last_seq": None}
    return {"state": run.state, "log_id": run.log_id, "last_seq": run.last_seq}
