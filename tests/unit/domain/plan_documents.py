"""What a plan says, by its parts."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.domain.plan.values import DevicePlan, TrialKind


def document(plan: DevicePlan) -> dict[str, Any]:
    content = json.loads(plan.document)
    assert isinstance(content, dict)
    return content


def reasons(plan: DevicePlan) -> dict[str, str]:
    return {excluded.label: excluded.reason for excluded in plan.excluded}


def measured(plan: DevicePlan) -> list[str]:
    return [trial.job for trial in plan.trials if trial.kind is TrialKind.MEASURE]
