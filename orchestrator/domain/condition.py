"""Describe how conditions judged the trials of a device in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ConditionUse:
    """Count what conditions found on a device, and name what nothing could judge there.

    `invalid` is how many measure attempts broke a condition. `breaches` counts these attempts by the word of the
    condition, and an attempt may have several words. `unjudged` has the reason for each reading that the device does
    not give, although a limit was set for the reading.
    """

    device: str
    invalid: int
    breaches: Mapping[str, int] = field(default_factory=dict)
    unjudged: Mapping[str, str] = field(default_factory=dict)
