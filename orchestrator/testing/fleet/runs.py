"""Play the runner of a simulated device: what stands in the event log at a moment follows from the plan alone.

Nothing happens between two looks. A look at the log first brings the log up to the present moment, so that a device
that nobody follows costs nothing.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.plan import Plan
from device_worker.protocol.records import encode_record
from device_worker.protocol.vocabulary import Event, FailureKind, LogState, Outcome, RunOutcome
from orchestrator.testing.fleet.faults import Faults, Pace
from orchestrator.testing.fleet.made_up import NO_POWER, PYTHON, boot_id_of, conditions_of, metrics_of

LOST_ATTEMPTS_MAX = 3
"""As the worker has it: after so many deaths of the runner in one trial the trial has failed."""

DEAD = "the runner was killed, or failed: a fault of the simulator"
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Trial:
    key: str
    job: str
    is_preflight: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    """Hold one record unwritten: moment, kind, and for a trial its place in the plan, attempt and failure."""

    at_s: float
    kind: str
    place: int = -1
    attempt: int = 0
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Hold what a run begins with."""

    device: str
    run: str
    plan_sha256: str
    worker_sha256: str
    unix_s: float
    """What Unix time is when the simulator's clock is at 0."""
    exclusive: bool


class SimulatedRun:
    """The log and the runner of one run on one device. Times are seconds of the simulator's clock."""

    def __init__(self, order: Order, plan: Plan, faults: Faults, pace: Pace) -> None:
        self.order = order
        self.log_id = hashlib.sha256(f"{order.device} {order.run} {order.unix_s}".encode()).hexdigest()[:32]
        self.outcome: str | None = None
        self.reason: str | None = None
        self.held_before: float = math.inf
        """No trial from this place on ends: a test holds the device."""
        self._pace, self._faults = pace, faults
        self._planned_for = plan.device
        self._failed_max = plan.retries.failed
        self._trials = [_Trial(trial.key, trial.job, trial.is_preflight) for trial in plan.trials]
        self._entries: list[_Entry] = []
        self._waiting: Iterator[int] = iter(())
        self._place: int | None = None
        self._ends_at = math.inf
        self._deaths = Counter(faults.deaths)
        self._attempts: Counter[int] = Counter()
        self._lost: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._done: set[int] = set()
        self._bad_jobs: dict[str, str] = {}
        self._is_alive = self._stops_between = False

    @property
    def state(self) -> str:
        """Return the state of the run, as the worker names it."""
        if self.outcome is not None:
            return LogState.FINISHED
        return LogState.RUNNING if self._is_alive else LogState.STOPPED

    @property
    def last_seq(self) -> int:
        """Return the number of the last record."""
        return len(self._entries)

    @property
    def due_at(self) -> float:
        """Return when the next record is due, infinity for never by itself."""
        return self._ends_at if self._is_alive and not self.is_held else math.inf

    def begin(self, now: float, skip: Collection[str], spent: Mapping[str, int]) -> None:
        """Start a runner: the first one, or one that goes on with the log. `spent` are failures in other logs."""
        places = {trial.key: place for place, trial in enumerate(self._trials)}
        skipped = {places[key] for key in skip if key in places}
        self._failed.update({places[key]: count for key, count in spent.items() if key in places})
        if not self._entries:
            self._add(now, Event.LOG_OPENED)
        self._add(now, Event.RUNNER_STARTED, len(skip))
        left = [place for place in range(len(self._trials)) if place not in skipped and place not in self._done]
        self._waiting, self._is_alive, self.reason = iter(left), True, None
        self._next_trial(now)

    def advance(self, now: float) -> None:
        """Bring the log up to a moment."""
        while self.due_at <= now:
            self._end_trial(self._ends_at)

    @property
    def is_held(self) -> bool:
        """Say whether a hold is all that keeps the present trial from ending, or soon will be."""
        return self._place is not None and self._place >= self.held_before

    def hold(self, before: float, now: float) -> None:
        """Let no trial from a place of the plan on end. One that an earlier hold has kept ends from now on."""
        if self.is_held:
            self._ends_at = max(self._ends_at, now)
        self.held_before = before

    def cancel(self, now: float, *, between_trials: bool) -> None:
        """Cancel the run, at once or behind the present trial."""
        self.advance(now)
        if self.outcome is not None:
            return
        if between_trials and self._is_alive:
            self._stops_between = True
            return
        if self._is_alive and self._place is not None:
            self._add(now, Event.TRIAL_FINISHED, self._place, self._attempts[self._place], FailureKind.CANCELLED)
        self._finish(now, RunOutcome.CANCELLED)

    def lines(self, after_seq: int, records_max: int) -> list[bytes]:
        """Return the lines of the records behind a number, as the log has them."""
        last = min(self.last_seq, after_seq + records_max)
        return [self._line(seq) for seq in range(after_seq + 1, last + 1)]

    def _next_trial(self, now: float) -> None:
        """Begin the next trial, or end the run behind the last one."""
        for place in self._waiting:
            if self._lost[place] >= LOST_ATTEMPTS_MAX:
                self._add(now, Event.TRIAL_FINISHED, place, self._attempts[place], FailureKind.RUNNER_DIED)
                self._settle(place, failed=True)
                continue
            reason = self._bad_jobs.get(self._trials[place].job)
            if reason is not None:
                self._add(now, Event.TRIAL_SKIPPED, place, words=reason)
                self._done.add(place)
                continue
            self._attempt(now, place)
            return
        self._finish(now, RunOutcome.COMPLETE)

    def _attempt(self, now: float, place: int) -> None:
        self._attempts[place] += 1
        self._place = place
        self._add(now, Event.TRIAL_STARTED, place, self._attempts[place])
        self._ends_at = now + self._pace.trial_s

    def _end_trial(self, now: float) -> None:
        place = self._place
        assert place is not None, "a live runner has a trial"
        if self._deaths[place] > 0:  # in the middle of the trial: nothing of the trial is on record but its begin
            self._deaths[place] -= 1
            self._lost[place] += 1
            self._place, self._is_alive, self.reason = None, False, DEAD
            return
        failed = place in self._faults.failing
        words = FailureKind.EXIT_CODE if failed else None
        self._add(now, Event.TRIAL_FINISHED, place, self._attempts[place], words)
        self._place = None
        self._settle(place, failed=failed)
        if self._stops_between:
            self._finish(now, RunOutcome.CANCELLED)
        elif place in self._done:
            self._next_trial(now)
        else:
            self._attempt(now, place)

    def _settle(self, place: int, *, failed: bool) -> None:
        """Note the end of an attempt: the trial is done, or has a retry left."""
        self._lost[place] = 0
        self._failed[place] += failed
        if failed and self._failed[place] <= self._failed_max:
            return
        self._done.add(place)
        trial = self._trials[place]
        if failed and trial.is_preflight:
            self._bad_jobs[trial.job] = f"its preflight {trial.key} failed: exit-code: a fault of the simulator"

    def _finish(self, now: float, outcome: str) -> None:
        self._add(now, Event.RUN_FINISHED, words=outcome)
        self._place, self._is_alive, self.outcome = None, False, outcome

    def _add(self, at_s: float, kind: str, place: int = -1, attempt: int = 0, words: str | None = None) -> None:
        self._entries.append(_Entry(at_s, kind, place, attempt, words))

    def _line(self, seq: int) -> bytes:
        entry = self._entries[seq - 1]
        clocks = {
            "at_mono_ns": int(entry.at_s * _NS),
            "at_unix_ns": int((self.order.unix_s + entry.at_s) * _NS),
        }
        return encode_record({"seq": seq, "kind": entry.kind, **clocks, **self._fields(entry, clocks["at_unix_ns"])})

    def _fields(self, entry: _Entry, unix_ns: int) -> dict[str, Any]:
        order = self.order
        if entry.kind == Event.LOG_OPENED:
            return {
                "log_id": self.log_id,
                "protocol": PROTOCOL_VERSION,
                "run": order.run,
                "device": self._planned_for,
                "plan_sha256": order.plan_sha256,
                "worker_sha256": order.worker_sha256,
            }
        if entry.kind == Event.RUNNER_STARTED:
            return {"boot_id": boot_id_of(order.device), "pid": 4711, "python": PYTHON, "skip": entry.place}
        if entry.kind == Event.RUN_FINISHED:
            return {"outcome": entry.words}
        trial = self._trials[entry.place]
        named = {"trial": trial.key, "job": trial.job}
        if entry.kind == Event.TRIAL_SKIPPED:
            return {**named, "reason": entry.words}
        named = {**named, "attempt": entry.attempt}  # type: ignore[dict-item]
        if entry.kind == Event.TRIAL_STARTED:
            return {**named, "conditions": conditions_of(unix_ns)}
        return {**named, **self._result(entry, unix_ns)}

    def _draw(self, place: int) -> int:
        """Return a number that is the same for the same trial in every process, unlike `hash`."""
        return zlib.crc32(self.order.device.encode()) + place

    def _result(self, entry: _Entry, unix_ns: int) -> dict[str, Any]:
        failed = entry.words is not None
        duration_ns = int(self._pace.trial_s * _NS)
        failure = {
            "kind": entry.words,
            "message": "a fault of the simulator",
            "signal": None,
            "exit_code": 1,
            "stderr_tail": "",
        }
        return {
            "outcome": Outcome.FAILED if failed else Outcome.OK,
            "failure": failure if failed else None,
            "duration_ns": duration_ns,
            "conditions": conditions_of(unix_ns),
            "conditions_before": conditions_of(unix_ns - duration_ns),
            "invalid": [],
            "runtime": None if failed else {"name": "simulated", "version": "1"},
            "metrics": [] if failed else metrics_of(self._pace, self._draw(entry.place)),
            "outputs": None,
            "input_results": None,
            "window": None,
            "power": None if failed else NO_POWER,
            "profile": None,
            "exclusive": self.order.exclusive,
        }
