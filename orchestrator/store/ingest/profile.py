"""Check the operator profile of a trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from device_worker.protocol.limits import INT32_MAX, OPERATORS_MAX
from orchestrator.store.values.fields import Fields
from orchestrator.store.values.hygiene import Unfit


class ProfiledOperator(NamedTuple):
    """Hold an operator's calls and times in a profile."""

    operator: str
    name: str
    placed_on: str | None
    calls: int
    mean_ns: float
    share: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Hold the operators of `runs` inferences, the largest shares first."""

    runs: int
    operators: tuple[ProfiledOperator, ...]


def read_profile(fields: Fields) -> Profile:
    """Return the profile of a report. Raise Unfit for a wrong field."""
    runs = fields.integer("runs", 1, INT32_MAX)
    operators = [_operator(Fields(item, "an operator")) for item in fields.items("operators", OPERATORS_MAX)]
    if not operators:
        raise Unfit("profile: no operator")
    # The order is the reader's own, whatever a device sends.
    operators.sort(key=lambda one: -one.share)
    return Profile(runs, tuple(operators))


def _operator(fields: Fields) -> ProfiledOperator:
    found = ProfiledOperator(
        fields.name("operator"),
        fields.name("name"),
        fields.optional("placed_on", fields.name),
        fields.integer("calls", 1, INT32_MAX),
        fields.number("mean_ns"),
        fields.number("share"),
    )
    if found.mean_ns < 0 or not 0 <= found.share <= 1:
        raise Unfit("profile: a time below 0, or a share outside 0 to 1")
    return found
