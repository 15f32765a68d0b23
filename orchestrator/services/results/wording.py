"""Word the notes and remarks of a comparison: the trials left out of a value, and the limits of an interval."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.analysis.ratio import RatioEstimate, Spread, usable
from orchestrator.analysis.verdict import is_about_minimum
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.policy import SIGNIFICANCE, TRIALS_MAX, VERDICT_TRIALS_MIN
from orchestrator.domain.power import UNRECORDED_SOURCE
from orchestrator.domain.remark import clipped_words
from orchestrator.services.results.pairing import Pair

SPREAD_UNKNOWN = "one trial on a side: the spread is unknown, and so is how many more would settle it"


def notes(result: CellResult) -> tuple[str, ...]:
    """Return the notes on a cell's value: trials left out with reasons, and doubts about the value."""
    notes = []
    if result.absent is not None:
        notes.append(f"missing: {result.absent}")
    if result.rejected is not None:
        notes.append(f"rejected: {result.rejected}")
    if result.invalid:
        notes.append(f"{result.invalid} invalid {_trials(result.invalid)} excluded")
    if result.failed:
        why = f": {_first(result.failures)}" if result.failures else ""
        notes.append(f"{result.failed} {_trials(result.failed)} failed{why}")
    if result.missing:
        notes.append(f"{result.missing} {_trials(result.missing)} missing")
    if result.without_metric:
        why = f": {_first(result.unmeasured)}" if result.unmeasured else ""
        notes.append(f"{result.without_metric} {_trials(result.without_metric)} did not measure {result.metric}{why}")
    if result.shared:
        notes.append(f"{result.shared} {_trials(result.shared)} on a machine that others could use (exclusive: false)")
    return (*notes, *_doubts(result))


def clipped(pair: Pair) -> tuple[str, ...]:
    """Return the note on inputs that a quantised side clips: its accuracy may be the calibration's doing."""
    words = clipped_words(pair.other.clipped_ratio, pair.base.clipped_ratio if pair.base else None)
    return () if words is None else (words,)


def _doubts(result: CellResult) -> tuple[str, ...]:
    """Return the doubts about a cell's value: several power sources, and values without a ratio."""
    notes = []
    if len(result.sources) > 1:
        notes.append(f"no value: its trials had their power from {' and from '.join(result.sources)}")
    if UNRECORDED_SOURCE in result.sources:
        notes.append("which power source measured it is not on record")
    if result.cautions:
        notes.append(f"caution: {_first(result.cautions)}")
    if result.trial_values and not usable(result.trial_values):
        notes.append("a trial's value is not above zero: no ratio")
    return tuple(notes)


def _first(words: Sequence[str]) -> str:
    """Return the first wording, and the number of other wordings."""
    others = len(words) - 1
    return words[0] if not others else f"{words[0]} (and {others} {'other' if others == 1 else 'others'} like that)"


def apart(pair: Pair) -> tuple[str, ...]:
    """Return a remark if the two cells of a pair have different power sources."""
    here, there = pair.other.sources, pair.base.sources if pair.base else ()
    # A cell with two sources has a note of its own, and a cell without a source has no power to compare.
    if len(here) != 1 or len(there) != 1 or here == there:
        return ()
    return (f"not comparable: power from {here[0]} here, from {there[0]} there",)


def set_aside(spread: Spread | None) -> tuple[str, ...]:
    """Name the trials set aside from a value, and how far off the mean each lies."""
    if spread is None or not spread.set_aside:
        return ()
    factors = ", ".join(f"×{factor:.3g}" for factor in spread.set_aside)
    return (f"{len(spread.set_aside)} of {spread.n} trials set aside, too far off the others: {factors} their mean",)


def remarks(estimate: RatioEstimate | None, verdict: Verdict, min_effect: float) -> tuple[str, ...]:
    """Return the remarks against taking the interval alone for the verdict."""
    if estimate is None:
        return ()
    remarks = [*set_aside(estimate.other)]
    if estimate.p_value is None:
        return (*remarks, SPREAD_UNKNOWN)
    if estimate.unruly:
        judged = _UNRULY if verdict is Verdict.NOISY else _SEPARATE
        return (*remarks, f"several trials of a side lie far off its others: {judged}")
    if verdict is Verdict.NOISY:
        remarks.append(f"far too noisy: {TRIALS_MAX} trials a side would not show a change of {100 * min_effect:.3g} %")
    elif is_about_minimum(estimate, min_effect):
        remarks.append(f"a real change, and about the smallest that counts ({100 * min_effect:.3g} %)")
    elif verdict is Verdict.INCONCLUSIVE and estimate.p_value <= SIGNIFICANCE:
        remarks.append(_MAYBE_CHANCE if _few(estimate) is None else f"{_MAYBE_CHANCE}; {_few(estimate)}")
    elif verdict is Verdict.INCONCLUSIVE and estimate.separate:
        remarks.append(_APART)
    if estimate.base.log_variance == 0 == estimate.other.log_variance:
        remarks.append("no spread between trials: the interval is as wide as their resolution leaves open")
    return tuple(remarks)


_UNRULY = "no one value stands for the cell, and nothing is concluded"
_SEPARATE = "judged all the same, since every trial of one side lies beyond the other side"
_MAYBE_CHANCE = "its interval excludes 1, which may be chance: a verdict asks for stronger evidence"
_APART = "every trial of one side lies beyond the other side, but the trials scatter too much to say by how much"


def _few(estimate: RatioEstimate) -> str | None:
    kept = min(estimate.base.kept, estimate.other.kept)
    return None if kept >= VERDICT_TRIALS_MIN else f"and for {VERDICT_TRIALS_MIN} trials a side"


def _trials(count: int) -> str:
    return "trial" if count == 1 else "trials"
