"""Check a trial's report against the limits of the database, see `device_worker.protocol.limits`.

An unfit report fails the attempt on the device, with the reason. Otherwise the attempt would fail in the database, long
after.
"""

from __future__ import annotations

import base64
import math

from device_worker.protocol.fields import is_sha256
from device_worker.protocol.limits import (
    INT32_MAX,
    JSON_DEPTH_MAX,
    JSON_VALUES_MAX,
    NAME_CHARACTERS_MAX,
    OPERATORS_MAX,
    OUTPUT_BYTES_MAX,
    RUNNER_SHARE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INPUTS = ("dataset", "file", "random")
_BITS, _SCORES = "bits", "f4"
_FLOAT_BYTES = 4
_REASON_CHARACTERS_MAX = 2000
_LAYOUT_MAX = 1000


class BadReport(ValueError):
    """The value is of the wrong kind, or out of the limits."""


def check_name(name: Any) -> str:
    """Return a metric's name if fit to be stored and shown. Raise BadReport otherwise."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise BadReport(f"not a name of 1 to {NAME_CHARACTERS_MAX} printable characters")
    return name


def check_batch(batch: Any) -> int:
    """Return the number of calls in a sample. Raise BadReport for any value but a whole number from 1."""
    return _whole(batch, "batch", 1, INT32_MAX)


def check_document(document: dict[str, Any]) -> None:
    """Raise BadReport for an object with too deep nesting, too many values, or a number that is not finite."""
    # A list of open values instead of a recursion: a program may nest its report as deep as it likes.
    left: list[tuple[Any, int]] = [(document, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if depth > JSON_DEPTH_MAX:
            raise BadReport(f"nested deeper than {JSON_DEPTH_MAX}")
        if seen > JSON_VALUES_MAX - RUNNER_SHARE:
            raise BadReport(f"more than {JSON_VALUES_MAX - RUNNER_SHARE} values")
        if type(value) in (int, float):
            _check_finite(value)
        elif isinstance(value, dict):
            left += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            left += [(inner, depth + 1) for inner in value]


def check_outputs(outputs: dict[str, Any]) -> None:
    """Raise BadReport for outputs if the bytes do not agree with the stated count, values and type."""
    if outputs.get("dtype") != "f4":
        raise BadReport("dtype is not f4")
    if outputs.get("inputs") not in _INPUTS:
        raise BadReport("inputs is not dataset, file or random")
    count = _whole(outputs.get("count"), "count", 0, OUTPUT_BYTES_MAX)
    values_per_output = _whole(outputs.get("values_per_output"), "values_per_output", 0, INT32_MAX)
    data = outputs.get("data")
    # Only None means no data: the store would refuse an empty list, which is no text.
    size = 0 if data is None else len(_decode(data))
    if size > OUTPUT_BYTES_MAX or size != _FLOAT_BYTES * count * values_per_output:
        raise BadReport(f"{size} bytes do not hold {count} x {values_per_output} numbers")
    _check_layout(outputs.get("layout"), values_per_output if count else None)
    _check_ranges(outputs.get("input_ranges"))
    reason = outputs.get("reason")
    if reason is not None and (not isinstance(reason, str) or len(reason) > _REASON_CHARACTERS_MAX):
        raise BadReport(f"reason is not a text of at most {_REASON_CHARACTERS_MAX} characters")
    indices = outputs.get("top1")
    if indices is None:
        return
    if not isinstance(indices, list) or len(indices) > OUTPUT_BYTES_MAX:
        raise BadReport(f"top1 is not a list of at most {OUTPUT_BYTES_MAX}")
    for index in indices:
        _whole(index, "an index in top1", 0, INT32_MAX)


def _check_layout(layout: Any, values: int | None) -> None:
    """Raise BadReport for names and shapes of outputs that are none, or that do not hold the number of values."""
    if layout is None or layout == []:
        return
    held = 0
    if not isinstance(layout, list) or len(layout) > _LAYOUT_MAX:
        raise BadReport(f"layout is not a list of at most {_LAYOUT_MAX}")
    for one in layout:
        shape = one.get("shape") if isinstance(one, dict) else None
        if (
            not isinstance(shape, list)
            or len(shape) > _LAYOUT_MAX
            or not isinstance(one.get("name"), (str, type(None)))
        ):
            raise BadReport("layout is not of names and shapes")
        count = 1
        for size in shape:
            count *= _whole(size, "a size in layout", 1, INT32_MAX)
        held += count
    if values is not None and held != values:
        raise BadReport(f"the shapes of layout hold {held} numbers, not {values}")


def _check_ranges(ranges: Any) -> None:
    """Raise BadReport for what quantised inputs hold and were given, if that is no list of names and numbers."""
    if ranges is None:
        return
    if not isinstance(ranges, list) or len(ranges) > _LAYOUT_MAX:
        raise BadReport(f"input_ranges is not a list of at most {_LAYOUT_MAX}")
    for one in ranges:
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("name", "dtype")):
            raise BadReport("input_ranges is not of names and types")
        numbers: list[Any] = [one.get(key) for key in ("low", "high", "scale", "saturated_ratio")]
        numbers += [one[key] for key in ("data_low", "data_high") if one.get(key) is not None]
        if not all(type(number) in (int, float) for number in numbers):
            raise BadReport("input_ranges is not of numbers")
        for number in numbers:
            _check_finite(number)
        if not 0 <= one["saturated_ratio"] <= 1:
            raise BadReport("saturated_ratio is not a share")


def check_input_results(results: dict[str, Any]) -> None:
    """Raise BadReport for results by input if the bytes do not agree with the stated count and encoding."""
    check_name(results.get("metric"))
    if results.get("encoding") not in (_BITS, _SCORES):
        raise BadReport(f"encoding is not {_BITS} or {_SCORES}")
    count = _whole(results.get("count"), "count", 1, 8 * OUTPUT_BYTES_MAX)
    size = len(_decode(results.get("data")))
    expected = (count + 7) // 8 if results["encoding"] == _BITS else _FLOAT_BYTES * count
    if size > OUTPUT_BYTES_MAX or size != expected:
        raise BadReport(f"{size} bytes do not hold {count} results of encoding {results['encoding']}")
    dataset = results.get("dataset_sha256")
    if dataset is not None and not is_sha256(dataset):
        raise BadReport("dataset_sha256 is not a SHA-256 in lower-case hex")


def check_profile(profile: dict[str, Any]) -> None:
    """Raise BadReport for a profile unless each operator has names, calls, a time and a share."""
    _whole(profile.get("runs"), "runs", 1, INT32_MAX)
    operators = profile.get("operators")
    if not isinstance(operators, list) or not 0 < len(operators) <= OPERATORS_MAX:
        raise BadReport(f"operators is not a list of 1 to {OPERATORS_MAX}")
    for one in operators:
        if not isinstance(one, dict):
            raise BadReport("an operator is not an object")
        for key in ("operator", "name"):
            check_name(one.get(key))
        if one.get("placed_on") is not None:
            check_name(one["placed_on"])
        _whole(one.get("calls"), "calls", 1, INT32_MAX)
        for key in ("mean_ns", "share"):
            if type(one.get(key)) not in (int, float) or one[key] < 0:
                raise BadReport(f"{key} of an operator is not a number from 0")
            _check_finite(one[key])


def _decode(data: Any) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError):
        raise BadReport("data is not base64") from None


def _whole(value: Any, what: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise BadReport(f"{what} is not a whole number from {low} to {high}")
    return value


def _check_finite(value: float) -> None:
    try:
        if math.isfinite(value):
            return
    except OverflowError:  # a whole number beyond the largest double
        pass
    raise BadReport("it holds a number that is not finite")
