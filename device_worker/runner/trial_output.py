"""Parse the output of a trial process: lines of JSON, from a program without any guarantee."""

from __future__ import annotations

import json
import math
from array import array

from device_worker.protocol.limits import (
    ATTEMPT_SAMPLES_MAX,
    INTEGER_MAX,
    METRICS_MAX,
    REASON_CHARACTERS_MAX,
    RUNNER_SHARE,
    SAMPLED_METRICS_MAX,
)
from device_worker.protocol.printable import printable
from device_worker.protocol.samples import SAMPLES_MAX, CorruptSamples, decode_block, encode_block
from device_worker.runner.report_limits import (
    BadReport,
    check_batch,
    check_document,
    check_input_results,
    check_name,
    check_outputs,
    check_profile,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LATENCY_METRIC = "latency_ns"
LINE_BYTES_MAX = 32 << 20
_SAMPLE_BYTES = 160
_CONTAINERS_MAX = 100000  # an empty object takes thirty times as much memory as its text
_METRICS_MAX = METRICS_MAX - RUNNER_SHARE
_NUMBER, _SAMPLES, _ABSENT = "a number", "samples", "absent"


class Garbage(ValueError):
    """The line does not belong to the trial interface."""


class TrialOutput:
    """The parsed lines of a trial.

    `garbage` says what is wrong with the first bad line, or is None. Parsing stops at a bad line.
    """

    def __init__(self, stdout: bytes | bytearray) -> None:
        self.runtime: dict[str, Any] | None = None
        self.window: dict[str, Any] | None = None
        self.outputs: dict[str, Any] | None = None
        self.input_results: dict[str, Any] | None = None
        self.profile: dict[str, Any] | None = None
        self.failure: dict[str, Any] | None = None
        self.is_done = False
        self.garbage: str | None = None
        self._values: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._samples: dict[str, array[int]] = {}
        self._batches: dict[str, int] = {}
        self._sample_count = 0
        self._read_lines(stdout)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the metrics in the form of the event log, with raw samples packed. Absent metrics have a reason."""
        metrics: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in self._values.items()]
        metrics += [{"name": name, "value": None, "reason": reason} for name, reason in self._reasons.items()]
        for name, samples in self._samples.items():
            metrics.append({"name": name, "batch": self._batches[name], "samples": encode_block(samples)})
        return metrics

    @property
    def has_metrics(self) -> bool:
        """Whether the trial has reported at least one metric."""
        return bool(self._values or self._samples)

    @property
    def runs(self) -> int:
        """The number of latency samples. A sample is the time of a batch of calls."""
        return len(self._samples.get(LATENCY_METRIC, ()))

    @property
    def median_ns(self) -> float | None:
        """The median of the latency samples, or the one latency that a program reported, or None."""
        samples = sorted(self._samples.get(LATENCY_METRIC, ()))
        last = len(samples) - 1
        if samples:
            return (samples[last // 2] + samples[(last + 1) // 2]) / 2
        return self._values.get(LATENCY_METRIC)

    @property
    def inferences(self) -> int:
        """The number of inferences in the latency samples."""
        return self.runs * self._batches.get(LATENCY_METRIC, 1)

    @property
    def invoked_ns(self) -> int:
        """The time that the inferences in the latency samples took together."""
        return sum(self._samples.get(LATENCY_METRIC, ())) * self._batches.get(LATENCY_METRIC, 1)

    def _read_lines(self, stdout: bytes | bytearray) -> None:
        """Parse the lines up to the first bad line."""
        begin = 0  # no splitlines(): a list of tens of millions of lines would take gigabytes
        while begin < len(stdout):
            end = stdout.find(b"\n", begin)
            end = len(stdout) if end < 0 else end
            line = bytes(stdout[begin:end])
            begin = end + 1
            if not line.strip():
                continue
            try:
                self._read_line(line)
            except Garbage as garbage:
                self.garbage = f"{garbage}: {printable(line[:_SAMPLE_BYTES])!r}"
                return

    def _read_line(self, line: bytes) -> None:
        if len(line) > LINE_BYTES_MAX:
            raise Garbage(f"a line of {len(line)} bytes")
        if line.count(b"{") + line.count(b"[") > _CONTAINERS_MAX:
            raise Garbage(f"a line of more than {_CONTAINERS_MAX} objects and lists")
        if self.is_done:
            raise Garbage("a line after the last one")
        try:
            said = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise Garbage("not JSON") from None
        if not isinstance(said, dict):
            raise Garbage("not a JSON object")
        if "metric" in said:
            self._read_metric(said)
        for key in ("runtime", "window", "outputs", "input_results", "profile", "failure"):
            if key in said:
                setattr(self, key, _checked_part(key, said[key]))
        self.is_done = said.get("done") is True

    def _read_metric(self, said: dict[str, Any]) -> None:
        try:
            name = check_name(said["metric"])
            batch = check_batch(said.get("batch", 1))
        except BadReport as unfit:
            raise Garbage(f"a metric that cannot be stored ({unfit})") from None
        kind = _kind_of(said)
        if name not in self._kinds and len(self._kinds) >= _METRICS_MAX:
            raise Garbage(f"more than {_METRICS_MAX} metrics")
        if self._kinds.setdefault(name, kind) != kind:
            raise Garbage("a metric that is both " + " and ".join(sorted((kind, self._kinds[name]))))
        if kind == _ABSENT:
            self._reasons[name] = _checked_reason(said.get("reason"))
            return
        if kind == _NUMBER:
            self._values[name] = _checked_value(said["value"])
            return
        if self._batches.setdefault(name, batch) != batch:
            raise Garbage("samples of one metric in batches of two sizes")
        if name not in self._samples and len(self._samples) >= SAMPLED_METRICS_MAX:
            raise Garbage(f"more than {SAMPLED_METRICS_MAX} metrics with samples")
        samples = _unpack(said["packed"]) if "packed" in said else _checked_samples(said.get("samples"))
        self._sample_count += len(samples)
        collected = self._samples.setdefault(name, array("Q"))
        if len(collected) + len(samples) > SAMPLES_MAX:
            raise Garbage(f"more than {SAMPLES_MAX} samples")
        if self._sample_count > ATTEMPT_SAMPLES_MAX:
            raise Garbage(f"more than {ATTEMPT_SAMPLES_MAX} samples of all metrics")
        collected.extend(samples)


def _checked_part(key: str, part: Any) -> dict[str, Any]:
    """Return a part of a line, or raise Garbage if the part is no object or cannot be stored."""
    if not isinstance(part, dict):
        raise Garbage(f"its {key} is not an object")
    if key == "failure" and not isinstance(part.get("kind"), str):
        raise Garbage("a failure without a kind")
    try:
        if key == "outputs":
            check_outputs(part)
        elif key == "input_results":
            check_input_results(part)
        elif key == "profile":
            check_profile(part)
        elif key != "failure":  # only two texts of a failure are kept, whatever else it holds
            check_document(part)
    except BadReport as unfit:
        raise Garbage(f"its {key} cannot be stored ({unfit})") from None
    return part


def _kind_of(said: dict[str, Any]) -> str:
    """Return the kind of a metric's line. A value of null is an absent metric."""
    if "value" not in said:
        return _SAMPLES
    return _ABSENT if said["value"] is None else _NUMBER


def _checked_reason(reason: Any) -> str:
    if not isinstance(reason, str) or not 0 < len(reason) <= REASON_CHARACTERS_MAX:
        raise Garbage(f"a metric without a value and without a reason of 1 to {REASON_CHARACTERS_MAX} characters")
    return reason


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _checked_value(value: Any) -> float:
    try:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value) if type(value) is float else int(value)
    except OverflowError:  # a whole number beyond the largest double
        pass
    raise Garbage("a value that is not a finite number")


def _checked_samples(samples: Any) -> array[int]:
    if not isinstance(samples, list) or not all(type(sample) is int for sample in samples):
        raise Garbage("samples that are not whole numbers")
    return _bounded(samples)


def _unpack(packed: Any) -> array[int]:
    try:
        return _bounded(decode_block(packed))
    except CorruptSamples as error:
        raise Garbage(f"a block of samples that cannot be unpacked ({error})") from None


def _bounded(samples: list[int] | array[int]) -> array[int]:
    if len(samples) and (min(samples) < 0 or max(samples) > INTEGER_MAX):
        raise Garbage("a sample below 0 or of more than 63 bits")
    return array("Q", samples)
