"""Hold a night of a nightly: measurements, the conclusion on each cell, and the memory for later nights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.measurement import Cell


class NightState(StrEnum):
    """Name where a night stands. `cut-off`: neither ended nor under way any more."""

    UNDER_WAY = "under-way"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    CUT_OFF = "cut-off"


class NightStage(StrEnum):
    """Name the stages of a night, in order."""

    CANARY = "canary"
    FIRST_LOOK = "first-look"
    SECOND_LOOK = "second-look"
    CONFIRMATION = "confirmation"


class NightVerdict(StrEnum):
    """Conclude about a cell of a night.

    `confirmed`: worse than the baseline, by an interleaved rerun of the same night. `missing` and `does-not-load` need
    no statistics. `suspected`: the night ended before a rerun could decide. `inconclusive`: measured, and not judged.
    `fixed`: an earlier regression is gone. `environment-changed`: the device or its system changed, not the build.
    """

    CLEAN = "clean"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    IMPROVED = "improved"
    FIXED = "fixed"
    MISSING = "missing"
    DOES_NOT_LOAD = "does-not-load"
    QUARANTINED = "quarantined"
    INCONCLUSIVE = "inconclusive"
    ENVIRONMENT_CHANGED = "environment-changed"


REGRESSED = frozenset((NightVerdict.CONFIRMED, NightVerdict.MISSING, NightVerdict.DOES_NOT_LOAD))
"""The verdicts on cells that got worse."""
NO_BASELINE = "no baseline to compare with"
"""The reason why the accuracies of a first night are not judged."""


class Basis(StrEnum):
    """Name the basis of an estimate: the interleaved rerun, the cell's history, or the values of two runs."""

    RERUN = "rerun"
    HISTORY = "history"
    RUNS = "runs"


@dataclass(frozen=True, slots=True)
class NightEstimate:
    """Hold candidate over baseline as a ratio with the 95 % interval. The ends are None with too few trials.

    `before` and `after` are the measured centres of both sides, in the metric's unit, of the trials behind the ratio.
    None: the ratio is one to a history, or of a night before these were kept.
    """

    basis: Basis
    ratio: float
    low: float | None = None
    high: float | None = None
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class NightPoint:
    """Hold a night of a cell, for a chart. `value` is in the metric's unit, None for a night without a value."""

    night: str
    began_at: datetime
    value: float | None
    verdict: NightVerdict


@dataclass(frozen=True, slots=True)
class CellMemory:
    """Hold the memory of a cell's night for later nights.

    `value` is the logarithm of the night's value without the drift of the canaries. `variance` is the variance of a
    trial, as a logarithm. `threshold` is the next night's. `spent` is the extra device time, in plain nights of the
    cell. `content` hashes artifact, runtime and program. `environment` is the device's hash. `new_segment`: earlier
    nights say nothing of later nights. `suspected`: the first look spoke against the cell, and the night is no
    baseline. `change` is the change of a standing regression, as a logarithm.
    """

    value: float | None
    variance: float | None
    freedom: float
    threshold: float | None
    spent: float
    content: str
    environment: str | None
    new_segment: bool = False
    unruly: bool = False
    suspected: bool = False
    change: float | None = None


@dataclass(frozen=True, slots=True)
class NightCell:
    """Hold the conclusion about a metric of a cell.

    `cell.run` is the candidate's run of the first look. `slot` names the cell from night to night, under any version
    of the runtime. `value` and `expected` are in the metric's unit. `set_aside` names the trials left out, with the
    reason. `detectable` is the smallest relative change visible in the night. `regression` is the id of the
    open regression. `since` is the night of the regression or the date of the quarantine. `known`: a person has
    acknowledged the regression, and the cell does not fail the night.
    """

    cell: Cell
    metric: str
    sweep: str
    slot: str
    verdict: NightVerdict
    reason: str
    value: float | None = None
    expected: float | None = None
    estimate: NightEstimate | None = None
    baseline_trials: int = 0
    candidate_trials: int = 0
    set_aside: tuple[str, ...] = ()
    detectable: float | None = None
    baseline_runs: tuple[str, ...] = ()
    candidate_runs: tuple[str, ...] = ()
    regression: int | None = None
    since: str | None = None
    known: bool = False
    sql: str = ""
    rerun: str = ""
    memory: CellMemory | None = None
    history: tuple[NightPoint, ...] = ()

    @property
    def label(self) -> str:
        """Return the cell in words, without device and metric."""
        settings = (f"{name}={_text(value)}" for name, value in sorted(self.cell.settings.items()))
        return " · ".join((self.cell.model, self.cell.variant, self.cell.runtime, *settings))

    @property
    def fails(self) -> bool:
        """Say whether the cell fails the night."""
        return self.verdict in REGRESSED and not self.known

    @property
    def slower(self) -> bool | None:
        """Say whether the value has grown, or None without an estimate."""
        return None if self.estimate is None else self.estimate.ratio > 1

    @property
    def group(self) -> str:
        """Return the common key of cells with a common move on a device."""
        direction = {True: "up", False: "down", None: ""}[self.slower]
        # Acknowledged cells apart from others: a group fails the night as a whole, or not at all.
        return "|".join((self.cell.device, self.metric, self.verdict.value, direction, "known" if self.known else ""))


