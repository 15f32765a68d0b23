"""Hold a run in full, to be shown and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.allowed_failures import is_lacking
from orchestrator.domain.condition import ConditionUse
from orchestrator.domain.errors import ExitCode
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.power import PowerUse
from orchestrator.domain.recovery import RecoveryEvent
from orchestrator.domain.remark import CellRemark
from orchestrator.domain.run import DeviceRunState, ExcludedCell, MissingTrial, RunEffort, RunRecord, SparedCell
from orchestrator.domain.sweep import Setting


@dataclass(frozen=True, slots=True)
class RunDetails:
    """Hold the present standing of a run: results, missing trials, cells left out, recoveries, power, conditions,
    remarks on cells, and cells whose stop rule had enough.

    `taken_over` names the devices now held by another controller, with an end unknown here. `allowed` are the sweep's
    rules `allow_failures`.
    """

    record: RunRecord
    missing: tuple[MissingTrial, ...]
    results: tuple[CellResult, ...]
    excluded: tuple[ExcludedCell, ...] = ()
    recovery: tuple[RecoveryEvent, ...] = ()
    power: tuple[PowerUse, ...] = ()
    taken_over: frozenset[str] = frozenset()
    allowed: tuple[Mapping[str, Setting], ...] = ()
    conditions: tuple[ConditionUse, ...] = ()
    effort: RunEffort = field(default_factory=RunEffort)
    remarks: tuple[CellRemark, ...] = ()
    spared: tuple[SparedCell, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 for a whole run, 3 for missing trials or devices or no trial at all, 4 if no device could be used.

        A failed or skipped trial of a cell named by the sweep's `allow_failures` is not missing.
        """
        states = [entry.state for entry in self.record.devices]
        if states and all(state is DeviceRunState.FAILED for state in states):
            return ExitCode.INFRASTRUCTURE
        if self.taken_over:
            return ExitCode.INCOMPLETE
        lacking = [one for one in self.missing if is_lacking(self.allowed, one.device, one.label, one.state)]
        # Without any result there is nothing to be green about, though no trial is missing.
        if not self.results or lacking or any(state is not DeviceRunState.COMPLETE for state in states):
            return ExitCode.INCOMPLETE
        return ExitCode.FINE
