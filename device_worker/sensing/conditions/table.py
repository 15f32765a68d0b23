"""List the conditions of the worker, each in a module of its own, and watch the conditions for a runner."""

from __future__ import annotations

import time

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.sensing.busiest import Busiest
from device_worker.sensing.conditions import (
    cpu_pressure,
    cpu_steal,
    frequency,
    governor,
    gpu_throttling,
    other_load,
    temperature,
    throttling,
    tpu_throttling,
    unsteadiness,
)
from device_worker.sensing.conditions.base import TrialSeen
from device_worker.sensing.readings import surroundings
from device_worker.system.patient_reader import PatientReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Union

    from device_worker.sensing.conditions.base import Condition, Reading

    Readings = Dict[str, Union[Reading, Dict[str, str]]]

CONDITIONS = (
    temperature.Temperature,
    throttling.Throttling,
    gpu_throttling.GpuThrottling,
    tpu_throttling.TpuThrottling,
    cpu_pressure.CpuPressure,
    cpu_steal.CpuSteal,
    other_load.OtherLoad,
    frequency.Frequency,
    governor.Governor,
    unsteadiness.Unsteadiness,
)
"""The conditions, in the order in which the log names their breaches."""


def refuse_unknown_limits(limits: dict[str, float | str]) -> None:
    """Raise WorkerError (PLAN_INVALID) for a limit without a condition in the table."""
    # Ignored, the limit would look as if all trials had kept to it.
    known = [condition.limit for condition in CONDITIONS if condition.limit is not None]
    for key in limits:
        if key not in known:
            raise WorkerError(
                ErrorKind.PLAN_INVALID,
                f"plan: limits.{key}: this worker does not support the limit, only {', '.join(known)}",
                "plan again with the controller that ships this worker, or take the limit out of the inventory",
            )


class ConditionWatch:
    """The conditions of a runner, under the limits of the plan.

    `cooled_to` has a reading to wait for in place of the limit, by key: a trial then begins as cool as that.
    """

    def __init__(self, limits: dict[str, float | str], cooled_to: dict[str, float] | None = None) -> None:
        self._cooled_to = cooled_to or {}
        self._conditions: list[Condition] = [kind() for kind in CONDITIONS]
        self._limits = limits
        self._reader = PatientReader(in_runner=True)
        self._busiest = Busiest()
        self._present: set[str] = set()  # sensors that the device has, since they answered once, or hang

    def note(self, seen: TrialSeen) -> None:
        """Take what was seen of the last trial into account."""
        for condition in self._conditions:
            condition.note(seen)

    def read(self, *, is_after_trial: bool = False) -> Readings:
        """Return all present readings in the form of the log. Readings of trials are there after a trial alone.

        `unknown` gives the reason for each condition of None, and for each reading that a hanging sensor has cost.
        `discarded`, if there is any, gives the reasons for sensors that were left out as implausible.
        """
        if not is_after_trial:
            self.note(TrialSeen())
        clocks: list[str] = []
        conditions = [one for one in self._conditions if is_after_trial or not one.is_of_trial]
        sources = dict(surroundings(clocks, self._busiest), **_sources(conditions))
        for condition in conditions:
            sources.update(condition.further())
        values, unknown = self._reader.read(sources)
        self._present.update(unknown)
        for condition in conditions:
            if values[condition.reading] is not None:
                self._present.add(condition.reading)
            else:
                unknown.setdefault(condition.reading, condition.explain_unknown())
        discarded = {one.reading: "; ".join(one.discarded) for one in self._conditions if one.discarded}
        if clocks:
            discarded["cpu_mhz"] = "; ".join(clocks)
        if discarded:
            values["discarded"] = discarded
        return dict(values, clock_unix_ns=time.time_ns(), unknown=unknown)

    def find_breaches(self, before: Readings, after: Readings, *, is_timed: bool = True) -> list[str]:
        """Return the words for each condition that was breached, or not judged, between two readings.

        A trial that is not timed, such as a profile, has no samples to judge.
        """
        found = []
        for condition in self._conditions:
            if condition.is_of_samples and not is_timed:
                continue
            limit, readings = self._limit_of(condition), (_reading(before, condition), _reading(after, condition))
            if condition.is_breached(*readings, limit):
                found.append(condition.invalid)
            # A device that never had the sensor is measured all the same, and `unknown` says so.
            if limit is not None and condition.reading in self._present and not condition.is_judged(*readings):
                found.append(condition.unanswered)
        return found

    def must_wait(self) -> bool:
        """Return True if a condition worth waiting for is breached now. Other conditions are not read."""
        self.note(TrialSeen())  # a peak of the last trial never cools down
        # A limit first: reading a sensor may cost a device milliseconds, twice a second.
        waited_for = [one for one in self._conditions if one.is_waited_for and self._awaited(one) is not None]
        values, _unknown = self._reader.read(_sources(waited_for))
        return any(one.is_breached(None, values[one.reading], self._awaited(one)) for one in waited_for)

    def _awaited(self, condition: Condition) -> float | str | None:
        return self._cooled_to.get(condition.reading, self._limit_of(condition))

    def _limit_of(self, condition: Condition) -> float | str | None:
        return None if condition.limit is None else self._limits.get(condition.limit)


def _sources(conditions: list[Condition]) -> dict[str, Callable[[], object]]:
    return {condition.reading: condition.read for condition in conditions}


def _reading(readings: Readings, condition: Condition) -> Reading:
    found = readings.get(condition.reading)
    return None if isinstance(found, dict) else found


def untold(known: dict[str, object] | None = None) -> dict[str, str]:
    """Return why the device cannot give the reading of a condition, by the reading's key.

    `known` has readings that were taken a moment ago: no sensor is asked for them again.
    """
    reasons = {}
    for kind in CONDITIONS:
        condition = kind()
        if known is not None and condition.reading in known:
            reason = None if known[condition.reading] is not None else condition.explain_unknown()
        else:
            reason = condition.cannot_tell()
        if reason is not None:
            reasons[condition.reading] = reason
    return reasons
