"""Conclude about each subject at the end of a night, with the figures and the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.analysis import nightly
from orchestrator.analysis.location import Bools, Floats, Ints, padded
from orchestrator.analysis.nights.first import FirstLook
from orchestrator.analysis.nights.subjects import Finding, Key, Subject, Terms
from orchestrator.analysis.ratio import RatioEstimate, Spread, ratios_of_rows
from orchestrator.domain.night import Basis, NightEstimate, NightVerdict
from orchestrator.domain.policy import VERDICT_LEVEL

V = NightVerdict
_NORMAL = 1.96  # 95 %, as every interval has


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold the findings of the confirmation, an entry per subject.

    `rows` are the trials of baseline and candidate. `unmeasured`: a look has no value for the cell. `waiting`: the cell
    is neither confirmed nor given up, because the extra time of the device was used up.
    """

    confirmed: Bools
    given_up: Bools
    waiting: Bools
    unmeasured: Bools
    rows: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold the findings of the stages, an entry per subject: the suspected side, and the outcome of suspicions."""

    side: Ints
    lost: Bools
    spent: Floats
    outcome: Outcome


def conclude(judged: Sequence[Subject], first: FirstLook, found: Judged, terms: Terms) -> Mapping[Key, Finding]:
    """Return the conclusion on each subject."""
    reruns = _estimates(first, found.outcome.rows)
    baselines = padded([() if one.baseline is None else one.baseline.trials for one in judged])
    baselines[first.by_history] = np.nan  # their ratio is one to the history
    runs = _estimates(first, (baselines, first.rows))
    threshold = nightly.adapt(first.threshold, found.spent, first.expected.drift, terms.extra)
    findings = {}
    for place, one in enumerate(judged):
        rerun = reruns.get(place)
        measured = replace(
            _verdict(one, place, first, found, rerun),
            value=float(first.value[place]),
            variance=_known(first.variance[place]),
            unruly=bool(first.unruly[place]),
            expected=_known(first.expected.value[place]),
            candidate_trials=int(first.trials[place]),
            threshold=float(threshold[place]),
            spent=float(found.spent[place]),
            suspected=bool(first.side[place]),
        )
        findings[one.key] = _with_figures(measured, place, first, (rerun, runs.get(place)))
    return findings


def _estimates(first: FirstLook, rows: tuple[Floats, Floats]) -> Mapping[int, RatioEstimate]:
    """Return the ratio of each subject with trials on both sides, by the subject's place."""
    base, other = rows
    both = np.flatnonzero(~np.isnan(base).all(axis=1) & ~np.isnan(other).all(axis=1))
    found = ratios_of_rows(base[both], other[both], first.noise[both], first.weight[both])
    return dict(zip(both.tolist(), found, strict=True))


def _verdict(one: Subject, place: int, first: FirstLook, found: Judged, rerun: RatioEstimate | None) -> Finding:
    if one.quarantine is not None:
        return Finding(V.QUARANTINED, one.quarantine)
    if one.opened is not None:
        return _of_opened(one, place, first, found.outcome, rerun)
    if first.side[place] == 0:
        return _unsuspected(one, bool(first.by_history[place]))
    if found.lost[place]:
        return Finding(V.SUSPECTED, "suspected, and the second look has no value", undecided=True)
    if found.side[place] == 0:
        return Finding(V.CLEAN, "suspected, and not seen again by the second look")
    return _of_suspect(one, place, found, rerun)


def _unsuspected(one: Subject, by_history: bool) -> Finding:
    if by_history:
        return Finding(V.CLEAN, "as its history lets expect")
    known = sum(not math.isnan(value) for value in one.history)
    words = f"{known} of {nightly.NIGHTS_MIN} nights of history"
    if one.baseline is None:
        return Finding(V.INCONCLUSIVE, f"{words}, and no earlier night to compare with")
    return Finding(V.INCONCLUSIVE, f"{words}; nothing speaks against it beside night {one.baseline.night}")


def _of_suspect(one: Subject, place: int, found: Judged, rerun: RatioEstimate | None) -> Finding:
    outcome = found.outcome
    if one.baseline is None:
        return Finding(V.SUSPECTED, "suspected by its history, and there is no baseline to rerun", undecided=True)
    # A rerun of the same bytes on both sides has nothing to show.
    if one.baseline.identical:
        if one.environment is not None:
            words = f"identical bytes, and another environment: {one.environment}"
            return Finding(V.ENVIRONMENT_CHANGED, words, new_segment=True)
        return Finding(V.SUSPECTED, "identical bytes in the same environment: this points at the device, not the build")
    if one.baseline.obstacle is not None:
        words = f"suspected, and the baseline cannot be rerun: {one.baseline.obstacle}"
        return Finding(V.SUSPECTED, words, undecided=True)
    if outcome.confirmed[place]:
        if found.side[place] == one.worse:
            return Finding(V.CONFIRMED, "confirmed by the interleaved rerun", change=_log(rerun))
        return Finding(V.IMPROVED, "improved, by the interleaved rerun", new_segment=True, change=_log(rerun))
    if outcome.unmeasured[place]:
        words = "suspected, and the interleaved rerun has no value beside the baseline of this metric"
        return Finding(V.SUSPECTED, words, undecided=True)
    if outcome.waiting[place]:
        words = "suspected, and the device's extra time was used up (device_time: extra_most)"
        return Finding(V.SUSPECTED, words, undecided=True)
    if one.environment is not None:
        words = f"no difference in the interleaved rerun, and another environment: {one.environment}"
        return Finding(V.ENVIRONMENT_CHANGED, words, new_segment=True)
    return Finding(V.CLEAN, "suspected, and the interleaved rerun shows no such difference")


