"""Decide whether a trial without a result leaves the run incomplete, the same for a run's state and exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.domain.expansion import names_cell
from orchestrator.domain.run import TrialState
from orchestrator.domain.sweep import Setting

Rules = Sequence[Mapping[str, Setting]]


def is_lacking(allowed: Rules, device: str, label: str, state: TrialState) -> bool:
    """Say whether a measure trial is lacking. `allowed` are the rules of `allow_failures` of the run's sweep.

    A failed or skipped trial of a cell named by a rule is not lacking. An invalid trial, or a trial to come, is always
    lacking: rules of the sweep mean failures alone. A spared trial is not wanted.
    """
    if state in (TrialState.MEASURED, TrialState.SPARED):
        return False
    failed = state in (TrialState.FAILED, TrialState.SKIPPED)
    return not (failed and names_cell(allowed, device, label))
