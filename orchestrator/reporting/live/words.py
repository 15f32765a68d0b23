"""Word what a run's display tells: outcomes, ends, counts."""

from __future__ import annotations

from rich.text import Text

from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, TrialChange, TrialState, count_trials
from orchestrator.reporting.live.board import Progress
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import clean, short_reason

STYLES = {TrialState.FAILED: "red", TrialState.SKIPPED: "red", TrialState.INVALID: "yellow"}
_GOOD = frozenset({DeviceRunState.COMPLETE, DeviceRunState.RUNNING, DeviceRunState.PLANNED})


def outcome(change: TrialChange, *, is_known: bool = False) -> Text:
    """Return the outcome of a trial's attempt. A reason that `is_known` is not told again."""
    if change.state is TrialState.PLANNED and change.failure:  # cancelled: it is to be run yet
        return Text(clean(change.failure))
    if change.state is TrialState.SPARED:  # no trouble, so that nothing has told the reason before
        return Text(clean(f"spared by the {change.failure or 'stop rule'}"))
    if change.state is not TrialState.MEASURED:
        reason = "as before" if is_known else short_reason(change.failure)
        state = change.state.value
        return Text(f"{state}: {reason}" if reason else state, STYLES.get(change.state, ""))
    if change.p50_ns is not None:
        return Text(f"p50 {numbers.nanoseconds(change.p50_ns)}")
    return Text("measured" if change.kind == TrialKind.MEASURE else f"{change.kind} ok")


def ending(device: str, progress: Progress, error: str | None) -> Text:
    """Return how a device ended."""
    counts, state = count_trials([progress.tally]), progress.ended
    text = Text(str(state), style="green" if state is DeviceRunState.COMPLETE else "" if state in _GOOD else "red")
    if error:
        return text.append(f": {clean(error.removeprefix(f'{device}: '))}")
    parts = [f"{counts.measured} measured", *filter(None, [counts.shortfall])]
    if progress.retries:
        parts.append(f"{len(progress.retries)} tried again")
    for state_of, word in ((TrialState.MEASURED, "ok"), (TrialState.FAILED, "failed")):
        if number := progress.preflights_that(state_of):
            parts.append(f"{plural(number, 'preflight')} {word}")
    return text.append("  " + ", ".join(parts) + and_excluded(progress.excluded), style="default")


def and_excluded(count: int) -> str:
    """Return the count of excluded cells as the end of a sentence."""
    return f", {plural(count, 'cell')} excluded" if count else ""


def plural(count: int, noun: str) -> str:
    """Return a count with a noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
