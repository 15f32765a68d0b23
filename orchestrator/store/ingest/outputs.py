"""Check a trial's results for inputs: the outputs of a preflight, and the results by input."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from device_worker.protocol.limits import INT32_MAX, OUTPUT_BYTES_MAX
from orchestrator.domain.input_results import InputEncoding, input_bytes
from orchestrator.store.values.fields import Fields
from orchestrator.store.values.hygiene import Unfit, clean_text

_SHA256 = re.compile("[0-9a-f]{64}")
_REASON_MAX = 500
_NAME_MAX = 200
_OUTPUTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Outputs:
    """Hold the outputs of a preflight: `count` times `values_per_output` float32 values, little-endian.

    `reason` says why there are none. `layout` has name and shape of each output in the order of values. `input_ranges`
    has what each quantised input holds, and what it was given; None where no input is quantised.
    """

    inputs: str
    count: int
    values_per_output: int
    data: bytes
    top1: list[int] | None
    reason: str | None = None
    layout: list[dict[str, Any]] | None = None
    input_ranges: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class InputResults:
    """Hold a trial's result for each input of a data set: `count` bits (right or wrong) or float32 scores."""

    metric: str
    dataset_sha256: str
    encoding: str
    count: int
    data: bytes


def read_outputs(fields: Fields) -> Outputs:
    """Return the outputs of a report. Raise Unfit if bytes and fields contradict each other."""
    fields.one_of("dtype", ("f4",))
    count = fields.integer("count", 0, OUTPUT_BYTES_MAX)
    values_per_output = fields.integer("values_per_output", 0, INT32_MAX)
    data = fields.base64("data")
    # Outputs too large to keep arrive with a count of 0 (and the size of one): the preflight is stored without them.
    if len(data) > OUTPUT_BYTES_MAX or len(data) != 4 * count * values_per_output:
        raise Unfit(f"outputs: {len(data)} bytes do not hold {count} x {values_per_output} numbers")
    top1 = list(fields.items("top1", OUTPUT_BYTES_MAX))
    # Not isinstance, because True is an int.
    if any(type(index) is not int or not 0 <= index <= INT32_MAX for index in top1):
        raise Unfit("outputs: top1 is not a list of indices")
    inputs, said = fields.one_of("inputs", ("dataset", "file", "random")), fields.optional("reason", fields.text)
    reason = None if said is None or count else clean_text(said, _REASON_MAX)
    layout = _layout(fields, values_per_output) if count else None
    ranges = [_range(Fields(one, "input_ranges")) for one in fields.items("input_ranges", _OUTPUTS_MAX)]
    return Outputs(inputs, count, values_per_output, data, top1 or None, reason, layout, ranges or None)


def _range(fields: Fields) -> dict[str, Any]:
    """Return range and numbers of a quantised input. Raise Unfit for a share that is none."""
    ratio = fields.number("saturated_ratio")
    if not 0 <= ratio <= 1:
        raise Unfit("outputs: saturated_ratio is not a share")
    return {
        "name": clean_text(fields.text("name"), _NAME_MAX),
        "dtype": clean_text(fields.text("dtype"), _NAME_MAX),
        **{key: fields.number(key) for key in ("low", "high", "scale")},
        "saturated_ratio": ratio,
        **{key: fields.optional(key, fields.number) for key in ("data_low", "data_high")},
    }


def _layout(fields: Fields, values: int) -> list[dict[str, Any]] | None:
    """Return names and shapes of outputs, None from older workers. Raise Unfit unless the shapes hold the values."""
    entries = fields.items("layout", _OUTPUTS_MAX)
    found = [one for one in entries if isinstance(one, dict) and isinstance(one.get("shape"), list)]
    sizes = [size for one in found for size in one["shape"]]
    if len(found) != len(entries) or any(type(size) is not int or not 0 < size <= INT32_MAX for size in sizes):
        raise Unfit("outputs: layout is not of names and shapes")
    if found and sum(math.prod(one["shape"]) for one in found) != values:
        raise Unfit("outputs: the shapes of layout do not hold the values of an output")
    names = [one.get("name") for one in found]
    return [
        {"name": clean_text(name, _NAME_MAX) if isinstance(name, str) else None, "shape": one["shape"]}
        for name, one in zip(names, found, strict=True)
    ] or None


def read_input_results(fields: Fields) -> InputResults:
    """Return the results by input of a report. Raise Unfit if bytes and fields contradict each other."""
    encoding = fields.one_of("encoding", tuple(InputEncoding))
    count, data = fields.integer("count", 1, 8 * OUTPUT_BYTES_MAX), fields.base64("data")
    if len(data) > OUTPUT_BYTES_MAX or len(data) != input_bytes(InputEncoding(encoding), count):
        raise Unfit(f"input_results: {len(data)} bytes do not hold {count} results of encoding {encoding}")
    dataset = fields.name("dataset_sha256", 64)
    if not _SHA256.fullmatch(dataset):
        raise Unfit("input_results: dataset_sha256 is not a SHA-256 in lower-case hex")
    return InputResults(fields.name("metric"), dataset, encoding, count, data)
