"""Judge the accuracy of each cell beside its baseline's: the drop is bounded, not tested (docs/decisions/0030)."""

from __future__ import annotations

import math
from dataclasses import replace

from orchestrator.analysis.nights.subjects import Finding, OpenRegression, Subject
from orchestrator.domain.gate import GateTerms
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.metric import accuracy_loss
from orchestrator.domain.night import NO_BASELINE, Basis, NightEstimate, NightVerdict

_ROUNDING = 1e-9  # a drop of exactly the largest one passes, however the two shares were rounded


def judge_accuracy(subject: Subject, base: CellResult | None, tonight: CellResult, terms: GateTerms) -> Finding | None:
    """Return the conclusion on a cell's accuracy, or None for a cell without any accuracy."""
    had = None if base is None else base.accuracy
    if had is None or base is None:
        return None if tonight.accuracy is None else Finding(NightVerdict.INCONCLUSIVE, NO_BASELINE)
    if tonight.accuracy is None or tonight.accuracy_metric != base.accuracy_metric:
        words = f"{base.accuracy_metric} is missing, and the baseline has {had:.4g}"
        opened = subject.opened
        reopens = opened is not None and opened.known and opened.verdict is NightVerdict.CONFIRMED
        return Finding(NightVerdict.MISSING, words, reopens=reopens)
    largest = terms.largest_drop(base.accuracy_metric)
    words = f"{base.accuracy_metric} {had:.4g} -> {tonight.accuracy:.4g}"
    is_ratio = bool(had) and math.isfinite(tonight.accuracy)
    estimate = (
        NightEstimate(Basis.RUNS, tonight.accuracy / had, before=had, after=tonight.accuracy) if is_ratio else None
    )
    # Not the other way round: a drop that is not a number must not pass.
    if accuracy_loss(base.accuracy_metric, had, tonight.accuracy) <= largest + _ROUNDING:
        if subject.opened is not None:
            return Finding(NightVerdict.FIXED, words, estimate=estimate)
        return Finding(NightVerdict.CLEAN, words, estimate=estimate)
    if subject.baseline is not None and subject.baseline.identical:
        changed = f": {subject.environment}" if subject.environment else " of the device"
        return Finding(NightVerdict.ENVIRONMENT_CHANGED, f"{words}, of identical bytes: another environment{changed}")
    change = math.log(estimate.ratio) if estimate is not None and estimate.ratio > 0 else None
    found = Finding(NightVerdict.CONFIRMED, f"{words}: more than {largest:g}", estimate=estimate, change=change)
    return (
        found
        if subject.opened is None
        else _of_opened(found, subject.opened, (had, tonight.accuracy, largest), base.accuracy_metric)
    )


def _of_opened(
    found: Finding, opened: OpenRegression, shares: tuple[float, float, float], metric: str | None
) -> Finding:
    """Return the finding on an accuracy with a standing regression. `shares`: baseline, tonight, largest drop."""
    had, now, largest = shares
    reason = f"{found.reason}; since night {opened.since}"
    if not opened.known or opened.change is None:
        return replace(found, reason=reason)
    acknowledged = had * math.exp(opened.change)
    # Not the other way round: see above.
    if accuracy_loss(metric, acknowledged, now) <= largest + _ROUNDING:
        # The acknowledged level stays, so that no slow creep is acknowledged with it.
        return replace(found, reason=reason, change=opened.change)
    return replace(found, reason=f"{reason}; {acknowledged:.4g} was acknowledged", reopens=True)