def _text(value: object) -> str:
    # As YAML spells it, and so as the sweep file has it.
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class NightGroup:
    """Hold the cells with a common move on a device, the largest move first."""

    cells: tuple[NightCell, ...]

    @property
    def first(self) -> NightCell:
        """Return the cell with the largest move."""
        return self.cells[0]


def grouped(cells: Iterable[NightCell]) -> tuple[NightGroup, ...]:
    """Return the cells in groups of common moves, in the order of first cells."""
    groups: dict[str, list[NightCell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return tuple(NightGroup(tuple(sorted(group, key=_moved, reverse=True))) for group in groups.values())


def _moved(cell: NightCell) -> float:
    ratio = 1.0 if cell.estimate is None or cell.estimate.ratio <= 0 else cell.estimate.ratio
    # Half is as far as double.
    return max(ratio, 1 / ratio)


@dataclass(frozen=True, slots=True)
class LostDevice:
    """Hold a device lost in a stage of the night. `cells` counts the cells without a value for the loss."""

    device: str
    stage: NightStage
    error: str
    hint: str | None
    cells: int


@dataclass(frozen=True, slots=True)
class CanaryShift:
    """Hold the drift of a device as a whole tonight, by the canaries.

    `shift` is a ratio to the usual value, 1.02 for 2 % slower. `canaries` counts the canaries with a value. `reason`
    says why the shift is unknown. No drift is subtracted then.
    """

    device: str
    metric: str
    shift: float | None
    canaries: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CanaryValue:
    """Hold a canary's value of a night, as a logarithm. `content` hashes the measured bytes."""

    device: str
    slot: str
    metric: str
    value: float
    content: str


@dataclass(frozen=True, slots=True)
class NightRun:
    """Name a run of a night. `look` numbers the looks of the confirmation, and is 0 in other stages."""

    stage: NightStage
    sweep: str
    run: str
    look: int = 0


@dataclass(frozen=True, slots=True)
class NightReport:
    """Hold a night in full.

    `candidate` and `baseline` describe the two sides, a line each. Device times are in seconds, over all devices:
    `extra_s` is the part of second looks and confirmations. `allowance` is the extra part's bound, as a share of the
    plain night's time. `exit_code` is None before the end.
    """

    night: str
    nightly: str
    began_at: datetime
    ended_at: datetime | None
    state: NightState
    exit_code: ExitCode | None
    candidate: tuple[str, ...]
    baseline: tuple[str, ...]
    devices: tuple[str, ...]
    device_time_s: float
    extra_s: float
    allowance: float
    cells: tuple[NightCell, ...]
    lost: tuple[LostDevice, ...] = ()
    canaries: tuple[CanaryShift, ...] = ()
    canary_values: tuple[CanaryValue, ...] = ()
    runs: tuple[NightRun, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[NightGroup, ...]:
        """Return the cells in groups of common moves."""
        return grouped(self.cells)

    @property
    def counts(self) -> Mapping[NightVerdict, int]:
        """Return the number of cells of each verdict, zeros included."""
        verdicts = [cell.verdict for cell in self.cells]
        return {verdict: verdicts.count(verdict) for verdict in NightVerdict}


@dataclass(frozen=True, slots=True)
class NightSummary:
    """Summarise a night for a list. The counts are 0 before the end, except `runs`. `failing` cells fail the night."""

    night: str
    nightly: str
    state: NightState
    began_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    devices: int
    cells: int
    failing: int
    runs: int
