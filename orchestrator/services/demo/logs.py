"""Write the event log of one device of a made-up run, as the device's runner would."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.records import encode_record
from device_worker.protocol.samples import encode_block
from device_worker.protocol.vocabulary import Event, FailureKind, Outcome, RunOutcome
from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.plan.values import DevicePlan, Trial, TrialKind
from orchestrator.services.demo.lab import DemoCell, DemoDevice, artifact_bytes
from orchestrator.services.demo.story import Story

SAMPLES = 30
SAMPLES_OF_LONG_NIGHTS = 320
"""Enough for a 99th percentile."""

_VECTORS = 48
_OUTLIERS = 0.02
_TRIAL_NS = 2_600_000_000
_WINDOW_NS = 1_050_000_000


class NoiseBank:
    """Hold samples relative to their median, made once: drawing millions would take most of the time."""

    def __init__(self, dice: random.Random) -> None:
        self._vectors = {
            count: [[_sample(dice) for _ in range(count)] for _ in range(_VECTORS)]
            for count in (SAMPLES, SAMPLES_OF_LONG_NIGHTS)
        }

    def samples(self, level: float, count: int, dice: random.Random) -> list[int]:
        """Return samples around a level."""
        # Not randrange(), which takes several times as long as random().
        return [int(level * one) for one in self._vectors[count][int(dice.random() * _VECTORS)]]


def _sample(dice: random.Random) -> float:
    slow = dice.uniform(1.05, 1.6) if dice.random() < _OUTLIERS else 1.0
    return max(0.9, dice.gauss(1.0, 0.008)) * slow


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold a device's log of a run, and the medians of the counted trials of each job."""

    arrived: RecordsArrived
    medians: Mapping[str, Sequence[float]]
    duration_ns: int
    ends_unix_ns: int


class RunnerLog:
    """Write one log. An instance writes a single log."""

    def __init__(self, run: str, plan: DevicePlan, device: DemoDevice, began: datetime, night: int) -> None:
        self._run, self._plan, self._device, self._night = run, plan, device, night
        self._lines: list[bytes] = []
        # Whole seconds first: a float holds today's time in nanoseconds to 256 alone.
        self._began_unix_ns = int(began.timestamp()) * 1_000_000_000
        self._mono_ns = 0
        self._medians: dict[str, list[float]] = {}

    def write(self, story: Story, cells: Mapping[str, DemoCell], worker_sha256: str, bank: NoiseBank) -> Measured:
        """Return the whole log. `cells` has the cell of each job by the job's key."""
        log_id = f"demo-{self._run}-{self._device.name}"
        self._append(
            Event.LOG_OPENED,
            log_id=log_id,
            protocol=PROTOCOL_VERSION,
            run=self._run,
            device=self._device.name,
            plan_sha256=self._plan.sha256,
            worker_sha256=worker_sha256,
        )
        self._append(Event.RUNNER_STARTED, boot_id=f"boot-of-{self._device.name}", pid=4711, python="3.11.2", skip=0)
        dice = story.dice("log", self._run, self._device.name)
        trials = _Trials(story, self._device, self._night, dice, bank)
        again: list[Trial] = []
        for trial in self._plan.trials:
            if not self._attempt(trial, cells[trial.job], trials, 1):
                again.append(trial)
        # The runner repeats invalid trials at the end, when the device may have cooled down.
        for trial in again:
            self._attempt(trial, cells[trial.job], trials, 2)
        self._append(Event.RUN_FINISHED, outcome=RunOutcome.COMPLETE)
        lines = b"".join(self._lines)
        arrived = RecordsArrived(self._device.name, self._run, log_id, 1, len(self._lines), lines)
        return Measured(arrived, self._medians, self._mono_ns, self._began_unix_ns + self._mono_ns)

    def _attempt(self, trial: Trial, cell: DemoCell, trials: _Trials, attempt: int) -> bool:
        """Append an attempt at a trial. Return False if the attempt is invalid, and is to be repeated."""
        if not trials.loads(cell) and trial.kind is TrialKind.MEASURE:
            self._append(Event.TRIAL_SKIPPED, trial=trial.key, job=trial.job, reason=trials.skip_reason)
            return True
        named = {"trial": trial.key, "job": trial.job, "attempt": attempt}
        before = trials.conditions()
        self._append(Event.TRIAL_STARTED, **named, conditions=before)
        self._mono_ns += _TRIAL_NS
        finished = trials.finished(trial, cell, self._mono_ns)
        self._append(Event.TRIAL_FINISHED, **named, conditions_before=before, **finished)
        valid = not finished["invalid"]
        if valid and trials.median_ns is not None:
            self._medians.setdefault(trial.job, []).append(trials.median_ns)
        return valid or finished["outcome"] == Outcome.FAILED

    def _append(self, kind: str, **fields: Any) -> None:
        self._mono_ns += 40_000_000
        clocks = {"at_unix_ns": self._began_unix_ns + self._mono_ns, "at_mono_ns": self._mono_ns}
        self._lines.append(encode_record({"seq": len(self._lines) + 1, "kind": kind, **clocks, **fields}))


