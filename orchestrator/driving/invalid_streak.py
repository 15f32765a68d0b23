"""Notice a device on which trial after trial breaks a condition."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from orchestrator.domain.condition import LIMITS
from orchestrator.domain.health import Concern
from orchestrator.domain.run import TrialChange, TrialState

LONGEST = 10
"""So many trials in a row are no chance: the device's surroundings want a person."""

_REMEDIES = {
    "other-load": "stop what else runs on the device; `benchfleet devices probe {device}` shows the load",
    "cpu-pressure": "stop what else runs on the device; `benchfleet devices probe {device}` shows the load",
    "cpu-steal": "its host gives the processors to other machines: measure on a host of its own",
    "too-hot": "cool the device, or give the sweep longer pauses",
    "throttled": "check its cooling and its supply",
    "tpu-throttled": "check the cooling of its accelerator",
    "gpu-throttled": "check the cooling and the supply of its GPU",
}


@dataclass(slots=True)
class InvalidStreaks:
    """Count the invalid trials in a row of each device. A device is told of once."""

    _words: dict[str, list[str]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def hear(self, change: TrialChange) -> Concern | None:
        """Return the concern about a device once so many trials in a row were invalid."""
        if change.state is TrialState.MEASURED:
            self._words.pop(change.device, None)
        if change.state is not TrialState.INVALID or change.device in self._told:
            return None
        words = self._words.setdefault(change.device, [])
        words.append(change.failure or "")
        if len(words) < LONGEST:
            return None
        self._told.add(change.device)
        return _concern(change.device, words)


def _concern(device: str, words: list[str]) -> Concern:
    counts = Counter(word for one in words for word in one.split(", ") if word)
    reasons = ", ".join(f"{word} ({count})" for word, count in counts.most_common())
    commonest = next(iter(counts), "")
    remedy = _REMEDIES.get(commonest, "runs show --cell has the readings of each attempt").format(device=device)
    limit = LIMITS.get(commonest)
    leave = f"; or `limits: {{{limit}: null}}` in the sweep lets such trials count" if limit else ""
    return Concern(f"{len(words)} trials in a row do not count: {reasons or 'no reason given'}", remedy + leave)
