"""Profile the operators of a model: which ran where, how often, and for how long."""

from __future__ import annotations

import json
import os

from device_worker.protocol.limits import NAME_CHARACTERS_MAX, OPERATORS_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

RUNS_WARMUP = 3
RUNS_MAX = 30
SECONDS_MAX = 5.0
"""How many inferences a profile leaves out at its beginning, has at most, and how long the inferences may take."""

TRACE_BYTES_MAX = 64 << 20
_US_MAX = 1e15
"""About thirty years: no trace lasts so long."""
_REST = "other operators"


class ProfileUnavailable(Exception):
    """The runtime tells nothing of its operators. The message says why."""


class Operator:
    """An operator of a model: `operator` is the kind, `name` the node. Times are over all calls, without nested ones.

    `placed_on` is the execution provider or delegate, or None where the runtime does not say.
    """

    __slots__ = ("calls", "name", "operator", "placed_on", "total_ns")

    def __init__(self, operator: str, name: str, placed_on: str | None) -> None:
        self.operator = _named(operator)
        self.name = _named(name)
        self.placed_on = None if placed_on is None else _named(placed_on)
        self.calls = 0
        self.total_ns = 0


class Profile:
    """The operators of `runs` inferences."""

    __slots__ = ("operators", "runs")

    def __init__(self, operators: list[Operator], runs: int) -> None:
        self.operators = operators
        self.runs = runs

    def to_json(self) -> dict[str, Any]:
        """Return the profile in the form of the trial interface, the largest shares first.

        Of more operators than the protocol takes, those of the smallest shares are one line.
        """
        total_ns = sum(one.total_ns for one in self.operators) or 1
        return {
            "runs": self.runs,
            "operators": [
                {
                    "operator": one.operator,
                    "name": one.name,
                    "placed_on": one.placed_on,
                    "calls": one.calls,
                    "mean_ns": one.total_ns / one.calls,
                    "share": one.total_ns / total_ns,
                }
                for one in self._largest()
            ],
        }

    def _largest(self) -> list[Operator]:
        ordered = sorted(self.operators, key=lambda one: (-one.total_ns, one.name))
        kept, rest = ordered[: OPERATORS_MAX - 1], ordered[OPERATORS_MAX - 1 :]
        if len(rest) <= 1:
            return ordered
        summed = Operator(_REST, f"{len(rest)} of small shares", None)
        summed.calls = sum(one.calls for one in rest)
        summed.total_ns = sum(one.total_ns for one in rest)
        return [*kept, summed]


def read_chrome_trace(path: str) -> list[dict[str, Any]]:
    """Return the events of a trace in Chrome's format, a JSON list. Raise ProfileUnavailable for any other file."""
    try:
        size = os.path.getsize(path)
        if size > TRACE_BYTES_MAX:
            raise ProfileUnavailable(f"the runtime's trace has {size} bytes, more than {TRACE_BYTES_MAX}")
        with open(path, "rb") as file:
            events = json.loads(file.read().decode("utf-8", "replace"))
    except (OSError, ValueError, RecursionError) as error:
        raise ProfileUnavailable(f"the runtime's trace does not read: {error}") from error
    if not isinstance(events, list):
        raise ProfileUnavailable("the runtime's trace is no list of events")
    return [event for event in events if isinstance(event, dict)]


def own_times_ns(events: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield events with their own time: the duration without that of events inside.

    Events of one thread lie one inside the other, or apart. `ts` and `dur` are in microseconds.
    """
    # An operator with a body, such as If, would count the operators of the body a second time.
    own = [_us(event, "dur") for event in events]
    open_places: dict[Any, list[int]] = {}
    for place in sorted(range(len(events)), key=lambda at: (_us(events[at], "ts"), -_us(events[at], "dur"))):
        begin = _us(events[place], "ts")
        inside = open_places.setdefault(events[place].get("tid"), [])
        while inside and _us(events[inside[-1]], "ts") + _us(events[inside[-1]], "dur") <= begin:
            inside.pop()
        if inside:
            own[inside[-1]] -= _us(events[place], "dur")
        inside.append(place)
    for event, own_us in zip(events, own):
        yield event, round(max(0.0, own_us) * 1000)


def _named(text: str) -> str:
    """Return a name out of a model file as the protocol takes names. A node may have no name."""
    words = "".join(character if character.isprintable() else "?" for character in text[:NAME_CHARACTERS_MAX])
    return words or "(no name)"


def microseconds(event: dict[str, Any], key: str) -> float | None:
    """Return a time of an event, or None for what no clock says."""
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_US_MAX < value < _US_MAX:
        return None  # NaN is in no range
    return float(value)


def _us(event: dict[str, Any], key: str) -> float:
    return microseconds(event, key) or 0.0
