"""Hold a nightly: the sweeps to judge, the devices, the candidate and the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.domain.device import Device
from orchestrator.domain.metric import Metric, metric_named
from orchestrator.domain.model import Format
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.selector import parse_selector

EXTRA = 0.08
"""The default share of the plain night's device time for second looks and confirmations."""
EXTRA_MOST = 3.0
"""The default bound on the extra time of one night and device, in plain nights of the device.

Enough for a second look and five trials a side, where every cell of a device has moved.
"""


class BaselineChoice(StrEnum):
    """Name how each cell's baseline is chosen.

    `pinned`: by a person. `last-good`: the newest night without a word against the cell. `rolling`: the night so many
    nights ago, for seeing slow creep.
    """

    PINNED = "pinned"
    LAST_GOOD = "last-good"
    ROLLING = "rolling"


@dataclass(frozen=True, slots=True)
class BaselineRule:
    """Say how each cell's baseline is chosen. `nights` is for `rolling` alone."""

    choice: BaselineChoice = BaselineChoice.LAST_GOOD
    nights: int = 0

    def __str__(self) -> str:
        return f"rolling {self.nights}" if self.choice is BaselineChoice.ROLLING else self.choice.value


@dataclass(frozen=True, slots=True)
class CandidateSpec:
    """Name the new parts of tonight, in place of parts of the sweeps.

    `artifacts` has absolute paths by model, variant and format. `command` makes the artifacts, and may be empty.
    `runtimes` maps the label of a sweep's runtime to the label of the candidate's.
    """

    artifacts: Mapping[str, Mapping[str, Mapping[Format, str]]] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    command_timeout_s: float = 3600.0
    runtimes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MinEffects:
    """Hold the smallest relevant change of a metric.

    `by_class` has pairs of a device selector and a relative change. The first pair fitting a device decides.
    """

    metric: str
    default: float
    by_class: tuple[tuple[str, float], ...] = ()

    def on(self, device: Device) -> float:
        """Return the minimum effect on a device."""
        fitting = (effect for expression, effect in self.by_class if parse_selector(expression).matches(device))
        return next(fitting, self.default)


@dataclass(frozen=True, slots=True)
class Nightly:
    """Hold a nightly file.

    `source` is the file, `folder` the absolute folder of relative paths. `sweeps` and `canaries` are absolute paths.
    `extra` is the share of the plain night's device time for second looks and confirmations, `extra_most` the bound of
    a night and device, in plain nights. `trials_most` bounds the trials a side of a confirmation. `notify` has
    addresses, or names of environment variables with addresses. `outputs` has paths by format.
    """

    name: str
    source: str
    folder: str
    sweeps: tuple[str, ...]
    canaries: tuple[str, ...] = ()
    select: str = "all"
    candidate: CandidateSpec = CandidateSpec()
    baseline: BaselineRule = BaselineRule()
    min_effects: tuple[MinEffects, ...] = (MinEffects(HEADLINE_METRIC, metric_named(HEADLINE_METRIC).min_effect),)
    accuracy_drop: float | None = None
    extra: float = EXTRA
    extra_most: float = EXTRA_MOST
    trials_most: int = 30
    notify: tuple[str, ...] = field(default=(), repr=False)
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Return the judged metrics."""
        return tuple(metric_named(one.metric) for one in self.min_effects)