class _Trials:
    """Make up the trials of one device in one night. `median_ns` is the last trial's median, None without samples."""

    skip_reason = "its preflight failed: the delegate refuses the operator"

    def __init__(self, story: Story, device: DemoDevice, night: int, dice: random.Random, bank: NoiseBank) -> None:
        self._story, self._device, self._night, self._dice, self._bank = story, device, night, dice, bank
        self._governor = story.facts(device, night)["governor"]
        self._hot = story.hot_share(device, night)
        # Some nights have samples enough for the tails that pages show.
        self._samples = SAMPLES_OF_LONG_NIGHTS if night % 7 == 6 else SAMPLES
        self._levels: dict[DemoCell, float] = {}
        # What shifts all of a device's figures in one night.
        self._mood = dice.gauss(1.0, device.kind.noise / 3)
        self.median_ns: float | None = None

    def loads(self, cell: DemoCell) -> bool:
        """Say whether the device can load a cell's artifact."""
        return self._story.loads(self._device, cell, self._night)

    def conditions(self, heat_c: float = 0.0) -> dict[str, Any]:
        """Return the conditions of the device."""
        kind = self._device.kind
        return {
            "temperature_c": round(kind.temperature_c + heat_c + 4 * self._dice.random(), 1),
            "cpu_mhz": kind.cpu_mhz,
            "governor": self._governor,
            "throttled": False,
            "load_1m": round(self._dice.random() / 4, 2),
        }

    def finished(self, trial: Trial, cell: DemoCell, mono_ns: int) -> dict[str, Any]:
        """Return the end of an attempt."""
        self.median_ns = None
        if trial.kind is TrialKind.PREFLIGHT:
            if not self.loads(cell):
                return self._failed(FailureKind.LOAD, "the delegate refuses the operator", 1)
            return self._ok([{"name": "accuracy_top1", "value": round(cell.accuracy, 4)}])
        if self._dice.random() < self._story.failed_share:
            return self._failed(FailureKind.TIMEOUT, "no result within 120 s", None)
        hot = self._dice.random() < self._hot
        # Heat makes an attempt slow, which is why hot attempts do not count.
        level = self._level(cell) * self._dice.gauss(1.0, self._device.kind.noise) * (1.12 if hot else 1.0)
        samples = self._bank.samples(level, self._samples, self._dice)
        self.median_ns = float(median(samples))
        power, figures = self._power(self.median_ns)
        metrics = [{"name": "latency_ns", "batch": 1, "samples": encode_block(samples)}, self._memory(cell), *figures]
        window = {"begin_mono_ns": mono_ns - _WINDOW_NS, "end_mono_ns": mono_ns}
        ended = self._ok(metrics, heat_c=24.0 if hot else 2.0)
        return {**ended, "invalid": ["too-hot"] if hot else [], "window": window, "power": power}

    def _level(self, cell: DemoCell) -> float:
        if cell not in self._levels:
            self._levels[cell] = self._story.latency_ns(self._device, cell, self._night) * self._mood
        return self._levels[cell]

    def _memory(self, cell: DemoCell) -> dict[str, Any]:
        bytes_ = 31_000_000 + 2 * artifact_bytes(cell.model, cell.variant)
        return {"name": "rss_bytes_max", "value": bytes_ + int(self._dice.random() * 200_000)}

    def _power(self, latency_ns: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the power account of a trial, and the figures of power."""
        account: dict[str, Any] = {
            "source": None,
            "kind": None,
            "period_s": None,
            "samples": 0,
            "rate_hz": None,
            "idle_w": None,
            "overhead_cpu_ns": 0,
            "reason": "the device has no power source",
            "energy_reason": None,
            "caution": None,
        }
        if self._device.kind.power is None:
            return account, []
        source, kind, watts = self._device.kind.power
        above_idle_w = watts * self._dice.gauss(1.0, 0.01)
        known = {"source": source, "kind": kind, "period_s": 0.04, "samples": 26, "rate_hz": 24.8, "reason": None}
        figures = [
            {"name": "energy_mj", "value": above_idle_w * latency_ns / 1e6, "source": source},
            {"name": "power_mean_w", "value": above_idle_w + watts / 4, "source": source},
        ]
        return {**account, **known, "idle_w": watts / 4, "overhead_cpu_ns": 1_400_000}, figures

    def _ok(self, metrics: list[dict[str, Any]], heat_c: float = 1.0) -> dict[str, Any]:
        return {
            "outcome": Outcome.OK,
            "failure": None,
            "duration_ns": _TRIAL_NS,
            "conditions": self.conditions(heat_c),
            "invalid": [],
            "runtime": None,
            "metrics": metrics,
            "outputs": None,
            "exclusive": True,
        }

    def _failed(self, kind: str, message: str, exit_code: int | None) -> dict[str, Any]:
        failure = {"kind": kind, "message": message, "signal": None, "exit_code": exit_code, "stderr_tail": None}
        return {**self._ok([]), "outcome": Outcome.FAILED, "failure": failure}