def _of_opened(one: Subject, place: int, first: FirstLook, outcome: Outcome, rerun: RatioEstimate | None) -> Finding:
    assert one.opened is not None
    still = Finding(V.CONFIRMED, f"still there since night {one.opened.since}", change=one.opened.change)
    if one.opened.change is None:
        return Finding(V.FIXED, f"has a value again, which was missing since night {one.opened.since}")
    if first.may_be_worse[place]:
        return _of_acknowledged(one, place, outcome, rerun, still)
    if not first.may_be_fixed[place] or one.baseline is None:
        return still
    if one.baseline.identical:
        return Finding(V.FIXED, "the bytes and the value of the baseline again")
    if one.baseline.obstacle is not None:
        return replace(still, reason=f"seems gone, and the baseline cannot be rerun: {one.baseline.obstacle}")
    # Without a rerun the regression is as far from the baseline as ever.
    moved = math.log(rerun.ratio) * math.copysign(1.0, one.opened.change) if rerun is not None else math.inf
    # The rerun is against the regressed level: gone means nearer to the baseline than to that level.
    if outcome.confirmed[place] and moved < abs(one.opened.change) / 2:
        return Finding(V.FIXED, "gone, by the interleaved rerun")
    undecided = bool(outcome.waiting[place] or outcome.unmeasured[place])
    return replace(still, undecided=undecided)


def _of_acknowledged(
    one: Subject, place: int, outcome: Outcome, rerun: RatioEstimate | None, still: Finding
) -> Finding:
    """Return the conclusion on an acknowledged regression with a seeming growth."""
    assert one.opened is not None
    assert one.opened.change is not None
    assert one.baseline is not None
    if one.baseline.identical:
        return still
    if one.baseline.obstacle is not None:
        words = f"seems worse than acknowledged, and the baseline cannot be rerun: {one.baseline.obstacle}"
        return replace(still, reason=words, undecided=True)
    if outcome.confirmed[place]:
        words = f"worse than acknowledged (ratio {math.exp(one.opened.change):.4g}), by the interleaved rerun"
        return Finding(V.CONFIRMED, words, change=_log(rerun), reopens=True)
    return replace(still, undecided=bool(outcome.waiting[place] or outcome.unmeasured[place]))


def _log(rerun: RatioEstimate | None) -> float | None:
    return None if rerun is None else math.log(rerun.ratio)


def _with_figures(
    finding: Finding, place: int, first: FirstLook, found: tuple[RatioEstimate | None, RatioEstimate | None]
) -> Finding:
    """Return the finding with estimate, interval, trials and the smallest detectable change.

    `found` are the ratios of the rerun and of the two nights.
    """
    rerun, runs = found
    if rerun is not None:
        return _with_estimate(finding, rerun, Basis.RERUN)
    if first.by_history[place]:
        return _against_history(finding, place, first)
    return finding if runs is None else _with_estimate(finding, runs, Basis.RUNS)


def _with_estimate(finding: Finding, found: RatioEstimate, basis: Basis) -> Finding:
    left_out = (
        *_set_aside("baseline", found.base),
        *_set_aside("candidate", found.other),
    )
    return replace(
        finding,
        estimate=NightEstimate(basis, found.ratio, found.low, found.high, found.base.centre, found.other.centre),
        baseline_trials=found.base.n,
        candidate_trials=found.other.n,
        set_aside=left_out,
        detectable=found.detectable(VERDICT_LEVEL),
    )


def _set_aside(side: str, spread: Spread) -> tuple[str, ...]:
    if not spread.set_aside:
        return ()
    factors = ", ".join(f"×{factor:.4g}" for factor in spread.set_aside)
    return (f"{side}: {len(spread.set_aside)} of {spread.n} trials, too far off the others: {factors} their mean",)


def _against_history(finding: Finding, place: int, first: FirstLook) -> Finding:
    scale, expected = float(first.expected.scale[place]), float(first.expected.value[place])
    moved = float(first.value[place]) - expected
    ends = math.exp(moved - _NORMAL * scale), math.exp(moved + _NORMAL * scale)
    seen = float(nightly.detectable(first.threshold[place], first.expected.scale[place]))
    return replace(finding, estimate=NightEstimate(Basis.HISTORY, math.exp(moved), *ends), detectable=math.expm1(seen))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
