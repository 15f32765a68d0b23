"""Understand what a trial process printed: lines of JSON, from a program that nobody here has seen."""

from __future__ import annotations

import json
import math
from array import array

from device_worker.printable import printable
from device_worker.protocol.samples import SAMPLES_MAX, CorruptSamples, decode_block, encode_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LATENCY_METRIC = "latency_ns"
LINE_BYTES_MAX = 32 << 20
_SAMPLE_BYTES = 160


class Garbage(ValueError):
    """A line is not one of the trial interface."""


class TrialOutput:
    """What the lines of one trial said; `garbage` is what was wrong with the first line that says nothing, or None."""

    def __init__(self, stdout: bytes | bytearray) -> None:
        self.runtime: dict[str, Any] | None = None
        self.window: dict[str, Any] | None = None
        self.outputs: dict[str, Any] | None = None
        self.failure: dict[str, Any] | None = None
        self.is_done = False
        self.garbage: str | None = None
        self._values: dict[str, float] = {}
        self._samples: dict[tuple[str, int], array[int]] = {}
        self._read_lines(stdout)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the metrics as the event log holds them, with raw samples packed."""
        metrics: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in self._values.items()]
        for (name, batch), samples in self._samples.items():
            metrics.append({"name": name, "batch": batch, "samples": encode_block(samples)})
        return metrics

    @property
    def has_metrics(self) -> bool:
        """Whether anything was measured."""
        return bool(self._values or self._samples)

    @property
    def inferences(self) -> int:
        """How many inferences the latency samples stand for."""
        counts = (len(samples) * batch for (name, batch), samples in self._samples.items() if name == LATENCY_METRIC)
        return sum(counts)

    def _read_lines(self, stdout: bytes | bytearray) -> None:
        """Read up to the first line that says nothing, one by one: there may be tens of millions."""
        begin = 0
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
        for key in ("runtime", "window", "outputs", "failure"):
            if key in said:
                if not isinstance(said[key], dict):
                    raise Garbage(f"its {key} is not an object")
                if key == "failure" and not isinstance(said[key].get("kind"), str):
                    raise Garbage("a failure without a kind")
                setattr(self, key, said[key])
        self.is_done = said.get("done") is True

    def _read_metric(self, said: dict[str, Any]) -> None:
        name = said["metric"]
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise Garbage("a metric without a name")
        if "value" in said:
            self._values[name] = _checked_value(said["value"])
            return
        batch = said.get("batch", 1)
        if type(batch) is not int or batch < 1:
            raise Garbage("a batch that is not a positive number")
        samples = _unpack(said["packed"]) if "packed" in said else _checked_samples(said.get("samples"))
        collected = self._samples.setdefault((name, batch), array("Q"))
        if len(collected) + len(samples) > SAMPLES_MAX:
            raise Garbage(f"more than {SAMPLES_MAX} samples")
        collected.extend(samples)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _checked_value(value: Any) -> float:
    try:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value) if type(value) is float else int(value)
    except OverflowError:  # a whole number that no double holds
        pass
    raise Garbage("a value that is not a finite number")


def _checked_samples(samples: Any) -> array[int]:
    if not isinstance(samples, list) or not all(type(sample) is int for sample in samples):
        raise Garbage("samples that are not whole numbers")
    try:
        return array("Q", samples)
    except OverflowError:
        raise Garbage("a sample below 0 or above 2^64") from None


def _unpack(packed: Any) -> array[int]:
    try:
        return decode_block(packed)
    except CorruptSamples as error:
        raise Garbage(f"a block of samples that cannot be unpacked ({error})") from None
