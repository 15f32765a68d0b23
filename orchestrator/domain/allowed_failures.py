"""Decide whether a trial without a result leaves its run incomplete, the same for all who say where a run stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.domain.expansion import names_cell
from orchestrator.domain.run import TrialState
from orchestrator.domain.sweep import Setting

Rules = Sequence[Mapping[str, Setting]]


def is_lacking(allowed: Rules, device: str, label: str, state: TrialState) -> bool:
    """Say whether a measure trial is lacking. `allowed` are the rules of `allow_failures` of the run's sweep.

    A failed or skipped trial of a cell that a rule names is not lacking. An invalid trial, or a trial that has not run,
    always is: no rule of the sweep means those.
    """
    if state is TrialState.MEASURED:
        return False
    failed = state in (TrialState.FAILED, TrialState.SKIPPED)
    return not (failed and names_cell(allowed, device, label))
