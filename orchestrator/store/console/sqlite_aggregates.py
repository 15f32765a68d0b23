"""Add the aggregates of PostgreSQL that SQLite lacks: standard deviation, variance, quantiles and mode.

The program that answers `benchfleet sql` imports the module, which therefore needs the standard library alone.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

VALUES_MAX = 4_000_000
"""How many values the quantiles of a statement may hold. SQLite's bound of memory does not know Python's lists."""

AGGREGATES = frozenset(
    {"stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop"}
    | {"percentile_cont", "percentile_disc", "mode"}
)
TOO_MANY = f"more than {VALUES_MAX} values for quantiles"


class Failures:
    """Hold why an aggregate failed, which SQLite does not pass on, and how many values the aggregates hold."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.values = 0

    def fail(self, reason: str) -> ValueError:
        """Return an error whose reason is kept."""
        self.reason = reason
        return ValueError(reason)

    def clear(self) -> None:
        """Forget the failures of an earlier statement."""
        self.reason, self.values = None, 0


def add_aggregates(connection: sqlite3.Connection) -> Failures:
    """Register the aggregates at a connection, and return what will hold the reasons of their failures."""
    failures = Failures()
    for name in ("stddev", "stddev_samp", "variance", "var_samp"):
        _add_window(connection, name, _variance(failures, name, is_sample=True))
    for name in ("stddev_pop", "var_pop"):
        _add_window(connection, name, _variance(failures, name, is_sample=False))
    # The last argument says whether the order is falling: `postgres_words` writes it.
    for name in ("percentile_cont", "percentile_disc"):
        for count in (2, 3):
            connection.create_aggregate(name, count, _quantile(failures, name))
    for count in (1, 2):
        connection.create_aggregate("mode", count, _mode(failures))
    return failures


def _add_window(connection: sqlite3.Connection, name: str, of_class: Callable[[], Any]) -> None:
    connection.create_window_function(name, 1, of_class)


def _variance(failures: Failures, name: str, *, is_sample: bool) -> Callable[[], Any]:
    return lambda: _Variance(failures, name, is_sample=is_sample)


def _quantile(failures: Failures, name: str) -> Callable[[], Any]:
    return lambda: _Quantile(failures, name)


def _mode(failures: Failures) -> Callable[[], Any]:
    return lambda: _Mode(failures)


class _Variance:
    """Compute the variance, or its root, from exact sums: values may leave a moving window without a rest.

    The sums are whole numbers of two to the power of -`_bits`, which every double is for bits enough.
    """

    def __init__(self, failures: Failures, name: str, *, is_sample: bool) -> None:
        self._failures = failures
        self._name = name
        self._is_sample = is_sample
        self._count = self._sum = self._squares = self._infinite = self._bits = 0

    def step(self, value: object) -> None:
        """Add a value."""
        self._add(value, 1)

    def inverse(self, value: object) -> None:
        """Take a value away."""
        self._add(value, -1)

    def value(self) -> float | None:
        """Return the figure of the values so far, or None for too few of them."""
        free = self._count - (1 if self._is_sample else 0)
        if free < 1 or self._infinite:
            return None
        above = self._count * self._squares - self._sum * self._sum
        try:
            variance = above / ((self._count * free) << (2 * self._bits))
        except OverflowError:
            raise self._failures.fail(f"{self._name}: the result is out of range") from None
        return math.sqrt(variance) if self._name.startswith("stddev") else variance

    finalize = value

    def _add(self, value: object, sign: int) -> None:
        if value is None:
            return
        self._count += sign
        try:
            above, below = _number(value, self._name, self._failures).as_integer_ratio()
        except OverflowError:  # an infinite number
            self._infinite += sign
            return
        bits = below.bit_length() - 1
        if bits > self._bits:
            self._sum <<= bits - self._bits
            self._squares <<= 2 * (bits - self._bits)
            self._bits = bits
        else:
            above <<= self._bits - bits
        self._sum += sign * above
        self._squares += sign * above * above


class _Quantile:
    """Compute a quantile: between two values (`percentile_cont`), or one of the values (`percentile_disc`)."""

    def __init__(self, failures: Failures, name: str) -> None:
        self._failures = failures
        self._name = name
        self._values: list[Any] = []
        self._share: object = None
        self._falls = False

    def step(self, value: object, share: object = None, falls: int = 0) -> None:
        """Add a value. The share and the order are the same for all values."""
        self._share, self._falls = share, bool(falls)
        if value is None:
            return
        if self._name == "percentile_cont":
            value = float(_number(value, self._name, self._failures))
        _hold(self._values, value, self._failures)

    def finalize(self) -> Any:
        """Return the quantile, or None without values."""
        if not self._values or self._share is None:
            return None
        share = _number(self._share, self._name, self._failures)
        if not 0 <= share <= 1:
            raise self._failures.fail(f"{self._name}: the share {share:g} is not between 0 and 1")
        key = None if self._name == "percentile_cont" else _rank
        ordered = sorted(self._values, key=key, reverse=self._falls)
        self._failures.values -= len(ordered)
        if self._name == "percentile_disc":
            # By the arithmetic of PostgreSQL, which finds the 8th of 100 values for 0.07.
            return ordered[max(1, math.ceil(share * len(ordered))) - 1]
        place = share * (len(ordered) - 1)
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        return low if low == high else low + (place - math.floor(place)) * (high - low)


class _Mode:
    """Find the most frequent value: of several the first in order."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._values: list[Any] = []
        self._falls = False

    def step(self, value: object, falls: int = 0) -> None:
        """Add a value."""
        self._falls = bool(falls)
        if value is not None:
            _hold(self._values, value, self._failures)

    def finalize(self) -> Any:
        """Return the value, or None without values."""
        if not self._values:
            return None
        self._failures.values -= len(self._values)
        counted = Counter(self._values)
        most = max(counted.values())
        return sorted((value for value, count in counted.items() if count == most), key=_rank, reverse=self._falls)[0]


def _hold(values: list[Any], value: object, failures: Failures) -> None:
    # A long text counts for as many values as it has room of.
    failures.values += 1 + (len(value) // 16 if isinstance(value, str | bytes) else 0)
    if failures.values > VALUES_MAX:
        raise failures.fail(TOO_MANY)
    values.append(value)


def _rank(value: Any) -> tuple[int, Any]:
    """Return the place of a value in SQLite's order: numbers, then texts, then bytes."""
    return (0, value) if isinstance(value, int | float) else (1, value) if isinstance(value, str) else (2, value)


def _number(value: object, name: str, failures: Failures) -> float:
    if isinstance(value, int | float):
        return value
    kind = "a text" if isinstance(value, str) else "a value of bytes"
    raise failures.fail(f"{name}: {kind} is no number: CAST(… AS real) makes one of a text")
