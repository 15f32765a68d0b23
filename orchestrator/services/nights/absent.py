"""Conclude about cells without a value tonight: missing, not loading, or without an answer."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.analysis.nights.subjects import Finding, Subject
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.night import REGRESSED, NightVerdict
from orchestrator.services.nights.values import TonightCell

V = NightVerdict
DISTURBED = "every trial was disturbed"
SAME_BYTES = "identical bytes: this points at the device, not the build"


def absent(subject: Subject, tonight: TonightCell | None, metric: str, lost: str | None) -> Finding:
    """Return the conclusion on a cell without a value. `tonight` is None for a cell of no sweep.

    `lost` says why the device was lost, None for an answering device.
    """
    found = _concluded(subject, tonight, metric, lost)
    # Noise makes a cell slow, and lets trials time out. A cell that does not load is no noise.
    if subject.quarantine is not None and found.verdict is not V.DOES_NOT_LOAD:
        return Finding(V.QUARANTINED, f"{subject.quarantine}; tonight: {found.reason}")
    if subject.opened is not None and found.verdict is not V.INCONCLUSIVE:
        # A person who acknowledged a slower cell has said nothing of a cell that does not run.
        reopens = subject.opened.known and subject.opened.verdict is V.CONFIRMED and found.verdict in REGRESSED
        return Finding(found.verdict, f"{found.reason}; since night {subject.opened.since}", reopens=reopens)
    return found


def without_most_trials(found: Finding, result: CellResult) -> Finding:
    """Return the conclusion on a cell with a value. A cell with more failed trials than values passes no night.

    The few finished trials are no sample of the cell: the crashed trials may be the slow ones.
    """
    values = len(result.trial_values)
    if result.failed <= values:
        return found
    failures = "; ".join(result.failures)
    reason = f"{found.reason}; {result.failed} of {result.failed + values} trials failed: {failures}"
    verdict = found.verdict if found.verdict in (*REGRESSED, V.SUSPECTED, V.QUARANTINED) else V.INCONCLUSIVE
    return replace(found, verdict=verdict, reason=reason, undecided=found.verdict is not V.QUARANTINED)


def _concluded(subject: Subject, tonight: TonightCell | None, metric: str, lost: str | None) -> Finding:
    if lost is not None:
        return Finding(V.INCONCLUSIVE, f"the device was lost: {lost}", undecided=True)
    if tonight is None:
        return _worse(subject, V.MISSING, "the sweep has no such cell any more")
    if tonight.absent is not None:
        return _worse(subject, V.MISSING, f"left out of the plan: {tonight.absent}", expected=True)
    return _without_value(subject, tonight.results[metric])


def _without_value(subject: Subject, result: CellResult) -> Finding:
    if result.rejected is not None:
        return _worse(subject, V.DOES_NOT_LOAD, result.rejected)
    if result.failed:
        return _worse(subject, V.MISSING, "; ".join(result.failures) or "its trials failed")
    if result.missing:
        return Finding(V.INCONCLUSIVE, "its trials have not run", undecided=True)
    if result.invalid:
        return Finding(V.INCONCLUSIVE, DISTURBED, undecided=True)
    if result.trial_values:
        # A metric that is 0 at times has no verdict on any night, and a baseline with a ratio had one.
        had = subject.baseline is not None and bool(subject.baseline.trials)
        return Finding(V.INCONCLUSIVE, "some values are not above 0: a ratio has no meaning", undecided=had)
    reasons = "; ".join(result.unmeasured)
    return _worse(subject, V.MISSING, reasons or f"no trial reports {result.metric}", expected=bool(reasons))


def _worse(subject: Subject, verdict: NightVerdict, reason: str, *, expected: bool = False) -> Finding:
    """Return the verdict where the baseline has a value. Conclude nothing about a cell without any value before.

    `expected`: a cell without a value on any night is no gap of the night.
    """
    baseline = subject.baseline
    if baseline is None and subject.opened is None:
        return Finding(V.INCONCLUSIVE, f"never had a value: {reason}", undecided=not expected)
    if baseline is not None and baseline.identical:
        if subject.environment is not None:
            words = f"{reason}; identical bytes, and another environment: {subject.environment}"
            return Finding(V.ENVIRONMENT_CHANGED, words)
        return Finding(V.INCONCLUSIVE, f"{reason}; {SAME_BYTES}", undecided=True)
    return Finding(verdict, reason)
