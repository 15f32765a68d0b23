"""Check what a trial reports against what can be stored: see `device_worker.protocol.limits`.

The attempt fails on the device, with the reason, instead of failing in the database long after.
"""

from __future__ import annotations

import base64
import math

from device_worker.protocol.limits import (
    INT32_MAX,
    JSON_DEPTH_MAX,
    JSON_VALUES_MAX,
    NAME_CHARACTERS_MAX,
    OUTPUT_BYTES_MAX,
    RUNNER_SHARE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INPUTS = ("dataset", "random")
_FLOAT_BYTES = 4


class Unfit(ValueError):
    """A value is not what its place asks for."""


def check_name(name: Any) -> str:
    """Return a name that can be stored and shown as it is."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise Unfit(f"not a name of 1 to {NAME_CHARACTERS_MAX} printable characters")
    return name


def check_batch(batch: Any) -> int:
    """Return how many calls a sample stands for."""
    return _whole(batch, "batch", 1, INT32_MAX)


def check_document(document: dict[str, Any]) -> None:
    """Refuse an object that is too deep, too large, or holds a number that no database does."""
    left: list[tuple[Any, int]] = [(document, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if depth > JSON_DEPTH_MAX:
            raise Unfit(f"nested deeper than {JSON_DEPTH_MAX}")
        if seen > JSON_VALUES_MAX - RUNNER_SHARE:
            raise Unfit(f"more than {JSON_VALUES_MAX - RUNNER_SHARE} values")
        if type(value) in (int, float):
            _check_finite(value)
        elif isinstance(value, dict):
            left += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            left += [(inner, depth + 1) for inner in value]


def check_outputs(outputs: dict[str, Any]) -> None:
    """Refuse outputs whose bytes are not the numbers that they say they are."""
    if outputs.get("dtype") != "f4":
        raise Unfit("dtype is not f4")
    if outputs.get("inputs") not in _INPUTS:
        raise Unfit("inputs is not dataset or random")
    count = _whole(outputs.get("count"), "count", 0, OUTPUT_BYTES_MAX)
    values_per_output = _whole(outputs.get("values_per_output"), "values_per_output", 0, INT32_MAX)
    size = len(_decode(outputs.get("data") or ""))
    if size > OUTPUT_BYTES_MAX or size != _FLOAT_BYTES * count * values_per_output:
        raise Unfit(f"{size} bytes do not hold {count} x {values_per_output} numbers")
    indices = outputs.get("top1")
    if indices is None:
        return
    if not isinstance(indices, list) or len(indices) > OUTPUT_BYTES_MAX:
        raise Unfit(f"top1 is not a list of at most {OUTPUT_BYTES_MAX}")
    for index in indices:
        _whole(index, "an index in top1", 0, INT32_MAX)


def _decode(data: Any) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (TypeError, ValueError):
        raise Unfit("data is not base64") from None


def _whole(value: Any, what: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Unfit(f"{what} is not a whole number from {low} to {high}")
    return value


def _check_finite(value: float) -> None:
    try:
        if math.isfinite(value):
            return
    except OverflowError:  # a whole number that no double holds
        pass
    raise Unfit("it holds a number that is not finite")
