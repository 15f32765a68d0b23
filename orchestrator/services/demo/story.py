"""Decide the events of a made-up lab, night by night: a pure function of the seed.

Devices age, get new kernels, run hot and break. Variants are rebuilt, some of them slower. Nights are numbered from 0.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator.domain.regression import RegressionState
from orchestrator.services.demo.lab import DemoCell, DemoDevice, DemoModel, Lab

S = RegressionState
_ENDS: Sequence[RegressionState] = (S.FIXED, S.CONFIRMED, S.ACCEPTED, S.ACKNOWLEDGED, S.CONFIRMED, S.INVALID)
_NIGHTS_BETWEEN_REBUILDS = 30
_REBUILDS_MIN = 5
_NIGHTS_BETWEEN_KERNELS = 90
_HOT_SHARE = 0.25
_FAILED_SHARE = 0.001
_REASONS: Mapping[RegressionState, str] = {
    S.FIXED: "the build before is back",
    S.ACCEPTED: "the accuracy is worth it",
    S.ACKNOWLEDGED: "known, waits for the next release",
    S.INVALID: "the benchmark was changed, not the model",
}
_QUARANTINES = ("the SD card reports errors", "it does not answer after a power cut", "its fan is stuck")


@dataclass(frozen=True, slots=True)
class Span:
    """Hold the nights `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, night: object) -> bool:
        return isinstance(night, int) and self.first <= night <= self.last


@dataclass(frozen=True, slots=True)
class Update:
    """Hold new facts of a device since a night, with the factor on latencies."""

    night: int
    facts: Mapping[str, str]
    factor: float


@dataclass(frozen=True, slots=True)
class DeviceFate:
    """Hold the events of a device. `drift` is the relative change of latencies per night.

    `absent` are the nights of a quarantine, `broken` the variant without a loading artifact, and when.
    """

    updates: Sequence[Update]
    drift: float
    hot: Span | None
    absent: Span | None
    quarantine: str
    broken: tuple[str, Span] | None


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Hold a new artifact of a variant since a night, slower by `factor`, and the end of the regression.

    The end is on record after the night `settled`. For `fixed` the next build arrives in that night.
    """

    night: int
    model: DemoModel
    variant: str
    factor: float
    end: RegressionState
    settled: int

    @property
    def reason(self) -> str:
        """Return the reason given by a person or a night."""
        return _REASONS.get(self.end, "")

    def factor_at(self, night: int) -> float:
        """Return the factor on latencies in a night."""
        over = self.end is S.FIXED and night >= self.settled
        return self.factor if night >= self.night and not over else 1.0

    def builds_at(self, night: int) -> int:
        """Return how many builds the rebuild has added by a night."""
        return (night >= self.night) + (self.end is S.FIXED and night >= self.settled)


class Story:
    """Hold everything that happens in a lab."""

    def __init__(self, lab: Lab, nights: int, seed: int) -> None:
        self.lab, self.nights, self.seed = lab, nights, seed

    def dice(self, *names: object) -> random.Random:
        """Return separate random numbers for each list of names, equal for equal seeds."""
        # By name, so that a further draw for one thing changes no other thing.
        return random.Random("/".join(map(str, (self.seed, *names))))  # noqa: S311 - figures, not secrets

    @cached_property
    def fates(self) -> Mapping[str, DeviceFate]:
        """Return the events of each device."""
        return {device.name: self._fate(device, place) for place, device in enumerate(self.lab.devices)}

    @cached_property
    def rebuilds(self) -> Sequence[Rebuild]:
        """Return the rebuilds, the earliest first. A variant is rebuilt at most once: no two rebuilds mix."""
        dice = self.dice("rebuilds")
        variants = [(model, name) for model in self.lab.models for name in self._variants(model)]
        count = min(len(variants) * 4 // 5, max(_REBUILDS_MIN, self.nights // _NIGHTS_BETWEEN_REBUILDS))
        chosen = dice.sample(variants, count)
        rebuilds = []
        for place, (model, variant) in enumerate(chosen):
            night = self._night(dice)
            # Within the year, so that no end is missing on record.
            settled = min(self.nights - 1, night + dice.randint(2, 12))
            # Every fifth rebuild is faster, so that nights find improvements, too.
            factor = dice.uniform(1.06, 1.3) if place % 5 != 4 else dice.uniform(0.85, 0.94)
            rebuilds.append(Rebuild(night, model, variant, factor, _ENDS[place % len(_ENDS)], settled))
        return sorted(rebuilds, key=lambda one: one.night)

    def builds(self, model: DemoModel, night: int) -> Mapping[str, int]:
        """Return how often each variant of a model was rebuilt by a night."""
        return {one.variant: one.builds_at(night) for one in self.rebuilds if one.model == model}

    def rebuild_of(self, cell: DemoCell) -> Rebuild | None:
        """Return the rebuild of a cell's variant, if there is one."""
        return next((one for one in self.rebuilds if (one.model, one.variant) == (cell.model, cell.variant)), None)

    def latency_ns(self, device: DemoDevice, cell: DemoCell, night: int) -> float:
        """Return the true latency of a cell in a night in nanoseconds."""
        fate, rebuild = self.fates[device.name], self.rebuild_of(cell)
        level = cell.latency_ns(device.kind) * (1 + fate.drift * night)
        for update in fate.updates:
            level *= update.factor if night >= update.night else 1.0
        return level * (rebuild.factor_at(night) if rebuild else 1.0)

    def is_updated(self, device: str, night: int) -> bool:
        """Say whether a device's system changes in a night, and the latencies with the system."""
        return any(one.night == night and one.factor != 1.0 for one in self.fates[device].updates)

    def facts(self, device: DemoDevice, night: int) -> Mapping[str, object]:
        """Return the facts of a device in a night."""
        # A boot id for each device: names with one boot id are one machine, and would wait for each other's leases.
        facts = {**device.kind.facts, "machine": device.kind.machine, "boot_id": f"boot-of-{device.name}"}
        for update in self.fates[device.name].updates:
            facts |= update.facts if night >= update.night else {}
        return facts

    def is_absent(self, device: DemoDevice, night: int) -> bool:
        """Say whether a device is in quarantine in a night."""
        absent = self.fates[device.name].absent
        return absent is not None and night in absent

    def loads(self, device: DemoDevice, cell: DemoCell, night: int) -> bool:
        """Say whether a device can load the artifact of a cell in a night."""
        broken = self.fates[device.name].broken
        return broken is None or cell.variant != broken[0] or night not in broken[1]

    def hot_share(self, device: DemoDevice, night: int) -> float:
        """Return the share of too hot attempts in a night."""
        hot = self.fates[device.name].hot
        return _HOT_SHARE if hot is not None and night in hot else 0.002

    @property
    def failed_share(self) -> float:
        """Return the share of attempts failing for no reason."""
        return _FAILED_SHARE

    def _variants(self, model: DemoModel) -> Sequence[str]:
        return list(dict.fromkeys(cell.variant for cell in self.lab.models[model]))

    def _night(self, dice: random.Random) -> int:
        # Not the first night, which nothing can be compared with, and not only the last.
        return dice.randint(min(1, self.nights - 1), max(1, self.nights * 9 // 10)) if self.nights > 1 else 0

    def _fate(self, device: DemoDevice, place: int) -> DeviceFate:
        dice = self.dice("device", device.name)
        release = int(str(device.kind.facts["kernel"]).rsplit("-", 1)[-1].rsplit(".", 1)[-1])
        stem = str(device.kind.facts["kernel"])[: -len(str(release))]
        nights = sorted(self._night(dice) for _ in range(max(1, self.nights // _NIGHTS_BETWEEN_KERNELS)))
        updates = [
            Update(night, {"kernel": f"{stem}{release + 2 * (number + 1)}"}, dice.choice((1.0, 1.0, 0.98, 1.04)))
            for number, night in enumerate(nights)
        ]
        if place % 4 == 1:
            updates.append(Update(self._night(dice), {"governor": "ondemand"}, 1.05))
        if place % 5 == 2:
            updates.append(Update(self._night(dice), {"python": "3.11.9"}, 1.0))
        drift = dice.choice((0.0, 0.0, 0.00004, 0.00012))
        hot = self._span(dice, 0.06) if place % 3 != 2 else None
        absent = self._span(dice, 0.02) if place % 3 == 1 else None
        variants = self._variants(next(iter(self.lab.models)))
        broken = (variants[-1], self._span(dice, 0.08)) if place % 4 == 3 else None
        return DeviceFate(
            sorted(updates, key=lambda one: one.night), drift, hot, absent, dice.choice(_QUARANTINES), broken
        )

    def _span(self, dice: random.Random, share: float) -> Span:
        first = self._night(dice)
        return Span(first, first + max(1, int(self.nights * share * dice.uniform(0.6, 1.4))))
